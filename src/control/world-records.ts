/** What the books of a simulated cluster read of the store. */

import type { AddressClaim, Block } from '../model/block.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Store } from '../store/store.ts'

/** All that the books compare of an endpoint. */
export function nameOf({ networkId, hostId, id, addresses }: Endpoint): string {
  return `${networkId} ${hostId} ${id} ${addresses.join(' ')}`
}

/** True for what the host has claimed in the network. */
export function owns(record: Block | AddressClaim, networkId: string, hostId: string): boolean {
  return record.networkId === networkId && record.hostId === hostId
}

/** The records under a prefix of keys. */
export async function readAll<T>(store: Store, prefix: string): Promise<readonly T[]> {
  const { items } = await store.range({ prefix })
  return items.map(({ value }): T => JSON.parse(value))
}
