/**
 * The small number by which this host tells networks apart whose prefixes overlap: in the mark of packets, in
 * zones of connections and in the number of a routing table (R11). Most networks overlap none and have 0.
 */

import { MAX_INDEX } from '../hoststate/marks.ts'
import type { Network } from '../model/network.ts'
import { prefixesOverlap } from '../net/prefix.ts'

type Numbered = Pick<Network, 'id' | 'vni' | 'prefixes'> & Partial<Pick<Network, 'internal'>>

/**
 * The index of each network that has a gateway here, by network id. The one with the lowest VNI of those that
 * overlap has none; the others start from a number made of their VNI, so that coming and going of one seldom
 * concerns another. More than 255 of them are left out: they have no gateway. Internal networks always have one, and none that overlap only them.
 */
export function gatewayIndexes(networks: Iterable<Numbered>): ReadonlyMap<string, number> {
  const sorted = [...networks].sort((a, b) => a.vni - b.vni)
  const indexes = new Map<string, number>()
  const taken = new Set<number>()
  for (const [i, network] of sorted.entries()) {
    const isDouble = (lower: Numbered): boolean => !isHidden(lower) && overlap(lower, network)
    const index =
      isHidden(network) || sorted.slice(0, i).some(isDouble) ? freeIndex(network.vni, taken) : 0
    if (index === undefined) continue
    indexes.set(network.id, index)
    if (index !== 0) taken.add(index)
  }
  return indexes
}

/** The host's own packets never go into an internal network: its routes are in no table that they ask. */
function isHidden({ internal }: Numbered): boolean {
  return internal === true
}

function overlap(a: Numbered, b: Numbered): boolean {
  return a.prefixes.some((prefix) => b.prefixes.some((other) => prefixesOverlap(prefix, other)))
}

function freeIndex(vni: number, taken: ReadonlySet<number>): number | undefined {
  for (let step = 0; step < MAX_INDEX; step++) {
    const index = ((vni + step) % MAX_INDEX) + 1
    if (!taken.has(index)) return index
  }
  return undefined
}
