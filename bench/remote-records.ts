/**
 * Made-up hosts with made-up endpoints, as records of the shared store: what a host sees of a large cluster
 * that does not exist. Pure. Their blocks lie at the low end of the prefix, where no daemon claims by itself.
 */
import { blockLength } from '../src/control/ipam/layout.ts'
import type { PublishedEndpoint } from '../src/model/endpoint.ts'
import type { Host } from '../src/model/host.ts'
import { keys } from '../src/model/keys.ts'
import type { Network } from '../src/model/network.ts'
import { type IP, parseIP } from '../src/net/ip.ts'
import { macForAddress } from '../src/net/mac.ts'
import { addressAt, type Prefix, parsePrefix, subPrefix } from '../src/net/prefix.ts'

export interface StoreRecord {
  readonly key: string
  readonly value: string
}

/** Made-up hosts have indices from here, far from what the counter gives real ones. */
const FIRST_INDEX = 1000
const CREATED_AT = '2026-01-01T00:00:00.000Z'

/** The host, its blocks and its endpoints in one network. `index` counts the made-up hosts from 0. */
export function recordsOfHost(
  network: Network,
  index: number,
  endpoints: number,
): readonly StoreRecord[] {
  const host = hostOf(index)
  return [
    record(keys.host(host.id), host),
    ...blocksOf(network, index).map((prefix) =>
      record(keys.block(network.id, prefix), {
        schema: 1,
        networkId: network.id,
        prefix,
        hostId: host.id,
        epoch: host.epoch,
      }),
    ),
    ...Array.from({ length: endpoints }, (_, number) => endpointRecord(network, index, number, 0)),
  ]
}

/** One endpoint; another `generation` is another container with the same address. */
export function endpointRecord(
  network: Network,
  hostIndex: number,
  number: number,
  generation: number,
): StoreRecord {
  const { id: hostId } = hostOf(hostIndex)
  const addresses = blocksOf(network, hostIndex).map((block): IP => {
    const address = addressAt(block, BigInt(number))
    if (address === undefined) throw new Error(`No address ${number} in ${block}`)
    return address
  })
  const [first] = addresses
  if (first === undefined) throw new Error(`Network ${network.name} has no prefix`)
  const endpoint: PublishedEndpoint = {
    schema: 1,
    id: `bench${padded(hostIndex)}e${padded(number)}`,
    networkId: network.id,
    hostId,
    addresses,
    mac: macForAddress(network.vni + generation, first),
    name: `remote-${hostIndex}-${number}`,
    labels: { app: 'bench' },
    ifname: 'eth0',
    order: 0,
    createdAt: CREATED_AT,
  }
  return record(keys.endpoint(network.id, hostId, endpoint.id), endpoint)
}

function hostOf(index: number): Host {
  const address = parseIP(`198.18.${index >> 8}.${index & 255}`)
  const prefix = parsePrefix('198.18.0.0/15')
  if (address === undefined || prefix === undefined) throw new Error(`No address for host ${index}`)
  return {
    schema: 1,
    id: `benchhost${padded(index)}`,
    name: `bench-${index}`,
    index: FIRST_INDEX + index,
    underlay: [{ address, prefix, mac: macForAddress(0, address), mtuBytes: 1500 }],
    vxlanPort: 4789,
    carriers: ['vxlan', 'direct'],
    version: '0.1.0',
    publishedSequence: 0,
    epoch: 1,
  }
}

/** One block of each family; the first of the prefix holds the gateway and is left out. */
function blocksOf(network: Network, index: number): readonly Prefix[] {
  return network.prefixes.map((prefix) => {
    const block = subPrefix(prefix, blockLength(prefix), BigInt(index + 1))
    if (block === undefined) throw new Error(`No block ${index + 1} in ${prefix}`)
    return block
  })
}

function record(key: string, value: unknown): StoreRecord {
  return { key, value: JSON.stringify(value) }
}

function padded(number: number): string {
  return String(number).padStart(5, '0')
}
