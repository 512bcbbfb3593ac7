/** Ranges of addresses as the fewest prefixes, and which of them a network can give from. Pure. */

import type { Network } from '../../model/network.ts'
import { bitsOf, type Family, type IP, ipFromNumber, ipToNumber } from '../../net/ip.ts'
import {
  type Prefix,
  prefixAround,
  prefixesOverlap,
  prefixFamily,
  prefixRange,
  prefixSize,
} from '../../net/prefix.ts'
import type { AddressRange } from './capabilities.ts'
import { CNI_CODE, cniError } from './errors.ts'

/**
 * Where addresses of the network may be chosen: what the sets allow; nothing when they say nothing. Throws code 7 when a range is not the network's,
 * and code 2 when two addresses of one family are wanted.
 */
export function areasOf(
  network: Network,
  sets: readonly (readonly AddressRange[])[],
): readonly Prefix[] {
  const families = new Set<number>()
  const areas: Prefix[] = []
  for (const set of sets) {
    const [first] = set
    if (first === undefined) continue
    const family = prefixFamily(first.subnet)
    if (families.has(family)) {
      throw cniError(
        CNI_CODE.UNSUPPORTED_FIELD,
        `Cannot give two IPv${family} addresses of network ${network.name} to one interface: several lists of ranges ask for that`,
        { hint: 'put the ranges into one list, and one address is chosen among them' },
      )
    }
    families.add(family)
    for (const range of set) areas.push(...areaOf(network, range))
  }
  if (areas.length === 0) return []
  // Of the other family nothing was said.
  return [...areas, ...network.prefixes.filter((prefix) => !families.has(prefixFamily(prefix)))]
}

function areaOf(
  network: Network,
  { subnet, first, last, gateway }: AddressRange,
): readonly Prefix[] {
  const at = network.prefixes.findIndex((prefix) => prefixesOverlap(prefix, subnet))
  const prefix = network.prefixes[at]
  if (prefix === undefined) {
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      `Cannot give an address of ${subnet}: network ${network.name} has ${network.prefixes.join(' and ')}`,
      { hint: `carrick network set ${network.name} --add-subnet ${subnet}` },
    )
  }
  if (gateway !== undefined && gateway !== network.gateways[at]) {
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      `Cannot take ${gateway} for a gateway: that of network ${network.name} in ${prefix} is ${network.gateways[at]}`,
      { hint: 'leave the gateway out of the range' },
    )
  }
  const [whole, part] = [prefixRange(prefix), prefixRange(subnet)]
  const from = larger(whole.first, first === undefined ? part.first : ipToNumber(first))
  const to = smaller(whole.last, last === undefined ? part.last : ipToNumber(last))
  if (from > to) {
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      `Cannot give an address of ${first ?? subnet} to ${last ?? subnet}: there is none of network ${network.name}`,
    )
  }
  return [...cover(from, to, prefixFamily(prefix))]
}

/** The fewest prefixes that are together the addresses from `first` to `last`. */
export function* cover(first: bigint, last: bigint, family: Family): Generator<Prefix> {
  let next = first
  while (next <= last) {
    let length = bitsOf(family)
    const address: IP = ipFromNumber(next, family)
    let widest = prefixAround(address, length)
    while (length > 0) {
      const wider = prefixAround(address, length - 1)
      const { first: begin, last: end } = prefixRange(wider)
      if (begin !== next || end > last) break
      widest = wider
      length--
    }
    yield widest
    next += prefixSize(widest)
  }
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
