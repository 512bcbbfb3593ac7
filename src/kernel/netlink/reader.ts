/**
 * Reads netlink attributes. Nothing here trusts a length: what is cut off is left out, what is unknown
 * is ignored by its reader, and a malformed tail ends the list. linux/netlink.h, struct nlattr
 */
import { ipFromBytes } from '../../net/ip.ts'

const TYPE_MASK = 0x3fff
const EMPTY = new Uint8Array(0)

const HEADER_BYTES = 4

/**
 * Attributes by type; of a repeated type the last one counts. Nobody reads most of what the kernel tells: what is
 * asked for is looked for, and of the rest nothing is made.
 */
export class Attributes {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  has(type: number): boolean {
    return this.#find(type) !== undefined
  }

  bytes(type: number): Uint8Array | undefined {
    const at = this.#find(type)
    if (at === undefined) return undefined
    return this.#bytes.subarray(at + HEADER_BYTES, at + u16At(this.#bytes, at))
  }

  u8(type: number): number | undefined {
    const from = this.#number(type, 1)
    return from === undefined ? undefined : this.#bytes[from]
  }

  u16BE(type: number): number | undefined {
    const from = this.#number(type, 2)
    return from === undefined ? undefined : swap16(u16At(this.#bytes, from))
  }

  u32(type: number): number | undefined {
    const from = this.#number(type, 4)
    return from === undefined ? undefined : u32At(this.#bytes, from)
  }

  u32BE(type: number): number | undefined {
    const from = this.#number(type, 4)
    if (from === undefined) return undefined
    const [upper, lower] = [u16At(this.#bytes, from), u16At(this.#bytes, from + 2)]
    return swap16(upper) * 0x10000 + swap16(lower)
  }

  i32(type: number): number | undefined {
    const value = this.u32(type)
    return value === undefined ? undefined : value | 0
  }

  /** Text up to its closing zero. */
  string(type: number): string | undefined {
    const payload = this.bytes(type)
    if (payload === undefined) return undefined
    const end = payload.indexOf(0)
    return Buffer.from(end < 0 ? payload : payload.subarray(0, end)).toString()
  }

  /** An address of four or sixteen bytes; undefined for any other length. */
  ip(type: number): string | undefined {
    const payload = this.bytes(type)
    return payload?.length === 4 || payload?.length === 16 ? ipFromBytes(payload) : undefined
  }

  nested(type: number): Attributes {
    return new Attributes(this.bytes(type) ?? EMPTY)
  }

  /** Where a payload of at least so many bytes begins. */
  #number(type: number, bytes: number): number | undefined {
    const at = this.#find(type)
    if (at === undefined || u16At(this.#bytes, at) < HEADER_BYTES + bytes) return undefined
    return at + HEADER_BYTES
  }

  /** Where the attribute begins. */
  #find(type: number): number | undefined {
    const bytes = this.#bytes
    let found: number | undefined
    let at = 0
    while (at + HEADER_BYTES <= bytes.length) {
      const length = u16At(bytes, at)
      if (length < HEADER_BYTES || at + length > bytes.length) break
      if ((u16At(bytes, at + 2) & TYPE_MASK) === type) found = at
      at += (length + 3) & ~3
    }
    return found
  }
}

/** Attributes in order, repeated ones too. */
export function* eachAttribute(
  bytes: Uint8Array,
): Generator<{ readonly type: number; readonly payload: Uint8Array }> {
  let at = 0
  while (at + HEADER_BYTES <= bytes.length) {
    const length = u16At(bytes, at)
    if (length < HEADER_BYTES || at + length > bytes.length) return
    yield {
      type: u16At(bytes, at + 2) & TYPE_MASK,
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    }
    at += (length + 3) & ~3
  }
}

function u16At(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
}

function u32At(bytes: Uint8Array, at: number): number {
  return (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8)
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
