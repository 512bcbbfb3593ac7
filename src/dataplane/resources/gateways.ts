/**
 * Gateway devices. The pair is made with its settings before it goes up; its first end joins the block where
 * the program for packets of the host's stack sits. Its addresses are put before old ones go, since a device
 * that loses its last one loses its routes in all tables (R19). Removal leaves the pair to the reaper.
 */

import type { Gateway } from '../../hoststate/gateway.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Address, KernelView, Link } from '../../kernel/kernel.ts'
import { NetworkError } from '../../lib/errors.ts'
import { bitsOf, familyOf, type IP, parseIP } from '../../net/ip.ts'
import { parseMac } from '../../net/mac.ts'
import type { Context } from '../context.ts'
import { type Aside, dyingName } from '../put-aside.ts'
import type { Resource } from '../resource.ts'
import { untilHeard } from './heard.ts'

type Setting = readonly [path: readonly string[], value: string]

/** What takes the host's packets, from the shared block at once and by a link of the device's own soon after. */
const PROGRAM = 'to_network'

/** The higher of what is set for all devices and for one holds: 0 none, 1 strict, 2 loose. ip-sysctl.rst */
const FILTER_OF_ALL = ['net', 'ipv4', 'conf', 'all', 'rp_filter']

/**
 * Sources were checked by the program, so that rp_filter has nothing to find and costs every packet a
 * look-up. Where the host wants it strict it is loose here: what goes from one network to another of the
 * same prefix comes in by another device than its source is behind.
 */
function settingsOf(device: string, loopback: boolean, filterOfAll: string): readonly Setting[] {
  const set = (family: 'ipv4' | 'ipv6', name: string, value: string): Setting => [
    ['net', family, 'conf', device, name],
    value,
  ]
  return [
    set('ipv4', 'rp_filter', filterOfAll === '1' ? '2' : '0'),
    set('ipv4', 'src_valid_mark', '1'),
    set('ipv4', 'send_redirects', '0'),
    set('ipv4', 'accept_redirects', '0'),
    set('ipv4', 'forwarding', '1'),
    // A connection that was led to 127.0.0.1 may go there, and its answers come back.
    set('ipv4', 'route_localnet', loopback ? '1' : '0'),
    set('ipv6', 'disable_ipv6', '0'),
    set('ipv6', 'accept_ra', '0'),
    set('ipv6', 'accept_redirects', '0'),
    // Linux 6.17: forwards by this device, whatever is set for all.
    set('ipv6', 'force_forwarding', '1'),
  ]
}

function peerSettingsOf(peer: string): readonly Setting[] {
  return [[['net', 'ipv6', 'conf', peer, 'disable_ipv6'], '1']]
}

interface Have extends Gateway {
  readonly sound: boolean
}

/** Who is told of what becomes of gateways. */
export interface GatewayListeners {
  /** A pair was marked. */
  dying(aside: Aside): void
  /** A device was made in place of one that somebody removed: whoever knows it by number knows the old one. */
  remade(device: string): void
}

export function gateways(context: Context, listeners: GatewayListeners): Resource<Gateway, Have> {
  const { kernel, devices, deviceLinks } = context
  /** The number under which each device was last seen. */
  const numbers = new Map<string, number>()

  return {
    kind: 'gateway',
    equal: (want, have) =>
      have.sound &&
      have.peer === want.peer &&
      have.mac === want.mac &&
      have.mtuBytes === want.mtuBytes &&
      have.alias === want.alias &&
      have.softwareChecksums === want.softwareChecksums &&
      have.loopback === want.loopback &&
      new Set(have.addresses).symmetricDifference(new Set(want.addresses)).size === 0,
    list(wanted, whole) {
      const links = whole
        ? kernel.links.list({ group: MARK.gatewayGroup })
        : wanted.flatMap(({ device }) => kernel.links.get(device) ?? [])
      return links.filter(({ group }) => group === MARK.gatewayGroup).map(haveOf)
    },
    put(want) {
      const link = standing(want.device)
      const index = link?.index ?? create(want)
      devices.set(want.device, index)
      const before = numbers.get(want.device)
      numbers.set(want.device, index)
      if (before !== undefined && before !== index) listeners.remade(want.device)
      if (link !== undefined) correct(want, link)
      putSettings(settingsOf(want.device, want.loopback, filterOfAll()))
      putSettings(peerSettingsOf(want.peer))
      kernel.batch((batch) => {
        if (link === undefined) batch.qdiscs.put({ device: index, egressBlock: MARK.gatewayBlock })
        batch.links.set(want.peer, { up: true })
        batch.links.set(index, { up: true })
        for (const address of want.addresses) {
          batch.addresses.put({ device: index, ...alone(address) })
        }
      })
      deviceLinks.putLater(index, 'egress', PROGRAM)
      untilHeard(kernel, want.addresses)
      if (kernel.offloads.checksumsSent(want.device) === want.softwareChecksums) {
        kernel.offloads.setChecksumsSent(want.device, !want.softwareChecksums)
      }
      for (const old of addressesOf(index)) {
        const ip = parseIP(old.address)
        if (ip === undefined || !want.addresses.includes(ip)) kernel.addresses.remove(old)
      }
    },
    remove(have) {
      const link = kernel.links.get(have.device)
      devices.forget(have.device)
      numbers.delete(have.device)
      if (link === undefined || link.group !== MARK.gatewayGroup) return
      deviceLinks.remove(link.index, 'egress')
      kernel.links.set(link.index, { group: MARK.dyingGroup })
      listeners.dying({ sandbox: { path: '', inode: 0 }, peer: { name: have.peer, mac: have.mac } })
    },
  }

  /** The device of this name, unless it is one that was marked and not deleted yet. */
  function standing(name: string): Link | undefined {
    const link = kernel.links.get(name)
    if (link === undefined || link.group === MARK.gatewayGroup) return link
    if (link.group !== MARK.dyingGroup) {
      throw new NetworkError(
        'conflict',
        `Cannot create device ${name}: a device of that name exists and is not ours`,
        { details: { device: name } },
      )
    }
    const other = link.peer === undefined ? undefined : kernel.links.get(link.peer)
    for (const end of other === undefined ? [link] : [link, other]) {
      kernel.links.set(end.index, { up: false })
      kernel.links.set(end.index, { name: dyingName(end) })
    }
    return undefined
  }

  function create(want: Gateway): number {
    return kernel.links.createVeth({
      name: want.device,
      mac: want.mac,
      mtuBytes: want.mtuBytes,
      group: MARK.gatewayGroup,
      alias: want.alias,
      addrGenMode: 'none',
      arp: false,
      peer: { name: want.peer, mtuBytes: want.mtuBytes, group: MARK.gatewayPeerGroup },
    }).index
  }

  function correct(want: Gateway, link: Link): void {
    const { index } = link
    if (clsactOf(kernel, index)?.egressBlock !== MARK.gatewayBlock) {
      kernel.qdiscs.put({ device: index, egressBlock: MARK.gatewayBlock })
    }
    kernel.links.set(index, {
      ...(link.mac === want.mac ? {} : { mac: want.mac }),
      ...(link.mtuBytes === want.mtuBytes ? {} : { mtuBytes: want.mtuBytes }),
      ...(link.alias === want.alias ? {} : { alias: want.alias }),
      ...(link.arp ? { arp: false } : {}),
    })
    const peer = link.peer === undefined ? undefined : kernel.links.get(link.peer)
    if (peer === undefined) return
    kernel.links.set(peer.index, {
      ...(peer.mtuBytes === want.mtuBytes ? {} : { mtuBytes: want.mtuBytes }),
      ...(peer.group === MARK.gatewayPeerGroup ? {} : { group: MARK.gatewayPeerGroup }),
    })
  }

  /** IPv6 settings are absent where IPv6 is, and `force_forwarding` on older kernels. */
  function putSettings(settings: readonly Setting[]): void {
    for (const [path, value] of settings) {
      const have = kernel.sysctl.read(path)
      if (have !== undefined && have !== value) kernel.sysctl.write(path, value)
    }
  }

  function filterOfAll(): string {
    return kernel.sysctl.read(FILTER_OF_ALL) ?? '0'
  }

  function isSet(settings: readonly Setting[]): boolean {
    return settings.every(([path, value]) => (kernel.sysctl.read(path) ?? value) === value)
  }

  /** Without those that the kernel made itself. */
  function addressesOf(index: number): readonly Address[] {
    return kernel.addresses.list({ device: index }).filter(({ scope }) => scope !== 'link')
  }

  function haveOf(link: Link): Have {
    devices.set(link.name, link.index)
    deviceLinks.putLater(link.index, 'egress', PROGRAM)
    if (!numbers.has(link.name)) numbers.set(link.name, link.index)
    const mac = link.mac === undefined ? undefined : parseMac(link.mac)
    if (mac === undefined) throw new Error(`device ${link.name} has no MAC address`)
    const peer = link.peer === undefined ? undefined : kernel.links.get(link.peer)
    const loopback =
      kernel.sysctl.read(['net', 'ipv4', 'conf', link.name, 'route_localnet']) === '1'
    return {
      kind: 'gateway',
      device: link.name,
      peer: peer?.name ?? '',
      mac,
      mtuBytes: link.mtuBytes,
      alias: link.alias ?? '',
      addresses: addressesOf(link.index).flatMap(({ address }) => parseIP(address) ?? []),
      softwareChecksums: !kernel.offloads.checksumsSent(link.name),
      loopback,
      sound:
        link.up &&
        !link.arp &&
        peer?.up === true &&
        peer.group === MARK.gatewayPeerGroup &&
        peer.mtuBytes === link.mtuBytes &&
        clsactOf(kernel, link.index)?.egressBlock === MARK.gatewayBlock &&
        isSet(settingsOf(link.name, loopback, filterOfAll())) &&
        isSet(peerSettingsOf(peer.name)),
    }
  }
}

function clsactOf(kernel: KernelView, device: number) {
  return kernel.qdiscs.list({ device }).find((each) => each.device === device)
}

function alone(address: IP) {
  return { address, prefixLength: bitsOf(familyOf(address)), noDad: true, noPrefixRoute: true }
}
