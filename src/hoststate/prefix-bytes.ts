/** `struct prefix` of bpf/maps.h: an address and a mask, both families in 16 bytes. */

import { familyOf, type IP, mappedBytes } from '../net/ip.ts'
import { type Prefix, prefixAddress, prefixAround, prefixLength } from '../net/prefix.ts'
import { bitsSet, mappedBits, maskBytes, unmapAddress } from './layout.ts'

export const PREFIX_BYTES = 32
const MASK_AT = 16

/** Undefined is written as a prefix that has no address which anybody could have: the one of all ones alone. */
export function writePrefix(bytes: Uint8Array, at: number, prefix: Prefix | undefined): void {
  if (prefix === undefined) {
    bytes.fill(0xff, at, at + PREFIX_BYTES)
    return
  }
  const address = prefixAddress(prefix)
  bytes.set(mappedBytes(address), at)
  bytes.set(maskBytes(mappedBits(address, prefixLength(prefix))), at + MASK_AT)
}

export function readPrefix(bytes: Uint8Array, at: number): Prefix | undefined {
  const prefix = bytes.slice(at, at + PREFIX_BYTES)
  if (prefix.every((byte) => byte === 0xff)) return undefined
  return prefixOf(prefix.slice(0, MASK_AT), bitsSet(prefix.slice(MASK_AT)))
}

/** The prefix with this address, of which so many of the 128 bits count. */
export function prefixOf(bytes: Uint8Array, bits: number): Prefix {
  const address = unmapAddress(bytes) ?? ('::' as IP) // only the prefix ::/0 has no bit set
  return prefixAround(address, familyOf(address) === 4 ? bits - 96 : bits)
}
