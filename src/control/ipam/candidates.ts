/**
 * Where a host looks for addresses next: a free block from the far end of the prefix (people type low
 * addresses), else single addresses between other claims, else addresses that another host has to spare.
 * Pure: from what is known to what to try.
 */

import { type IP, ipFromNumber } from '../../net/ip.ts'
import {
  type Prefix,
  prefixAddress,
  prefixAround,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
  prefixLength,
  prefixRange,
  prefixSize,
  subPrefix,
} from '../../net/prefix.ts'
import { common } from './areas.ts'
import { blockLength, reservedAddresses } from './layout.ts'

export interface Terrain {
  readonly prefix: Prefix
  /** Part of the prefix that is looked at; absent: all of it. */
  readonly area?: Prefix
  readonly gateway: IP
  /** Every block known to be claimed in the network, whoever owns it. */
  readonly blocks: Iterable<Prefix>
  /** Every address known to be claimed by itself. */
  readonly claims: Iterable<IP>
}

/** Up to `limit` blocks nobody is known to own, the farthest first. */
export function freeBlocks(terrain: Terrain, limit: number): readonly Prefix[] {
  const { prefix, area = prefix } = terrain
  const length = blockLength(prefix)
  if (prefixLength(area) > length) return []
  const obstacles = obstaclesOf(terrain, length)
  const found: Prefix[] = []
  const count = 1n << BigInt(length - prefixLength(area))
  for (let index = count - 1n; index >= 0n && found.length < limit; index--) {
    const block = subPrefix(area, length, index)
    if (block !== undefined && !obstacles.meets(block) && hasRoom(block, terrain)) found.push(block)
  }
  return found
}

interface Obstacles {
  meets(block: Prefix): boolean
}

/** Blocks of the usual length are looked up; the few of another length are compared one by one. */
function obstaclesOf(terrain: Terrain, length: number): Obstacles {
  const usual = new Set<Prefix>()
  const others: Prefix[] = []
  for (const block of terrain.blocks) {
    if (!prefixContains(terrain.prefix, prefixAddress(block))) continue
    if (prefixLength(block) === length) usual.add(block)
    else others.push(block)
  }
  for (const address of terrain.claims) {
    if (prefixContains(terrain.prefix, address)) usual.add(prefixAround(address, length))
  }
  return {
    meets: (block) => usual.has(block) || others.some((other) => prefixesOverlap(other, block)),
  }
}

/** False when every address of the block is reserved. */
function hasRoom(block: Prefix, { prefix, gateway }: Terrain): boolean {
  const size = prefixSize(block)
  if (size > 3n) return true
  let reserved = 0n
  for (const address of reservedAddresses(prefix, gateway)) {
    if (prefixContains(block, address)) reserved++
  }
  return size > reserved
}

/**
 * Addresses outside every block that may be claimed one by one, at most `limit`: those beside other single
 * claims, since everything else has been claimed in blocks by the time this is asked; and in all of an area that
 * is smaller than a block.
 */
export function looseAddresses(
  terrain: Terrain,
  isFree: (address: IP) => boolean,
  limit: number,
): readonly IP[] {
  const { prefix, area = prefix } = terrain
  const length = blockLength(prefix)
  const blocks = [...terrain.blocks]
  const claims = new Set(terrain.claims)
  const regions = new Set<Prefix>()
  for (const address of claims) {
    if (prefixContains(area, address)) regions.add(prefixAround(address, length))
  }
  if (prefixLength(area) > length) regions.add(area)
  const found: IP[] = []
  for (const region of regions) {
    if (blocks.some((block) => prefixesOverlap(block, region))) continue
    const mayBe = (a: IP): boolean => !claims.has(a) && !found.includes(a) && isFree(a)
    const more = freeAddresses(common(region, area) ?? region, terrain, mayBe)
    for (const address of more) {
      if (found.length >= limit) return found
      found.push(address)
    }
  }
  return found
}

/** The unreserved addresses of `region` that `isFree` lets pass, the farthest first. */
export function* freeAddresses(
  region: Prefix,
  terrain: Pick<Terrain, 'prefix' | 'gateway'>,
  isFree: (address: IP) => boolean,
): Generator<IP> {
  const reserved = reservedAddresses(terrain.prefix, terrain.gateway)
  const { first, last } = prefixRange(region)
  for (let number = last; number >= first; number--) {
    const address = ipFromNumber(number, prefixFamily(region))
    if (!reserved.has(address) && isFree(address)) yield address
  }
}
