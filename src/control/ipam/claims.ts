/**
 * The transactions by which addresses get owners (R5, R9), as data. A block is claimed when nothing overlaps
 * it and no address inside is claimed; an address is claimed when no block covers it. Both ask in the same
 * breath that the network is there, that this host was not removed, and that no recovery is under way. So two
 * claims that would overlap can never both succeed, in whatever order they reach the store.
 */

import type { AddressClaim, Block } from '../../model/block.ts'
import { addressKeysIn, blockKeysIn, keys } from '../../model/keys.ts'
import type { IP } from '../../net/ip.ts'
import { type Prefix, prefixAddress, prefixLength } from '../../net/prefix.ts'
import type {
  Compare,
  KeyRange,
  Operation,
  Transaction,
  TransactionResult,
} from '../../store/store.ts'
import { addressOfKey, blockOfKey, ipamKeys } from './ipam-keys.ts'
import { coveringBlocks } from './layout.ts'
import { retiredKey } from './retired.ts'

export interface Claimant {
  readonly hostId: string
  readonly epoch: number
  /** True for what this host had before the store was restored: a recovery does not hold it up. */
  readonly again?: boolean
}

export function absent(range: KeyRange): Compare {
  return { range, target: 'createRevision', is: '=', value: 0 }
}

export function present(key: string): Compare {
  return { range: { key }, target: 'createRevision', is: '>', value: 0 }
}

export function unchanged(key: string, modRevision: number): Compare {
  return { range: { key }, target: 'modRevision', is: '=', value: modRevision }
}

function standing(networkId: string, parent: Prefix, claimant: Claimant): readonly Compare[] {
  const always = [
    present(keys.network(networkId)),
    absent({ key: retiredKey(networkId, parent) }),
    present(keys.host(claimant.hostId)),
  ]
  return claimant.again === true ? always : [...always, absent({ key: ipamKeys.restoreOpen })]
}

/** What a lost claim wants to know before it tries elsewhere. */
function surroundings(networkId: string, parent: Prefix, claimant: Claimant): readonly Operation[] {
  const read = (range: KeyRange): Operation => ({
    kind: 'range',
    range,
    options: { keysOnly: true },
  })
  return [
    read({ prefix: keys.blocks(networkId) }),
    read({ prefix: keys.addresses(networkId) }),
    read({ key: keys.network(networkId) }),
    read({ key: keys.host(claimant.hostId) }),
    read({ key: ipamKeys.restoreOpen }),
    read({ key: retiredKey(networkId, parent) }),
  ]
}

/** Claims `block`, a piece of the network's prefix `parent`. */
export function claimBlock(
  networkId: string,
  parent: Prefix,
  block: Prefix,
  claimant: Claimant,
): Transaction {
  const record: Block = {
    schema: 1,
    networkId,
    prefix: block,
    hostId: claimant.hostId,
    epoch: claimant.epoch,
  }
  const wider = coveringBlocks(parent, prefixAddress(block)).filter(
    (other) => prefixLength(other) < prefixLength(block),
  )
  return {
    compare: [
      ...standing(networkId, parent, claimant),
      absent(blockKeysIn(networkId, block)),
      absent(addressKeysIn(networkId, block)),
      ...wider.map((other) => absent({ key: keys.block(networkId, other) })),
    ],
    success: [{ kind: 'put', key: keys.block(networkId, block), value: JSON.stringify(record) }],
    failure: surroundings(networkId, parent, claimant),
  }
}

/** Claims one address that no block covers; its surroundings become static: nobody claims a block there. */
export function claimAddress(
  networkId: string,
  parent: Prefix,
  address: IP,
  endpointId: string,
  claimant: Claimant,
): Transaction {
  const record: AddressClaim = {
    schema: 1,
    networkId,
    address,
    hostId: claimant.hostId,
    endpointId,
  }
  return {
    compare: [
      ...standing(networkId, parent, claimant),
      absent({ key: keys.address(networkId, address) }),
      ...coveringBlocks(parent, address).map((block) =>
        absent({ key: keys.block(networkId, block) }),
      ),
    ],
    success: [
      { kind: 'put', key: keys.address(networkId, address), value: JSON.stringify(record) },
    ],
    failure: surroundings(networkId, parent, claimant),
  }
}

/** Why nothing at all can be claimed there now. */
export type ClaimObstacle = 'network-gone' | 'prefix-gone' | 'host-gone' | 'recovery'

export type ClaimOutcome =
  | { readonly kind: 'won'; readonly revision: number }
  | { readonly kind: ClaimObstacle; readonly revision: number }
  | {
      readonly kind: 'taken'
      readonly revision: number
      readonly blocks: readonly Prefix[]
      readonly addresses: readonly IP[]
    }

/** Reads the answer to `claimBlock` and `claimAddress`. */
export function readClaim(
  networkId: string,
  claimant: Claimant,
  result: TransactionResult,
): ClaimOutcome {
  const { revision } = result
  if (result.succeeded) return { kind: 'won', revision }
  const keysOf = (index: number): readonly string[] => {
    const part = result.results[index]
    return part?.kind === 'range' ? part.items.map((item) => item.key) : []
  }
  if (keysOf(2).length === 0) return { kind: 'network-gone', revision }
  if (keysOf(5).length > 0) return { kind: 'prefix-gone', revision }
  if (keysOf(3).length === 0) return { kind: 'host-gone', revision }
  if (claimant.again !== true && keysOf(4).length > 0) return { kind: 'recovery', revision }
  return {
    kind: 'taken',
    revision,
    blocks: keysOf(0).flatMap((key) => blockOfKey(networkId, key) ?? []),
    addresses: keysOf(1).flatMap((key) => addressOfKey(networkId, key) ?? []),
  }
}
