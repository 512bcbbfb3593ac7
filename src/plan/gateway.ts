/**
 * The host's own place in a network. A packet of a container for the outside comes into the host's stack by
 * the gateway device and leaves translated or plainly; one for the network is routed into that device. The
 * host sends from the address that it has in its highest block; the gateway's address, which every host has,
 * answers and never asks (R4).
 */

import { packetMarks } from '../hoststate/marks.ts'
import type { Wanted } from '../hoststate/state.ts'
import { FABRIC_MAC, MARK } from '../hoststate/state.ts'
import type { Block } from '../model/block.ts'
import type { Host } from '../model/host.ts'
import { hostAddressOf } from '../model/host-address.ts'
import type { Network } from '../model/network.ts'
import { type Family, familyOf, type IP, ipToNumber } from '../net/ip.ts'
import { type Prefix, prefixAroundAll, prefixContains, prefixFamily } from '../net/prefix.ts'
import { acceptsRemote } from './carriers/carrier.ts'

/** linux/rtnetlink.h RT_TABLE_MAIN */
const MAIN_TABLE = 254

/** What of the cluster the host's part in one network depends on. */
export interface NetworkPlace {
  readonly hostId: string
  readonly host: (id: string) => Host | undefined
  /** Blocks of the network, everybody's. */
  readonly blocks: readonly Block[]
  /** As `gatewayIndexes()` has it; undefined: the network has no gateway here. */
  readonly index: number | undefined
  readonly mtuBytes: number
  readonly packetMarkMask: number
  /** As `sumsInSoftware()` has it. */
  readonly softwareChecksums: boolean
  /** Where its containers ask for names, and the port of theirs; absent: they are not answered. */
  readonly resolver?: { readonly addresses: readonly IP[]; readonly port: number }
}

/** Name of the gateway's device: of the VNI, which never belongs to another network. linux/if.h IFNAMSIZ */
export function gatewayDevice({ vni }: Pick<Network, 'vni'>): string {
  return `${MARK.devicePrefix}g${vni}`
}

/**
 * True when a network has a gateway on the hosts where it is in use: an internal one only where names are
 * served, and for that alone.
 */
export function wantsGateway({ internal }: Network, namesServed: boolean): boolean {
  return !internal || namesServed
}

/** The gateway as the datapath's entry for the network tells it; undefined when there is none. */
export function gatewayOf(
  network: Network,
  { index, packetMarkMask }: NetworkPlace,
): { readonly device: string; readonly mark: number } | undefined {
  if (index === undefined) return undefined
  return { device: gatewayDevice(network), mark: packetMarks(packetMarkMask).ofIndex(index) }
}

/** Device, addresses, routes and rules of this host in the network, and where the other hosts' addresses are. */
export function planGateway(network: Network, place: NetworkPlace): readonly Wanted[] {
  const others = planOtherHosts(network, place)
  if (place.index === undefined) return others
  return [...planOwn(network, place, place.index), ...others]
}

function planOwn(network: Network, place: NetworkPlace, index: number): readonly Wanted[] {
  const { vni, prefixes, gateways, carrier } = network
  const { mtuBytes, packetMarkMask, resolver } = place
  const device = gatewayDevice(network)
  const own = network.internal ? [] : ownAddresses(network, place)
  const shared = network.internal ? [] : gateways
  const addresses = [...own, ...shared]
  const families = [...new Set(prefixes.map(prefixFamily))]
  const loopback = network.open.includes('host-loopback') && !network.internal
  return [
    {
      kind: 'gateway',
      device,
      peer: `${MARK.devicePrefix}h${vni}`,
      mac: FABRIC_MAC,
      mtuBytes,
      alias: `gateway of ${network.name}`,
      addresses,
      softwareChecksums: place.softwareChecksums,
      loopback,
    },
    { kind: 'gateway-entry', device, vni, carrier, mtuBytes, around: aroundAll(prefixes) },
    {
      kind: 'gateway-rules',
      device,
      index,
      packetMarkMask,
      addresses,
      hairpin: families.flatMap((family) => sourceFor(family, own, shared) ?? []),
      prefixes,
      routed: network.internal ? [] : prefixes.filter((prefix) => !isTranslated(network, prefix)),
      ...(resolver === undefined ? {} : { resolver }),
      ...(network.internal ? { internal: true } : {}),
      ...(loopback ? { loopback } : {}),
    },
    ...planRoutes(network, device, index, own, shared),
    ...(index === 0 ? [] : families.flatMap((family) => planRules(family, network, index, place))),
    ...[...own, ...furtherGateways(shared)].map(
      (address): Wanted => ({
        kind: 'endpoint',
        vni,
        address,
        mac: FABRIC_MAC,
        at: { device },
        host: true,
      }),
    ),
  ]
}

/** Each prefix leads into the gateway; the source is of the same prefix if this host has one there. */
function planRoutes(
  { prefixes }: Network,
  device: string,
  index: number,
  own: readonly IP[],
  gateways: readonly IP[],
): readonly Wanted[] {
  return prefixes.map((prefix): Wanted => {
    const inside = own.filter((address) => prefixContains(prefix, address))
    const source = sourceFor(prefixFamily(prefix), inside.length > 0 ? inside : own, gateways)
    return {
      kind: 'host-route',
      prefix,
      table: index === 0 ? MAIN_TABLE : MARK.routeTableBase + index,
      device,
      ...(source === undefined ? {} : { source }),
    }
  })
}

/** Marked packets, and sockets bound to the device, ask the network's own table. */
function planRules(
  family: Family,
  network: Network,
  index: number,
  { packetMarkMask }: NetworkPlace,
): readonly Wanted[] {
  const marks = packetMarks(packetMarkMask)
  const table = MARK.routeTableBase + index
  const rule = { kind: 'host-rule', family, priority: MARK.rulePriority, table } as const
  const marked = { ...rule, mark: marks.ofIndex(index), mask: marks.indexMask }
  return network.internal ? [marked] : [marked, { ...rule, outputDevice: gatewayDevice(network) }]
}

/** Where the addresses are that other hosts have for themselves. */
function planOtherHosts(network: Network, place: NetworkPlace): readonly Wanted[] {
  if (network.internal || !acceptsRemote(network)) return []
  return place.blocks.flatMap((block): Wanted[] => {
    if (block.hostId === place.hostId) return []
    const [address, host] = [hostAddressOf(network, block.prefix), place.host(block.hostId)]
    if (address === undefined || host === undefined) return []
    const at = { hostIndex: host.index }
    return [{ kind: 'endpoint', vni: network.vni, address, mac: FABRIC_MAC, at }]
  })
}

/** This host's own addresses, the one of its highest block first. */
function ownAddresses(network: Network, { hostId, blocks }: NetworkPlace): readonly IP[] {
  return blocks
    .filter((block) => block.hostId === hostId)
    .flatMap((block) => hostAddressOf(network, block.prefix) ?? [])
    .sort((a, b) => familyOf(a) - familyOf(b) || (ipToNumber(a) > ipToNumber(b) ? -1 : 1))
}

/** An own address of the family, else the gateway's, which only this host's containers can answer. */
function sourceFor(family: Family, own: readonly IP[], gateways: readonly IP[]): IP | undefined {
  return [...own, ...gateways].find((address) => familyOf(address) === family)
}

/** The datapath knows the first gateway of each family by itself. */
function furtherGateways(gateways: readonly IP[]): readonly IP[] {
  return gateways.filter((gateway, i) =>
    gateways.slice(0, i).some((earlier) => familyOf(earlier) === familyOf(gateway)),
  )
}

/** IPv4 addresses and unique local ones (RFC 4193) mean nothing outside; global IPv6 addresses do. */
function isTranslated({ masquerade }: Network, prefix: Prefix): boolean {
  return masquerade && (prefixFamily(prefix) === 4 || /^f[cd]/.test(prefix))
}

/** One prefix of each family, IPv4 first, with all that the network has of it. */
function aroundAll(prefixes: readonly Prefix[]): readonly Prefix[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = prefixes.filter((prefix) => prefixFamily(prefix) === family)
    return prefixAroundAll(own) ?? []
  })
}
