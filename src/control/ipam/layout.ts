/**
 * How a network's prefix is cut: which addresses are never given, how big a host's block is, and which
 * block keys could cover an address. Pure arithmetic; IPv4 and IPv6 take the same lines.
 */

import { hostAddressIn } from '../../model/host-address.ts'
import { bitsOf, type IP } from '../../net/ip.ts'
import {
  addressAt,
  type Prefix,
  prefixAddress,
  prefixAround,
  prefixContains,
  prefixFamily,
  prefixLength,
  prefixSize,
} from '../../net/prefix.ts'

/** No block is shorter than this, so that an address has few block keys that could cover it. */
const SHORTEST_IPV6_BLOCK = 64

/** The bits of a prefix that its length leaves free. */
function freeBits(prefix: Prefix): number {
  return bitsOf(prefixFamily(prefix)) - prefixLength(prefix)
}

/**
 * Length of the blocks that hosts claim of `prefix` (R38): a /24 is cut into 32 pieces so that ten hosts
 * have one in use and one spare each; a /16 into 1024; a wide IPv6 prefix into /64s or 65536 pieces.
 */
export function blockLength(prefix: Prefix): number {
  return bitsOf(prefixFamily(prefix)) - blockBits(freeBits(prefix))
}

function blockBits(free: number): number {
  if (free >= 72) return 64
  if (free >= 32) return free - 16
  if (free >= 24) return 10
  if (free >= 16) return 6 + ((free - 16) >> 1)
  if (free >= 8) return 3 + Math.floor(((free - 8) * 3) / 8)
  return free >= 6 ? 2 : free >= 4 ? 1 : 0
}

/** Every block key that could cover the address, the widest first. */
export function coveringBlocks(prefix: Prefix, address: IP): readonly Prefix[] {
  const bits = bitsOf(prefixFamily(prefix))
  const widest = freeBits(prefix) >= 72 ? SHORTEST_IPV6_BLOCK : prefixLength(prefix)
  return Array.from({ length: bits - widest + 1 }, (_, i) => prefixAround(address, widest + i))
}

/** The first address a user would expect for the gateway: network address plus one, if there is room. */
export function defaultGateway(prefix: Prefix): IP {
  return addressAt(prefix, freeBits(prefix) >= 2 ? 1n : 0n) ?? prefixAddress(prefix)
}

/** Why the prefix cannot hold a gateway and one endpoint; undefined when it can. */
export function tooSmall(prefix: Prefix): boolean {
  return freeBits(prefix) < 1
}

/**
 * Addresses of the prefix that no endpoint gets: the network address (IPv4) or the subnet-router anycast
 * address (RFC 4291 §2.6.1), the broadcast address (IPv4), and the gateway. A prefix of two addresses is
 * point-to-point and has neither of the first two (RFC 3021, RFC 6164).
 */
export function reservedAddresses(prefix: Prefix, gateway: IP): ReadonlySet<IP> {
  const reserved = new Set<IP>([gateway])
  if (freeBits(prefix) < 2) return reserved
  reserved.add(prefixAddress(prefix))
  const last = addressAt(prefix, prefixSize(prefix) - 1n)
  if (prefixFamily(prefix) === 4 && last !== undefined) reserved.add(last)
  return reserved
}

/** What an address is by its place in the prefix; undefined for the ordinary ones. */
export function placeOf(prefix: Prefix, address: IP): string | undefined {
  if (freeBits(prefix) < 2) return undefined
  if (address === prefixAddress(prefix)) {
    return prefixFamily(prefix) === 4 ? 'the network address' : 'the subnet-router anycast address'
  }
  const isLast = address === addressAt(prefix, prefixSize(prefix) - 1n)
  return prefixFamily(prefix) === 4 && isLast ? 'the broadcast address' : undefined
}

/** What a reserved address is, for the message that refuses it; undefined when endpoints may have it. */
export function reservedFor(prefix: Prefix, gateway: IP, address: IP): string | undefined {
  return address === gateway ? 'the gateway' : placeOf(prefix, address)
}

/** True for what would be a host's own address, were the block around it claimed. */
export function isKeptForHosts(prefix: Prefix, gateway: IP, address: IP): boolean {
  const block = prefixAround(address, blockLength(prefix))
  return hostAddressIn(block, prefix, gateway) === address
}

/** Number of addresses of the prefix, or of an area inside it, that endpoints can have. */
export function usableCount(prefix: Prefix, gateway: IP, area = prefix): bigint {
  const reserved = [...reservedAddresses(prefix, gateway)]
  const inside = reserved.filter((address) => prefixContains(area, address))
  return prefixSize(area) - BigInt(inside.length)
}
