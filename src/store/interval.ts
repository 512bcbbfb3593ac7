/**
 * Ranges of keys as bytes. Keys are ordered like memcmp; a range is half open and may have no end. A single
 * key is the range up to its immediate successor, which is the key with a zero byte behind it.
 */

import type { KeyRange } from './store.ts'

/** Keys k with from <= k < to; `to` undefined: no upper bound. */
export interface Interval {
  readonly from: Uint8Array
  readonly to: Uint8Array | undefined
}

/** The lowest key there can be: a key has a byte or more. */
const FIRST_KEY = new Uint8Array(1)

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function toBytes(text: string): Uint8Array {
  return encoder.encode(text)
}

export function toText(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** Order of two keys, negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

/** The interval that holds exactly this key. */
export function singleKey(key: Uint8Array): Interval {
  const to = new Uint8Array(key.length + 1)
  to.set(key)
  return { from: key, to }
}

/** The first key behind all keys with this prefix; undefined when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const byte = prefix[last] ?? 0
    if (byte === 0xff) continue
    const end = prefix.slice(0, last + 1)
    end[last] = byte + 1
    return end
  }
  return undefined
}

export function intervalOf(range: KeyRange): Interval {
  if ('key' in range) return singleKey(toBytes(range.key))
  if ('prefix' in range) {
    if (range.prefix === '') return { from: FIRST_KEY, to: undefined }
    const from = toBytes(range.prefix)
    return { from, to: prefixEnd(from) }
  }
  return { from: toBytes(range.from), to: toBytes(range.to) }
}

export function contains(interval: Interval, key: Uint8Array): boolean {
  if (compareBytes(key, interval.from) < 0) return false
  return interval.to === undefined || compareBytes(key, interval.to) < 0
}
