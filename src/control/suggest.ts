/**
 * Free ranges for new networks: of private space, and away from every network, route and underlay that the
 * cluster knows of. Pure but for the random part of IPv6 prefixes, which RFC 4193 §3.2 asks for.
 */

import { NetworkError } from '../lib/errors.ts'
import type { Random } from '../lib/ids.ts'
import { bitsOf, type Family, ipFromBytes, ipFromNumber } from '../net/ip.ts'
import {
  type Prefix,
  parsePrefix,
  prefixAround,
  prefixesOverlap,
  prefixFamily,
  prefixRange,
  prefixSize,
} from '../net/prefix.ts'
import type { Surroundings } from './overlap.ts'

export interface SuggestSpec {
  /** Default 4. */
  readonly family?: Family
  /** Length of the prefixes; default 16 (IPv4) or 48 (IPv6). */
  readonly length?: number
  /** Default 1. */
  readonly count?: number
  /** Also RFC 6598, which carriers and some overlays use. */
  readonly shared?: boolean
}

const DEFAULT_LENGTH: Readonly<Record<Family, number>> = { 4: 16, 6: 48 }
/** A network needs a gateway and an endpoint; an IPv6 site has 48 bits of its own (RFC 4193 §3). */
const LENGTHS: Readonly<Record<Family, { readonly least: number; readonly most: number }>> = {
  4: { least: 8, most: 30 },
  6: { least: 48, most: 126 },
}
const MOST = 100

/**
 * RFC 1918, the middle of 10.0.0.0/8 first: its beginning is what companies and home networks use, the end of
 * the others what Docker, libvirt and routers take.
 */
const PRIVATE = ['10.64.0.0/10', '10.128.0.0/9', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']
/** RFC 6598 */
const SHARED = ['100.64.0.0/10']
/** Attempts to find a random IPv6 prefix that is free: 2^40 are to be had. */
const RANDOM_ATTEMPTS = 100

/** As many as asked for, or as there are; throws `invalid`, or `exhausted` when there is none. */
export function suggestPrefixes(
  spec: SuggestSpec,
  surroundings: Surroundings,
  random: Random,
): readonly Prefix[] {
  const { family = 4, count = 1 } = spec
  const length = spec.length ?? DEFAULT_LENGTH[family]
  check(family, length, count)
  const taken = occupied(surroundings).filter((prefix) => prefixFamily(prefix) === family)
  const found: Prefix[] = []
  const ranges = spec.shared === true ? [...PRIVATE, ...SHARED] : PRIVATE
  const next = (): Prefix | undefined =>
    family === 6
      ? randomLocal(length, [...taken, ...found], random)
      : firstFree(ranges, length, [...taken, ...found])
  for (let prefix = next(); prefix !== undefined; prefix = next()) {
    found.push(prefix)
    if (found.length >= count) break
  }
  if (found.length > 0) return found
  throw new NetworkError(
    'exhausted',
    `Cannot suggest a /${length}: every one of private space overlaps a network, a route or an underlay`,
    { hint: family === 4 ? 'carrick ipam suggest --size 24 --shared' : 'carrick ipam show' },
  )
}

function check(family: Family, length: number, count: number): void {
  const { least, most } = LENGTHS[family]
  const wrong = !Number.isInteger(length) || length < least || length > most
  if (!wrong && Number.isInteger(count) && count >= 1 && count <= MOST) return
  const message = wrong
    ? `the size of an IPv${family} prefix is /${least} to /${most}, not /${length}`
    : `the number of prefixes is 1 to ${MOST}, not ${count}`
  throw new NetworkError('invalid', `Cannot suggest prefixes: ${message}`, {
    fields: [{ pointer: wrong ? '/size' : '/count', message }],
  })
}

/** Everything a new network must not overlap. */
function occupied({ networks, hosts, facts, chosen }: Surroundings): readonly Prefix[] {
  const prefixes = new Set<Prefix>(chosen)
  for (const network of networks) for (const prefix of network.prefixes) prefixes.add(prefix)
  for (const host of hosts) {
    for (const { prefix } of host.underlay) prefixes.add(prefix)
    for (const { prefix } of facts(host.id)?.routes ?? []) prefixes.add(prefix)
  }
  return [...prefixes]
}

/** The first of the ranges' prefixes of this length that nothing overlaps. */
function firstFree(
  ranges: readonly string[],
  length: number,
  taken: readonly Prefix[],
): Prefix | undefined {
  const step = 1n << BigInt(bitsOf(4) - length)
  for (const text of ranges) {
    const range = parsePrefix(text)
    if (range === undefined || prefixSize(range) < step) continue
    const { first, last } = prefixRange(range)
    for (let at = first; at + step - 1n <= last; ) {
      const prefix = prefixAround(ipFromNumber(at, 4), length)
      const obstacle = taken.find((other) => prefixesOverlap(other, prefix))
      if (obstacle === undefined) return prefix
      // Everything up to the end of what stands in the way overlaps it too.
      at = (prefixRange(obstacle).last / step + 1n) * step
    }
  }
  return undefined
}

/** fd00::/8, 40 random bits, zeros (RFC 4193 §3.1). */
function randomLocal(length: number, taken: readonly Prefix[], random: Random): Prefix | undefined {
  for (let attempt = 0; attempt < RANDOM_ATTEMPTS; attempt++) {
    const bytes = new Uint8Array(16)
    bytes[0] = 0xfd
    bytes.set(random(5), 1)
    const prefix = prefixAround(ipFromBytes(bytes), length)
    if (!taken.some((other) => prefixesOverlap(other, prefix))) return prefix
  }
  return undefined
}
