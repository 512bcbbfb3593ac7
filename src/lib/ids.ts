/**
 * Ids of records: ULIDs in lower case. 48 bits of time and 80 of chance in 26 letters of Crockford's
 * base 32, so that ids sort by their making and two hosts need not ask each other.
 * Source: github.com/ulid/spec.
 */

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** Five letters of the ten that tell the time. */
const HALF_TIME = 2 ** 25
export const ID_PATTERN = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/

/** `count` random bytes; main hands in the system's source, tests a seeded one. */
export type Random = (count: number) => Uint8Array

/** A new id for something made at `wallMs` (milliseconds since 1970). */
export function newId(wallMs: number, random: Random): string {
  const time = Math.max(0, Math.trunc(wallMs))
  let head = ''
  // In halves: shifts take 32 bits.
  for (const half of [Math.floor(time / HALF_TIME), time % HALF_TIME]) {
    for (let bit = 20; bit >= 0; bit -= 5) head += ALPHABET.charAt((half >> bit) & 31)
  }
  let tail = ''
  let [bits, held] = [0, 0]
  for (const byte of random(10)) {
    bits = (bits << 8) | byte
    for (held += 8; held >= 5; held -= 5) tail += ALPHABET.charAt((bits >> (held - 5)) & 31)
    bits &= (1 << held) - 1
  }
  return head + tail
}

/** True for text with the shape of a whole id. */
export function isId(text: string): boolean {
  return ID_PATTERN.test(text)
}

/** A whole number below `limit` (1 ... 2^24), near enough to uniform for choosing among candidates. */
export function randomBelow(limit: number, random: Random): number {
  let value = 0
  for (const byte of random(6)) value = value * 256 + byte
  return value % limit
}
