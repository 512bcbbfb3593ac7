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
  const bytes = parseIPBytes(text)
  return bytes === undefined ? undefined : ipFromBytes(bytes)
}

export function familyOf(ip: IP): Family {
  return ip.includes(':') ? 6 : 4
}

/** Number of bits of an address of the family. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128
}

/** Bytes of the address in `text`, 4 or 16 in network order, or undefined. */
export function parseIPBytes(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIPv6Bytes(text) : parseIPv4Bytes(text)
}

/** The address as 4 or 16 bytes, network order. */
export function ipBytes(ip: IP): Uint8Array {
  const bytes = parseIPBytes(ip)
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
  const bytes = ipBytes(ip)
  const view = new DataView(bytes.buffer)
  if (bytes.length === 4) return BigInt(view.getUint32(0))
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8)
}

/** The address of the family with this number; the number must fit. */
export function ipFromNumber(value: bigint, family: Family): IP {
  if (value < 0n || value >> BigInt(bitsOf(family)) !== 0n) {
    throw new Error(`${value} is not an IPv${family} address`)
  }
  const view = new DataView(new ArrayBuffer(bitsOf(family) / 8))
  if (family === 4) view.setUint32(0, Number(value))
  else {
    view.setBigUint64(0, value >> 64n)
    view.setBigUint64(8, value & 0xffff_ffff_ffff_ffffn)
  }
  return ipFromBytes(new Uint8Array(view.buffer))
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

/** Text is read digit by digit: all of a cluster's addresses are, whenever a daemon starts. */
const CODE = { dot: 46, zero: 48, colon: 58, A: 65, a: 97 } as const

function parseIPv4Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4)
  return readIPv4(text, 0, bytes, 0) ? bytes : undefined
}

/** Writes the four bytes of what stands from `from` to the end of the text; false when it is no address. */
function readIPv4(text: string, from: number, bytes: Uint8Array, at: number): boolean {
  let part = 0
  let value = -1
  for (let i = from; i <= text.length; i++) {
    const code = i === text.length ? CODE.dot : text.charCodeAt(i)
    if (code === CODE.dot) {
      if (value < 0 || part > 3) return false
      bytes[at + part++] = value
      value = -1
    } else {
      const digit = code - CODE.zero
      if (digit < 0 || digit > 9 || value === 0) return false
      value = value < 0 ? digit : value * 10 + digit
      if (value > 255) return false
    }
  }
  return part === 4
}

function parseIPv6Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16)
  let end = 0
  /** Where `::` stands, in bytes; -1 for nowhere. */
  let gap = -1
  let i = 0
  if (text.startsWith('::')) {
    gap = 0
    i = 2
  }
  while (i < text.length) {
    const start = i
    let group = 0
    let digit = hexDigit(text.charCodeAt(i))
    while (digit >= 0) {
      group = group * 16 + digit
      digit = ++i < text.length ? hexDigit(text.charCodeAt(i)) : -1
    }
    if (text.charCodeAt(i) === CODE.dot) {
      if (end > 12 || !readIPv4(text, start, bytes, end)) return undefined
      end += 4
      break
    }
    if (i === start || i - start > 4 || end > 14) return undefined
    bytes[end++] = group >> 8
    bytes[end++] = group & 0xff
    if (i === text.length) break
    if (text.charCodeAt(i++) !== CODE.colon) return undefined
    if (text.charCodeAt(i) === CODE.colon) {
      if (gap >= 0) return undefined
      gap = end
      i++
    } else if (i === text.length) return undefined
  }
  if (gap < 0 ? end !== 16 : end > 14) return undefined
  if (gap >= 0) {
    bytes.copyWithin(16 - (end - gap), gap, end)
    bytes.fill(0, gap, 16 - (end - gap))
  }
  return isMapped(bytes) ? undefined : bytes
}

/** Value of a hexadecimal digit in either case, or -1. */
function hexDigit(code: number): number {
  if (code >= CODE.zero && code < CODE.zero + 10) return code - CODE.zero
  if (code >= CODE.a && code < CODE.a + 6) return code - CODE.a + 10
  return code >= CODE.A && code < CODE.A + 6 ? code - CODE.A + 10 : -1
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of two or more zero groups is `::`. */
function printIPv6(bytes: Uint8Array): string {
  const group = (i: number): number => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)
  let [best, longest] = [8, 1]
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && group(end) === 0) end++
    if (end - i > longest) [best, longest] = [i, end - i]
    if (end > i) i = end
  }
  let text = ''
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      text += '::'
      i += longest - 1
    } else {
      if (i > 0 && i !== best + longest) text += ':'
      text += group(i).toString(16)
    }
  }
  return text
}
