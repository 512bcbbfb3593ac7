/** Records for tests of the plan and of what follows it: only what matters is said, the rest is filled in. */

import { DEFAULT_MARK_MASK } from '../hoststate/marks.ts'
import type { Block } from '../model/block.ts'
import { type Endpoint, NO_SANDBOX, type PublishedEndpoint } from '../model/endpoint.ts'
import type { Host } from '../model/host.ts'
import type { Carrier, Network } from '../model/network.ts'
import type { Publication } from '../model/publication.ts'
import { familyOf } from '../net/ip.ts'
import { macForAddress } from '../net/mac.ts'
import { addressAt, prefixAround } from '../net/prefix.ts'
import { ip, mac, prefix } from '../net/testing.ts'
import { NO_LIMITS, type PathLimits } from './paths.ts'
import type { KnownEndpoints, Snapshot } from './plan.ts'

/** A host with these underlay addresses, in /24 and /64. */
export function hostOf(index: number, ...addresses: readonly string[]): Host {
  return {
    schema: 1,
    id: `host${index}`,
    name: `h${index}`,
    index,
    underlay: addresses.map(ip).map((address) => ({
      address,
      prefix: prefixAround(address, familyOf(address) === 4 ? 24 : 64),
      mac: mac(`02:00:00:00:00:0${index}`),
      mtuBytes: 1500,
    })),
    vxlanPort: 4789,
    carriers: ['vxlan', 'direct'],
    version: '0.0.0',
    publishedSequence: 0,
    epoch: 1,
  }
}

export function networkOf(
  name: string,
  vni: number,
  prefixes: readonly string[],
  carrier: Carrier,
): Network {
  const parsed = prefixes.map(prefix)
  return {
    schema: 1,
    id: `net-${name}`,
    name,
    vni,
    prefixes: parsed,
    gateways: parsed.flatMap((each) => addressAt(each, 1n) ?? []),
    carrier,
    internal: false,
    masquerade: true,
    open: [],
    labels: {},
    createdAt: '2026-01-01T00:00:00.000Z',
  }
}

export function remoteEndpointOf(
  name: string,
  network: Network,
  host: Host,
  addresses: readonly string[],
): PublishedEndpoint {
  const parsed = addresses.map(ip)
  return {
    schema: 1,
    id: `ep-${name}`,
    networkId: network.id,
    hostId: host.id,
    addresses: parsed,
    mac: macForAddress(network.vni, parsed[0] ?? ip('0.0.0.0')),
    name,
    labels: {},
    ifname: 'eth0',
    order: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
  }
}

export function endpointOf(
  name: string,
  network: Network,
  host: Host,
  addresses: readonly string[],
): Endpoint {
  return {
    ...remoteEndpointOf(name, network, host, addresses),
    sandbox: { path: `/run/netns/${name}`, inode: 4_026_532_000 },
    device: `ck${name}`,
    number: 1,
  }
}

/** Attached by a container engine. */
export function engineEndpointOf(
  name: string,
  network: Network,
  host: Host,
  addresses: readonly string[],
): Endpoint {
  return {
    ...endpointOf(name, network, host, addresses),
    ...{ attachment: 'engine', ifname: `cke${name}`, sandbox: NO_SANDBOX, run: 'run1' },
  }
}

export function snapshotOf(
  self: Host,
  networks: readonly Network[],
  endpoints: readonly (Endpoint | PublishedEndpoint)[],
  hosts: readonly Host[] = [self],
  paths: PathLimits = NO_LIMITS,
  blocks: readonly Block[] = [],
  publications: readonly Publication[] = [],
): Snapshot {
  const byId = <T extends { readonly id: string }>(items: readonly T[]): ReadonlyMap<string, T> =>
    new Map(items.map((item) => [item.id, item]))
  return {
    self,
    underlayDevices: ['eth0'],
    networks: byId(networks),
    hosts: byId(hosts),
    endpoints: knownEndpoints(endpoints),
    publications: byId(publications),
    paths,
    blocks: Map.groupBy(blocks, ({ networkId }) => networkId),
    packetMarkMask: DEFAULT_MARK_MASK,
    resolvers: [],
  }
}

export function blockOf(network: Network, host: Host, text: string): Block {
  return { schema: 1, networkId: network.id, prefix: prefix(text), hostId: host.id, epoch: 1 }
}

/** Port 53 of the host and of the container, in TCP, unless told otherwise. */
export function publishedOf(
  id: string,
  network: Network,
  host: Host,
  endpointName: string,
  fields: Partial<Publication> = {},
): Publication {
  return {
    ...{ schema: 1, id, networkId: network.id, hostId: host.id, protocol: 'tcp' },
    endpointId: `ep-${endpointName}`,
    ...{ hostPort: 53, containerPort: 53, count: 1 },
    createdAt: '2026-01-01T00:00:00.000Z',
    ...fields,
  }
}

export function knownEndpoints(
  endpoints: readonly (Endpoint | PublishedEndpoint)[],
): KnownEndpoints {
  return {
    get: (id) => endpoints.find((endpoint) => endpoint.id === id),
    values: () => endpoints,
    ofHost: (hostId) => endpoints.filter((endpoint) => endpoint.hostId === hostId),
  }
}
