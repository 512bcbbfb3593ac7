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
  parseIP,
} from './ip.ts'

declare const brand: unique symbol

/** A prefix in its one canonical spelling, such as 10.80.0.0/16 or fd80::/48. */
export type Prefix = string & { readonly [brand]: 'Prefix' }

/** The prefix in `text`, or undefined; host bits are refused, not cleared. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = splitPrefix(text)
  if (parsed === undefined) return undefined
  const { ip, length } = parsed
  return networkOf(ip, length) === ip ? (`${ip}/${length}` as Prefix) : undefined
}

/** The prefix that `text` would be with its host bits cleared: for messages that say what would be right. */
export function suggestPrefix(text: string): Prefix | undefined {
  const parsed = splitPrefix(text)
  return parsed === undefined ? undefined : prefixAround(parsed.ip, parsed.length)
}

/** The prefix of this length that contains the address. */
export function prefixAround(ip: IP, length: number): Prefix {
  return `${networkOf(ip, length)}/${length}` as Prefix
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

function splitPrefix(text: string): { ip: IP; length: number } | undefined {
  const [address, lengthText, ...rest] = text.split('/')
  if (address === undefined || lengthText === undefined || rest.length > 0) return undefined
  const ip = parseIP(address)
  if (ip === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(lengthText)) return undefined
  const length = Number(lengthText)
  return length > bitsOf(familyOf(ip)) ? undefined : { ip, length }
}

function networkOf(ip: IP, length: number): IP {
  const bytes = ipBytes(ip)
  for (const i of bytes.keys()) {
    const ofHost = Math.min(8, Math.max(0, (i + 1) * 8 - length))
    bytes[i] = ((bytes[i] ?? 0) >> ofHost) << ofHost
  }
  return ipFromBytes(bytes)
}
