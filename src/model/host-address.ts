/**
 * The address that a host has for itself in a network: the last one of each of its blocks. No endpoint ever
 * gets it, so that what the host itself sends can be told from every container's packet (R4).
 */

import { type IP, ipFromNumber } from '../net/ip.ts'
import {
  type Prefix,
  prefixAddress,
  prefixContains,
  prefixFamily,
  prefixRange,
} from '../net/prefix.ts'
import type { Network } from './network.ts'

/** Blocks of fewer addresses are too small to spare one. */
const SMALLEST_BLOCK = 8n

/**
 * The host's own address in a block of `prefix`: the last that is not the prefix's broadcast address, its
 * first address or the gateway. Undefined for blocks of fewer than 8 addresses.
 */
export function hostAddressIn(block: Prefix, prefix: Prefix, gateway: IP): IP | undefined {
  const { first, last } = prefixRange(block)
  if (last - first + 1n < SMALLEST_BLOCK) return undefined
  const family = prefixFamily(block)
  const whole = prefixRange(prefix)
  for (let number = last; number > first; number--) {
    if (family === 4 && number === whole.last) continue
    const address = ipFromNumber(number, family)
    if (address !== gateway) return address
  }
  return undefined
}

/** The address that the owner of this block of the network has for itself. */
export function hostAddressOf(
  { prefixes, gateways }: Pick<Network, 'prefixes' | 'gateways'>,
  block: Prefix,
): IP | undefined {
  const i = prefixes.findIndex((prefix) => prefixContains(prefix, prefixAddress(block)))
  const [prefix, gateway] = [prefixes[i], gateways[i]]
  if (prefix === undefined || gateway === undefined) return undefined
  return hostAddressIn(block, prefix, gateway)
}
