/** Prefixes (RFC 4632, RFC 4291) as values: an address with its host bits zero, a slash, a length. */

import {
  bitsOf,
  type Family,
  familyOf,
  type IP,
  ipBytes,
  ipFromBytes,
  ipFromNumber,
  ipToNumber,
  parseIPBytes,
} from './ip.ts'

declare const brand: unique symbol

/** A prefix in its one canonical spelling, such as 10.80.0.0/16 or fd80::/48. */
export type Prefix = string & { readonly [brand]: 'Prefix' }

/** The prefix in `text`, or undefined; host bits are refused, not cleared. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = parsePrefixBytes(text)
  return parsed && (`${ipFromBytes(parsed.bytes)}/${parsed.length}` as Prefix)
}

/** The same as bytes of its address, 4 or 16 in network order, and its length. */
export function parsePrefixBytes(text: string): PrefixBytes | undefined {
  const parsed = splitPrefix(text)
  return parsed === undefined || clearHostBits(parsed) ? undefined : parsed
}

interface PrefixBytes {
  readonly bytes: Uint8Array
  readonly length: number
}

/** The prefix that `text` would be with its host bits cleared: for messages that say what would be right. */
export function suggestPrefix(text: string): Prefix | undefined {
  const parsed = splitPrefix(text)
  if (parsed === undefined) return undefined
  clearHostBits(parsed)
  return `${ipFromBytes(parsed.bytes)}/${parsed.length}` as Prefix
}

/** The prefix of this length that contains the address. */
export function prefixAround(ip: IP, length: number): Prefix {
  const bytes = ipBytes(ip)
  return `${clearHostBits({ bytes, length }) ? ipFromBytes(bytes) : ip}/${length}` as Prefix
}

export function prefixAddress(prefix: Prefix): IP {
  return prefix.slice(0, prefix.indexOf('/')) as IP
}

export function prefixLength(prefix: Prefix): number {
  return Number(prefix.slice(prefix.indexOf('/') + 1))
}

export function prefixFamily(prefix: Prefix): Family {
  return familyOf(prefixAddress(prefix))
}

/** First and last address as numbers, both inclusive. */
export function prefixRange(prefix: Prefix): { readonly first: bigint; readonly last: bigint } {
  const first = ipToNumber(prefixAddress(prefix))
  return { first, last: first + prefixSize(prefix) - 1n }
}

/** Number of addresses in the prefix. */
export function prefixSize(prefix: Prefix): bigint {
  return 1n << BigInt(bitsOf(prefixFamily(prefix)) - prefixLength(prefix))
}

export function prefixContains(prefix: Prefix, ip: IP): boolean {
  const [first, bytes] = [ipBytes(prefixAddress(prefix)), ipBytes(ip)]
  if (first.length !== bytes.length) return false
  const length = prefixLength(prefix)
  for (let i = 0; i * 8 < length; i++) {
    const unlike = (first[i] ?? 0) ^ (bytes[i] ?? 0)
    if (unlike >> Math.max(0, 8 - (length - i * 8)) !== 0) return false
  }
  return true
}

/** True when the two have an address in common. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return prefixContains(a, prefixAddress(b)) || prefixContains(b, prefixAddress(a))
}

/** The smallest prefix that contains all of these, which are of one family; undefined of none. */
export function prefixAroundAll(prefixes: readonly Prefix[]): Prefix | undefined {
  const [first] = prefixes
  if (first === undefined) return undefined
  let length = Math.min(...prefixes.map(prefixLength))
  for (;;) {
    const around = prefixAround(prefixAddress(first), length)
    if (prefixes.every((prefix) => prefixContains(around, prefixAddress(prefix)))) return around
    length--
  }
}

/** The address `offset` after the first one of the prefix; undefined when outside. */
export function addressAt(prefix: Prefix, offset: bigint): IP | undefined {
  if (offset < 0n || offset >= prefixSize(prefix)) return undefined
  return ipFromNumber(prefixRange(prefix).first + offset, prefixFamily(prefix))
}

/** The sub-prefix of `length` with this index, counted from the first; undefined when outside. */
export function subPrefix(prefix: Prefix, length: number, index: bigint): Prefix | undefined {
  const family = prefixFamily(prefix)
  if (length < prefixLength(prefix) || length > bitsOf(family)) return undefined
  if (index < 0n || index >= 1n << BigInt(length - prefixLength(prefix))) return undefined
  const step = 1n << BigInt(bitsOf(family) - length)
  return `${ipFromNumber(prefixRange(prefix).first + index * step, family)}/${length}` as Prefix
}

/** All addresses of a family: where a default route leads. */
export function everything(family: Family): Prefix {
  return `${ipFromNumber(0n, family)}/0` as Prefix
}

function splitPrefix(text: string): PrefixBytes | undefined {
  const slash = text.indexOf('/')
  const bytes = slash < 0 ? undefined : parseIPBytes(text.slice(0, slash))
  const lengthText = text.slice(slash + 1)
  if (bytes === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(lengthText)) return undefined
  const length = Number(lengthText)
  return length > bytes.length * 8 ? undefined : { bytes, length }
}

/** Clears what lies behind the prefix; true when anything was set there. */
function clearHostBits({ bytes, length }: PrefixBytes): boolean {
  let cleared = false
  for (let i = Math.floor(length / 8); i < bytes.length; i++) {
    const ofHost = Math.min(8, (i + 1) * 8 - length)
    const before = bytes[i] ?? 0
    const after = (before >> ofHost) << ofHost
    if (after !== before) cleared = true
    bytes[i] = after
  }
  return cleared
}
