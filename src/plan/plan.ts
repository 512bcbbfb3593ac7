/**
 * The plan: what this host's kernel should contain, from what is known of the cluster. Pure, and one small
 * function per object, each with its inputs by name, so that a change plans one object and nothing else
 * (R21). Called for every object it gives the whole HostState.
 */

import { packetMarks } from '../hoststate/marks.ts'
import type { HostState, ObjectKey, Peer, Wanted } from '../hoststate/state.ts'
import { FABRIC_MAC, MARK } from '../hoststate/state.ts'
import type { Block } from '../model/block.ts'
import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import type { Host } from '../model/host.ts'
import { reachedAt } from '../model/link-local.ts'
import type { Network } from '../model/network.ts'
import type { Publication } from '../model/publication.ts'
import { type Family, familyOf, type IP } from '../net/ip.ts'
import { prefixFamily } from '../net/prefix.ts'
import { planEngine } from './attachments/engine.ts'
import { planVeth } from './attachments/veth.ts'
import { acceptsDirect, acceptsRemote, carrierPlan, carriersOf } from './carriers/carrier.ts'
import { gatewayOf, type NetworkPlace, planGateway, wantsGateway } from './gateway.ts'
import { gatewayIndexes } from './gateway-index.ts'
import { planPassage } from './passage.ts'
import { type PathLimit, type PathLimits, sumsInSoftware } from './paths.ts'
import { planProbes } from './probes.ts'
import { planPublication } from './publication.ts'
import { planResolver, resolverDoors, resolverOf, resolverPorts } from './resolver.ts'

/** Endpoints as the plan reads them; there may be tens of thousands, which nobody need hold at once. */
export interface KnownEndpoints {
  get(id: string): Endpoint | PublishedEndpoint | undefined
  values(): Iterable<Endpoint | PublishedEndpoint>
  ofHost(hostId: string): Iterable<Endpoint | PublishedEndpoint>
}

/** What is known of the cluster, and of this host's place in it. */
export interface Snapshot {
  readonly self: Host
  /** Devices on which packets of other hosts arrive. */
  readonly underlayDevices: readonly string[]
  readonly networks: ReadonlyMap<string, Network>
  readonly hosts: ReadonlyMap<string, Host>
  readonly endpoints: KnownEndpoints
  /** Those of this host. */
  readonly publications: ReadonlyMap<string, Publication>
  /** What probes found of the ways to other hosts. */
  readonly paths: PathLimits
  /** By network id. */
  readonly blocks: ReadonlyMap<string, readonly Block[]>
  readonly packetMarkMask: number
  /** Where names are asked for, at most one per family; empty: they are not served. */
  readonly resolvers: readonly IP[]
}

/** Everything, planned at once. */
export function planAll(snapshot: Snapshot): HostState {
  return new Map(planObjects(snapshot))
}

/** Everything, one object after the other: at start, on the timer, after a resync. */
export function* planObjects(
  snapshot: Snapshot,
): Generator<readonly [ObjectKey, readonly Wanted[]]> {
  const { self, underlayDevices, networks, hosts, endpoints, paths, packetMarkMask } = snapshot
  const { resolvers } = snapshot
  const hostOf = (id: string): Host | undefined => hosts.get(id)
  const withGateway = gatewayNetworks(snapshot)
  const [indexes, ports] = [gatewayIndexes(withGateway), resolverPorts(withGateway)]
  yield [
    'base',
    planBase(self, underlayDevices, networks.values(), { packetMarkMask, resolvers, indexes }),
  ]
  yield ['gateways', planGateways(networks, indexes)]
  yield ['probes', planProbes(self, hosts.values(), networks.values(), packetMarkMask)]
  for (const network of networks.values()) {
    const place = {
      hostId: self.id,
      host: hostOf,
      blocks: snapshot.blocks.get(network.id) ?? [],
      index: indexes.get(network.id),
      mtuBytes: networkMtuBytes(network, self),
      packetMarkMask,
      softwareChecksums: sumsInSoftware(network, paths, self, hostOf),
      ...resolverOf(resolvers, ports.get(network.id)),
    }
    yield [`network/${network.id}`, planNetwork(network, place)]
  }
  for (const host of hosts.values()) {
    yield [`host/${host.id}`, planHost(host, self, paths.get(host.id))]
  }
  for (const endpoint of endpoints.values()) {
    const network = networks.get(endpoint.networkId)
    const host = hosts.get(endpoint.hostId)
    const sums = network !== undefined && sumsInSoftware(network, paths, self, hostOf)
    yield [`endpoint/${endpoint.id}`, planEndpoint(endpoint, network, host, self, sums, resolvers)]
  }
  for (const publication of snapshot.publications.values()) {
    const { id, networkId, endpointId } = publication
    const index = indexes.get(networkId)
    if (index === undefined) continue
    const place = { hostId: self.id, index, packetMarkMask }
    const [endpoint, network] = [endpoints.get(endpointId), networks.get(networkId)]
    yield [`publication/${id}`, planPublication(publication, endpoint, network, place)]
  }
}

/** Networks that have a gateway here: this host has a block or an endpoint of theirs. */
function gatewayNetworks({
  self,
  networks,
  endpoints,
  blocks,
  resolvers,
}: Snapshot): readonly Network[] {
  const used = new Set<string>()
  for (const [id, each] of blocks) if (each.some(({ hostId }) => hostId === self.id)) used.add(id)
  for (const { networkId } of endpoints.ofHost(self.id)) used.add(networkId)
  const namesServed = resolvers.length > 0
  return [...networks.values()].filter(
    (network) => used.has(network.id) && wantsGateway(network, namesServed),
  )
}

/** What the base depends on besides hosts and networks. */
export interface BaseFacts {
  readonly packetMarkMask: number
  readonly resolvers: readonly IP[]
  /** Of the networks with a gateway here, by network id. */
  readonly indexes: ReadonlyMap<string, number>
}

/** What every packet needs: programs, the slow path's device, the table, and the rules behind it. */
export function planBase(
  self: Host,
  underlayDevices: readonly string[],
  networks: Iterable<Network>,
  { packetMarkMask, resolvers, indexes }: BaseFacts,
): readonly Wanted[] {
  const all = [...networks]
  const { unchecked } = packetMarks(packetMarkMask)
  return [
    {
      kind: 'ruleset',
      table: MARK.table,
      endpointGroup: MARK.endpointGroup,
      packetMarkMask,
      vxlanPort: self.vxlanPort,
      indexed: [...indexes.values()].some((index) => index > 0),
      ...resolverDoors(resolvers, underlayDevices),
    },
    ...planPassage(all, packetMarkMask, resolvers.length > 0),
    { kind: 'closing', mark: unchecked },
    ...planResolver(resolvers),
    { kind: 'vxlan-device', name: MARK.vxlanDevice, port: self.vxlanPort },
    {
      kind: 'config',
      fabricMac: FABRIC_MAC,
      vxlanPort: self.vxlanPort,
      vxlanDevice: MARK.vxlanDevice,
      addresses: self.underlay.map(({ address }) => address),
      direct: all.some(acceptsDirect),
      packetMarkMask,
      resolvers,
    },
    {
      kind: 'block',
      block: MARK.endpointBlock,
      anchor: MARK.anchorDevice,
      direction: 'ingress',
    },
    { kind: 'block', block: MARK.gatewayBlock, anchor: MARK.anchorPeer, direction: 'egress' },
    { kind: 'program', at: { block: MARK.endpointBlock }, program: 'from_container' },
    { kind: 'program', at: { block: MARK.gatewayBlock }, program: 'to_network' },
    { kind: 'program', at: { device: MARK.vxlanDevice }, program: 'from_vxlan_device' },
    ...underlayDevices.map(
      (device): Wanted => ({ kind: 'program', at: { device }, program: 'from_underlay' }),
    ),
  ]
}

/** What all gateways need together. */
export function planGateways(
  networks: ReadonlyMap<string, Network>,
  indexes: ReadonlyMap<string, number>,
): readonly Wanted[] {
  const families = new Set<Family>()
  let reflectMarks = false
  for (const [id, index] of indexes) {
    const network = networks.get(id)
    if (network === undefined || network.internal) continue
    for (const prefix of network.prefixes) families.add(prefixFamily(prefix))
    if (index !== 0) reflectMarks = true
  }
  if (families.size === 0) return []
  return [{ kind: 'forwarding', families: [...families].sort(), reflectMarks }]
}

/** The network as the datapath knows it, and this host's own place in it. */
export function planNetwork(network: Network, place: NetworkPlace): readonly Wanted[] {
  const gateway = gatewayOf(network, place)
  const entry: Wanted = {
    kind: 'network',
    vni: network.vni,
    prefixes: network.prefixes,
    gateways: network.gateways,
    ...(gateway === undefined ? {} : { gateway }),
    openMetadata: network.open.includes('metadata'),
    internal: network.internal,
  }
  const gatewayParts = planGateway(network, place)
  if (!acceptsDirect(network)) return [entry, ...gatewayParts]
  return [
    entry,
    ...gatewayParts,
    ...network.prefixes.map(
      (prefix): Wanted => ({ kind: 'direct-prefix', prefix, vni: network.vni }),
    ),
  ]
}

/** How packets reach another host: nothing for this one, nor for one without a family in common. */
export function planHost(host: Host, self: Host, limit?: PathLimit): readonly Wanted[] {
  if (host.id === self.id) return []
  for (const local of self.underlay) {
    const remote = host.underlay.find((each) => familyOf(each.address) === familyOf(local.address))
    if (remote === undefined) continue
    const onLink = remote.prefix === local.prefix
    const peer: Peer = {
      kind: 'peer',
      index: host.index,
      remote: remote.address,
      local: local.address,
      vxlanPort: host.vxlanPort,
      onLink,
      ...(onLink ? { mac: remote.mac } : {}),
      ...(limit?.mtuBytes === undefined ? {} : { mtuLimitBytes: limit.mtuBytes }),
    }
    return [peer]
  }
  return []
}

/**
 * A container of this host gets its pair and its entries; one of another host is an entry that points
 * there; a network without this record, or one that never leaves its host, is no place for a remote one.
 * An address that is only held is nowhere.
 */
export function planEndpoint(
  endpoint: Endpoint | PublishedEndpoint,
  network: Network | undefined,
  host: Host | undefined,
  self: Host,
  softwareChecksums: boolean,
  resolvers: readonly IP[],
): readonly Wanted[] {
  if (network === undefined || endpoint.attachment === 'held') return []
  if ('sandbox' in endpoint && endpoint.hostId === self.id) {
    const mtuBytes = networkMtuBytes(network, self)
    return endpoint.attachment === 'engine'
      ? planEngine(endpoint, network, mtuBytes, softwareChecksums)
      : planVeth(endpoint, network, mtuBytes, softwareChecksums, resolvers)
  }
  if (host === undefined || host.id === self.id || !acceptsRemote(network)) return []
  const { vni } = network
  const { mac } = endpoint
  const at = { hostIndex: host.index }
  return reachedAt(endpoint).map((address): Wanted => ({ kind: 'endpoint', vni, address, mac, at }))
}

/**
 * The MTU inside containers: as set, else the underlay's less what the carrier adds; of two carriers, the
 * one that adds more.
 */
export function networkMtuBytes(network: Network, self: Host): number {
  if (network.mtuBytes !== undefined) return network.mtuBytes
  const underlay = self.underlay[0]
  if (underlay === undefined) return 1500
  const mtus = self.underlay.map((each) => each.mtuBytes)
  const overheads = carriersOf(network).map((carrier) =>
    carrierPlan(carrier).overheadBytes(familyOf(underlay.address)),
  )
  return Math.min(...mtus) - Math.max(...overheads)
}
