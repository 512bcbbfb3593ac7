/**
 * Hosts and containers out of namespaces, for real packets: two hosts with a datapath each, joined by a wire
 * or by a router, set up with iproute2 so that this stands on nothing but the programs under test.
 */

import { readFileSync } from 'node:fs'
import { dropReason, readDropCount, type TrafficPath } from '../../../src/hoststate/drops.ts'
import * as maps from '../../../src/hoststate/maps.ts'
import { DEFAULT_MARK_MASK } from '../../../src/hoststate/marks.ts'
import { probeFeatures } from '../../../src/kernel/bpf/features.ts'
import { openLibbpf } from '../../../src/kernel/bpf/libbpf.ts'
import { BpfObject } from '../../../src/kernel/bpf/object.ts'
import { openKernel } from '../../../src/kernel/real.ts'
import type { IP } from '../../../src/net/ip.ts'
import type { Mac } from '../../../src/net/mac.ts'
import { parsePrefix } from '../../../src/net/prefix.ts'
import { FABRIC, OBJECT, readTraffic } from './fabric.ts'
import { ip, mac } from './packet.ts'

export const VNI = 77
const BLOCK = 9

/** Runs a command to its end; throws with its output when it fails. */
export function run(command: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-c', command])
  if (exitCode !== 0) throw new Error(`${command}: ${stderr}${stdout}`)
  return stdout.toString()
}

let serial = 0 // namespaces of one test process must differ in name

/** A network namespace that is gone when disposed. */
export class Namespace implements Disposable {
  readonly name = `ckt${process.pid}n${serial++}`
  readonly path = `/run/netns/${this.name}`

  constructor() {
    run(`ip netns add ${this.name}`)
    run(`${this.enter()} ip link set lo up`)
  }

  enter(): string {
    return `nsenter --net=/run/netns/${this.name}`
  }

  run(...commands: readonly string[]): string {
    return commands.map((command) => run(`${this.enter()} ${command}`)).join('')
  }

  ifindex(device: string): number {
    return JSON.parse(this.run(`ip -j link show ${device}`))[0].ifindex
  }

  mac(device: string): Mac {
    return mac(JSON.parse(this.run(`ip -j link show ${device}`))[0].address)
  }

  [Symbol.dispose](): void {
    run(`ip netns del ${this.name}`)
  }
}

/** One container: a namespace with `eth0`, and its addresses. */
export interface Container {
  readonly ns: Namespace
  readonly ip4: IP
  readonly ip6: IP
  readonly mac: Mac
  readonly host: number
  readonly device: string
}

/** A host with its own maps and programs. */
export class Host implements Disposable {
  readonly ns = new Namespace()
  readonly index: number
  readonly object: BpfObject
  readonly ip4: IP
  readonly ip6: IP
  #entry: maps.HostEntry | undefined

  constructor(index: number) {
    this.index = index
    this.ip4 = ip(`198.51.100.${index}`)
    this.ip6 = ip(`2001:db8:51::${index}`)
    this.object = BpfObject.load(openLibbpf(), readFileSync(OBJECT))
  }

  put<Entry>(layout: maps.MapLayout<Entry>, entry: Entry): void {
    this.object.map(layout.name).update(layout.keyOf(entry), layout.valueOf(entry))
  }

  /** Attaches the programs to the underlay and to the block of endpoint devices. */
  attach(underlay: string, direct: boolean): void {
    const bpf = openLibbpf()
    this.ns.run(
      'ip link add ckvx0 type vxlan dstport 4789 external udp6zerocsumrx',
      `ip link set ckvx0 address ${FABRIC} mtu 65000 up`,
      'ip link add ckan0 type veth peer name ckan1',
      `tc qdisc add dev ckan0 ingress_block ${BLOCK} clsact`,
      `tc qdisc add dev ${underlay} clsact`,
      'tc qdisc add dev ckvx0 clsact',
    )
    const device = (name: string) =>
      ({ device: this.ns.ifindex(name), direction: 'ingress' }) as const
    using kernel = openKernel()
    using netns = kernel.openNetns(`/run/netns/${this.ns.name}`)
    for (const [place, program] of [
      [{ block: BLOCK }, 'from_container'],
      [device(underlay), 'from_underlay'],
      [device('ckvx0'), 'from_vxlan_device'],
    ] as const) {
      const programFd = this.object.program(program)
      const filter = { place, priority: 1, handle: 1, name: program, programFd }
      kernel.inNetns(netns, (inside) => inside.filters.put(filter))
    }
    this.put(maps.config, {
      fabricMac: FABRIC,
      address4: this.ip4,
      address6: this.ip6,
      vxlanPort: maps.VXLAN_PORT,
      vxlanIfindex: this.ns.ifindex('ckvx0'),
      crossFamilyStrip: probeFeatures(bpf, this.object).crossFamilyStrip,
      direct,
      packetMarkMask: DEFAULT_MARK_MASK,
      resolver4: undefined,
      resolver6: undefined,
    })
    const prefixes = ['10.80.0.0/16', 'fd80::/48'].map((text) => {
      const prefix = parsePrefix(text)
      if (prefix === undefined) throw new Error(text)
      if (direct) this.put(maps.directPrefixes, { prefix, vni: VNI })
      return prefix
    })
    const [gateway4, gateway6] = [ip('10.80.0.1'), ip('fd80::1')]
    const closed = { gateway: undefined, openMetadata: false, internal: false }
    this.put(maps.networks, { vni: VNI, prefixes, gateway4, gateway6, ...closed })
  }

  addContainer(number: number, carrier: maps.CarrierName, mtuBytes: number): Container {
    const ns = new Namespace()
    const device = `cke${number}`
    const address = mac(`0a:00:00:00:00:${number.toString(16).padStart(2, '0')}`)
    const [ip4, ip6] = [ip(`10.80.${this.index}.${number}`), ip(`fd80::${this.index}:${number}`)]
    this.ns.run(
      `ip link add ${device} address ${FABRIC} mtu ${mtuBytes} type veth peer name eth0 address ${address} mtu ${mtuBytes} netns ${ns.name}`,
      `tc qdisc add dev ${device} ingress_block ${BLOCK} clsact`,
    )
    const ifindex = this.ns.ifindex(device)
    this.put(maps.devices, {
      ifindex,
      vni: VNI,
      mac: address,
      address4: ip4,
      address6: ip6,
      carrier,
    })
    this.ns.run(`ip link set ${device} up`)
    ns.run(
      'ip link set eth0 up',
      `ip addr add ${ip4}/16 dev eth0`,
      `ip addr add ${ip6}/48 dev eth0 nodad`,
      'ip route add default via 10.80.0.1',
      'ip route add default via fd80::1',
    )
    for (const one of [ip4, ip6]) {
      this.put(maps.endpoints, {
        vni: VNI,
        address: one,
        mac: address,
        at: { kind: 'local', ifindex },
      })
    }
    return { ns, ip4, ip6, mac: address, host: this.index, device }
  }

  /** Says where another host's container lives. */
  learn(container: Container): void {
    for (const address of [container.ip4, container.ip6]) {
      const at = { kind: 'remote', host: container.host } as const
      this.put(maps.endpoints, { vni: VNI, address, mac: container.mac, at })
    }
  }

  reach(entry: maps.HostEntry): void {
    this.#entry = entry
    this.put(maps.hosts, entry)
  }

  setPathMtu(pathMtuBytes: number): void {
    if (this.#entry === undefined) throw new Error('reach the peer first')
    this.reach({ ...this.#entry, pathMtuBytes })
  }

  drops(): Record<string, number> {
    const sums: Record<string, number> = {}
    for (const { key, value } of this.object.map('drops').entries()) {
      const { reason, packets } = readDropCount(key, value)
      const name = dropReason(reason) ?? String(reason)
      sums[name] = (sums[name] ?? 0) + packets
    }
    return sums
  }

  traffic(path: TrafficPath): { packets: number; bytes: number } {
    return readTraffic(this.object, path)
  }

  [Symbol.dispose](): void {
    this.object[Symbol.dispose]()
    this.ns[Symbol.dispose]()
  }
}

export interface PairOptions {
  /** Family of the underlay addresses between the hosts. */
  readonly outer: 4 | 6
  readonly carrier: maps.CarrierName
  /** MTU of a router's link between the hosts; undefined puts them on one wire. */
  readonly routerMtuBytes?: number
}

/** Two hosts with two containers on the first (`a`, `b`) and one on the second (`c`). */
export class Pair implements Disposable {
  readonly hosts: readonly [Host, Host]
  readonly a: Container
  readonly b: Container
  readonly c: Container
  readonly #stack = new DisposableStack()

  constructor({ outer, carrier, routerMtuBytes }: PairOptions) {
    try {
      const [first, second] = [this.#stack.use(new Host(1)), this.#stack.use(new Host(2))]
      this.hosts = [first, second]
      const hops = routerMtuBytes === undefined ? this.#wire() : this.#router(routerMtuBytes)
      for (const [here, there, hop] of [
        [first, second, hops[0]],
        [second, first, hops[1]],
      ] as const) {
        here.attach('uplink', carrier === 'direct' || carrier === 'auto')
        const [address, localAddress] = outer === 4 ? [there.ip4, here.ip4] : [there.ip6, here.ip6]
        here.reach({
          index: there.index,
          address,
          localAddress,
          ifindex: here.ns.ifindex('uplink'),
          deviceMac: here.ns.mac('uplink'),
          nextHop: hop === undefined ? address : outer === 4 ? hop.ip4 : hop.ip6,
          nextHopMac: hop === undefined ? there.ns.mac('uplink') : hop.mac,
          onLink: hop === undefined,
          pathMtuBytes: 1500,
          vxlanPort: maps.VXLAN_PORT,
        })
      }
      // Waits until both have resolved their neighbours.
      first.ns.run(`ping -n -q -c 1 -i 0.1 -w 5 ${outer === 4 ? second.ip4 : second.ip6}`)
      const mtu = carrier === 'direct' ? 1500 : outer === 4 ? 1450 : 1430
      this.a = first.addContainer(10, carrier, mtu)
      this.#stack.use(this.a.ns)
      this.b = first.addContainer(11, carrier, mtu)
      this.#stack.use(this.b.ns)
      this.c = second.addContainer(12, carrier, mtu)
      this.#stack.use(this.c.ns)
      first.learn(this.c)
      second.learn(this.a)
      second.learn(this.b)
    } catch (error) {
      this.#stack.dispose()
      throw error
    }
  }

  #wire(): readonly [undefined, undefined] {
    const [first, second] = this.hosts
    first.ns.run(`ip link add uplink type veth peer name uplink netns ${second.ns.name}`)
    for (const host of this.hosts) {
      host.ns.run(
        'ip link set uplink up',
        `ip addr add ${host.ip4}/24 dev uplink`,
        `ip addr add ${host.ip6}/64 dev uplink nodad`,
      )
    }
    return [undefined, undefined]
  }

  /** Each host on a segment of its own, a router with a narrow link between. */
  #router(mtuBytes: number): readonly [Hop, Hop] {
    const router = this.#stack.use(new Namespace())
    router.run('sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1')
    const [first, second] = this.hosts.map((host) => {
      const hop = { ip4: ip(`192.0.2.${host.index}`), ip6: ip(`2001:db8:2::${host.index}`) }
      const port = `port${host.index}`
      host.ns.run(
        `ip link add uplink type veth peer name ${port} netns ${router.name}`,
        'ip link set uplink up',
        `ip addr add ${host.ip4}/32 dev uplink`,
        `ip addr add ${host.ip6}/128 dev uplink nodad`,
        `ip route add ${hop.ip4} dev uplink`,
        `ip -6 route add ${hop.ip6} dev uplink`,
        `ip route add default via ${hop.ip4} dev uplink`,
        `ip -6 route add default via ${hop.ip6} dev uplink`,
      )
      router.run(
        `ip link set ${port} up`,
        `ip addr add ${hop.ip4}/32 dev ${port}`,
        `ip addr add ${hop.ip6}/128 dev ${port} nodad`,
        ...[
          `${host.ip4}`,
          `10.80.${host.index}.0/24`,
          `${host.ip6}`,
          `fd80::${host.index}:0/112`,
        ].map((to) => routeThrough(host, port, to, mtuBytes)),
      )
      return { ...hop, mac: router.mac(port) }
    })
    if (first === undefined || second === undefined) throw new Error('two hosts')
    return [first, second]
  }

  [Symbol.dispose](): void {
    this.#stack.dispose()
  }
}

/** The router's command for a narrow way to the host, for the host's own addresses and its containers'. */
function routeThrough(host: Host, port: string, to: string, mtuBytes: number): string {
  const own = to === host.ip4 || to === host.ip6
  const [six, via] = to.includes(':') ? ['-6 ', host.ip6] : ['', host.ip4]
  return `ip ${six}route add ${to} ${own ? '' : `via ${via}`} dev ${port} mtu ${mtuBytes}`
}

interface Hop {
  readonly ip4: IP
  readonly ip6: IP
  readonly mac: Mac
}
