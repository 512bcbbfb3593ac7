/**
 * IP addresses as values. Text from outside becomes an IP once, in its canonical spelling (RFC 5952 for
 * IPv6, dotted decimal for IPv4), so that equal addresses are equal strings. The family is a value: code
 * that handles addresses handles both.
 */

declare const brand: unique symbol
type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** An IPv4 or IPv6 address in its one canonical spelling. */
export type IP = Brand<string, 'IP'>
export type Family = 4 | 6

/** The address in `text`, or undefined: no leading zeros, no zone, no IPv4-mapped IPv6. */
export function parseIP(text: string): IP | undefined {
  const bytes = text.includes(':') ? parseIPv6Bytes(text) : parseIPv4Bytes(text)
  return bytes === undefined ? undefined : ipFromBytes(bytes)
}

export function familyOf(ip: IP): Family {
  return ip.includes(':') ? 6 : 4
}

/** Number of bits of an address of the family. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/** The address as 4 or 16 bytes, network order. */
export function ipBytes(ip: IP): Uint8Array {
  const bytes = ip.includes(':') ? parseIPv6Bytes(ip) : parseIPv4Bytes(ip)
  if (bytes === undefined) throw new Error(`not a canonical address: ${ip}`)
  return bytes
}

/** The address of 4 or 16 bytes in network order. */
export function ipFromBytes(bytes: Uint8Array): IP {
  if (bytes.length === 4) return bytes.join('.') as IP
  if (bytes.length !== 16) throw new Error(`an address has 4 or 16 bytes, not ${bytes.length}`)
  return printIPv6(bytes) as IP
}

/** 16 bytes for either family; IPv4 stands as ::ffff:a.b.c.d, as in the datapath's keys. */
export function mappedBytes(ip: IP): Uint8Array {
  const bytes = ipBytes(ip)
  if (bytes.length === 16) return bytes
  const mapped = new Uint8Array(16)
  mapped[10] = 0xff
  mapped[11] = 0xff
  mapped.set(bytes, 12)
  return mapped
}

/** The address as a number, for arithmetic. */
export function ipToNumber(ip: IP): bigint {
  let value = 0n
  for (const byte of ipBytes(ip)) value = (value << 8n) | BigInt(byte)
  return value
}

/** The address of the family with this number; the number must fit. */
export function ipFromNumber(value: bigint, family: Family): IP {
  if (value < 0n || value >> BigInt(bitsOf(family)) !== 0n) {
    throw new Error(`${value} is not an IPv${family} address`)
  }
  const bytes = new Uint8Array(bitsOf(family) / 8)
  let rest = value
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return ipFromBytes(bytes)
}

/** Fixed-width hexadecimal, so that text order is number order within a family (store keys). */
export function ipToHex(ip: IP): string {
  const family = familyOf(ip)
  return `${family}:${ipToNumber(ip)
    .toString(16)
    .padStart(bitsOf(family) / 4, '0')}`
}

/** IPv4 before IPv6, then by number. */
export function compareIP(a: IP, b: IP): number {
  const familyOrder = familyOf(a) - familyOf(b)
  if (familyOrder !== 0) return Math.sign(familyOrder)
  const [x, y] = [ipToNumber(a), ipToNumber(b)]
  return x < y ? -1 : x > y ? 1 : 0
}

function parseIPv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined
    const value = Number(part)
    if (value > 255) return undefined
    bytes[i] = value
  }
  return bytes
}

function parseIPv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 16 - head.length - tail.length
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head, 0)
  bytes.set(tail, 16 - tail.length)
  return isMapped(bytes) ? undefined : bytes
}

/** The bytes of colon-separated groups; the last may be dotted decimal when `dotted` says so. */
function parseGroups(text: string, dotted: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [i, group] of groups.entries()) {
    if (dotted && i === groups.length - 1 && group.includes('.')) {
      const four = parseIPv4Bytes(group)
      if (four === undefined) return undefined
      bytes.push(...four)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of two or more zero groups is `::`. */
function printIPv6(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2))
  let best = { start: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > best.length) best = { start: i, length: end - i }
    if (end > i) i = end
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':')
  if (best.start < 0) return hex(groups)
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`
}
