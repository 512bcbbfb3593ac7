/**
 * A gateway device on a test's host, and a machine outside, set up with iproute2 and nft: as little of a table
 * as lets packets pass, so that what is seen are the programs.
 */

import { gateways } from '../../../src/hoststate/gateway-maps.ts'
import * as maps from '../../../src/hoststate/maps.ts'
import { openKernel } from '../../../src/kernel/real.ts'
import type { IP } from '../../../src/net/ip.ts'
import { FABRIC, NETWORK } from './fabric.ts'
import { INDEX_MARK, MARKS } from './gateway.ts'
import { ip } from './packet.ts'
import { type Host, Namespace, VNI } from './wire.ts'

const BLOCK = 10

/** The host's own addresses in the network. */
export function selfOf(host: Host): { readonly ip4: IP; readonly ip6: IP } {
  return { ip4: ip(`10.80.${host.index}.254`), ip6: ip(`fd80::${host.index}:fffe`) }
}

/** Gives the host its gateway device `ckg0`, and entries for its own addresses and the peer's. */
export function addGateway(host: Host, peer: Host, carrier: maps.CarrierName, mtuBytes: number) {
  const self = selfOf(host)
  host.ns.run(
    `ip link add ckg0 address ${FABRIC} mtu ${mtuBytes} type veth peer name ckh0`,
    'ip link set ckg0 arp off addrgenmode none',
    'ip link set ckh0 addrgenmode none',
    `tc qdisc add dev ckg0 egress_block ${BLOCK} clsact`,
    'sysctl -qw net.ipv4.conf.ckg0.src_valid_mark=1 net.ipv4.conf.ckg0.forwarding=1',
    'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1',
  )
  const ifindex = host.ns.ifindex('ckg0')
  {
    using kernel = openKernel()
    using netns = kernel.openNetns(host.ns.path)
    const programFd = host.object.program('to_network')
    const filter = {
      place: { block: BLOCK },
      priority: 1,
      handle: 1,
      name: 'to_network',
      programFd,
    }
    kernel.inNetns(netns, (inside) => inside.filters.put(filter))
  }
  host.put(gateways, { ifindex, vni: VNI, carrier, mtuBytes, around: NETWORK.prefixes })
  openTable(host)
  host.ns.run(
    'ip link set ckh0 up',
    'ip link set ckg0 up',
    `ip addr add ${self.ip4}/32 dev ckg0`,
    'ip addr add 10.80.0.1/32 dev ckg0',
    `ip addr add ${self.ip6}/128 dev ckg0 nodad`,
    'ip addr add fd80::1/128 dev ckg0 nodad',
    `ip route add 10.80.0.0/16 dev ckg0 src ${self.ip4}`,
    `ip -6 route add fd80::/48 dev ckg0 src ${self.ip6}`,
  )
  const gateway = { ifindex, mark: INDEX_MARK }
  host.put(maps.networks, { ...NETWORK, vni: VNI, gateway4: ip('10.80.0.1'), gateway })
  for (const [whose, at] of [
    [self, { kind: 'host', ifindex }],
    [selfOf(peer), { kind: 'remote', host: peer.index }],
  ] as const) {
    for (const address of [whose.ip4, whose.ip6]) {
      host.put(maps.endpoints, { vni: VNI, address, mac: FABRIC, at })
    }
  }
}

/** The least table: everything is checked at once and let pass, and masqueraded on its way outside. */
function openTable(host: Host): void {
  const clear = (0xffffffff - MARKS.mask).toString()
  const table = `table inet ckt {
    chain pre { type filter hook prerouting priority -150; iifname "ckg0" meta mark set mark and ${clear}; }
    chain post { type filter hook postrouting priority 0; oifname "ckg0" meta mark set mark or ${MARKS.passed}; }
    chain nat { type nat hook postrouting priority 100; oifname "outside" masquerade; }
  }`
  host.ns.run(`nft '${table}'`)
}

/** A machine that the host reaches by its device `outside`, without a route to any container. */
export class Outside implements Disposable {
  readonly ns = new Namespace()
  readonly ip4 = ip('203.0.113.9')
  readonly ip6 = ip('2001:db8:9::9')

  constructor(host: Host) {
    host.ns.run(
      `ip link add outside type veth peer name eth0 netns ${this.ns.name}`,
      'ip link set outside up',
      'ip addr add 203.0.113.1/24 dev outside',
      'ip addr add 2001:db8:9::1/64 dev outside nodad',
    )
    this.ns.run(
      'ip link set eth0 up',
      `ip addr add ${this.ip4}/24 dev eth0`,
      `ip addr add ${this.ip6}/64 dev eth0 nodad`,
    )
  }

  [Symbol.dispose](): void {
    this.ns[Symbol.dispose]()
  }
}
