/** Why nothing more could be attached to a network, from what this host knows without asking anybody. */

import type { Network } from '../model/network.ts'
import { prefixFamily, prefixSize } from '../net/prefix.ts'
import type { Replica } from '../store/replica/replica.ts'
import { ipamView } from './ipam-view.ts'

/** Undefined when there is nothing in the way. */
export function fullnessOf(network: Network, replica: Replica): string | undefined {
  const count = BigInt(replica.endpointCount(network.id))
  // Prefixes that are mostly empty need not be counted address by address.
  const roomy = network.prefixes.every((prefix) => {
    const size = prefixSize(prefix)
    return size > 8n && count * 2n < size
  })
  if (roomy) return undefined
  const { prefixes } = ipamView(network, replica)
  for (const family of [4, 6] as const) {
    const own = prefixes.filter(({ prefix }) => prefixFamily(prefix) === family)
    if (own.length === 0 || own.some(({ free }) => free > 0n)) continue
    const named = own.map(({ prefix }) => prefix).join(' and ')
    return `network ${network.name} has no free address left in ${named}`
  }
  return undefined
}
