/** MAC addresses (IEEE 802) as values: six lower-case hexadecimal bytes with colons. */

import type { IP } from './ip.ts'
import { ipBytes } from './ip.ts'

declare const brand: unique symbol

/** A 48-bit unicast or group address in its one canonical spelling. */
export type Mac = string & { readonly [brand]: 'Mac' }

/** The address in `text` (either case, colons or dashes), or undefined. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(text)) return undefined
  return text.toLowerCase().replaceAll('-', ':') as Mac
}

/** Six bytes, as on the wire. */
export function macBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6)
  for (let i = 0; i < 6; i++) {
    bytes[i] = 16 * hexDigit(mac.charCodeAt(3 * i)) + hexDigit(mac.charCodeAt(3 * i + 1))
  }
  return bytes
}

/** Of a lower-case digit. */
function hexDigit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57
}

/** Every byte as two digits. */
const PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
)

export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new Error(`a MAC address has 6 bytes, not ${bytes.length}`)
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes
  return `${PAIRS[a]}:${PAIRS[b]}:${PAIRS[c]}:${PAIRS[d]}:${PAIRS[e]}:${PAIRS[f]}` as Mac
}

/** True when the group bit is clear and the address is not all zero: a device may carry it. */
export function isUnicastMac(mac: Mac): boolean {
  const first = Number.parseInt(mac.slice(0, 2), 16)
  return (first & 1) === 0 && mac !== '00:00:00:00:00:00'
}

/**
 * The locally administered address of an endpoint, from its network and its first address, so that an
 * address keeps its MAC wherever it lives (no stale neighbour entries after a container is recreated).
 */
export function macForAddress(vni: number, ip: IP): Mac {
  let hash = 0x811c9dc5 ^ vni
  const bytes = ipBytes(ip)
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  const tail = bytes.at(-1) ?? 0
  return macFromBytes(
    Uint8Array.of(0x0a, hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255, tail),
  )
}
