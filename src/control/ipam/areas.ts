/** Where in a network addresses are chosen: in all of its prefixes, or in parts of them. Pure. */

import type { Network } from '../../model/network.ts'
import type { Family } from '../../net/ip.ts'
import {
  type Prefix,
  prefixAddress,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
  prefixLength,
} from '../../net/prefix.ts'

/** The network's prefixes of the family, or what lies both in one of them and in one of `within`. */
export function areasOf(
  network: Pick<Network, 'prefixes'>,
  family: Family,
  within?: readonly Prefix[],
): readonly Prefix[] {
  const prefixes = network.prefixes.filter((prefix) => prefixFamily(prefix) === family)
  if (within === undefined) return prefixes
  return prefixes.flatMap((prefix) => within.flatMap((each) => common(prefix, each) ?? []))
}

/** What lies in both: the smaller one, or nothing. */
export function common(a: Prefix, b: Prefix): Prefix | undefined {
  if (!prefixesOverlap(a, b)) return undefined
  return prefixLength(a) >= prefixLength(b) ? a : b
}

/** The network's prefix in which the area lies. */
export function prefixAroundArea(network: Pick<Network, 'prefixes'>, area: Prefix): Prefix {
  const address = prefixAddress(area)
  return network.prefixes.find((prefix) => prefixContains(prefix, address)) ?? area
}
