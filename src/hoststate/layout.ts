/**
 * C structures as tables: name, offset and width of every field, so that one table serves for writing, for
 * reading and for the test that compares it with the type information inside the compiled object.
 * Numbers are in the machine's order (BPF runs on the same machine), fields called `be16` in network order.
 */

import { familyOf, type IP, ipBytes, ipFromBytes, mappedBytes } from '../net/ip.ts'
import { type Mac, macBytes, macFromBytes } from '../net/mac.ts'

/** Widths in bytes of the kinds of field a map entry may have. */
const WIDTH = {
  u8: 1,
  u16: 2,
  be16: 2,
  u32: 4,
  u64: 8,
  mac: 6,
  ipv4: 4,
  address: 16,
  prefix: 32,
} as const
type FieldKind = keyof typeof WIDTH

/** One field: what it is and where it stands, in bytes from the start of its structure. */
export interface Field {
  readonly kind: FieldKind
  readonly at: number
}

/** A C structure; `struct` is its tag in bpf/maps.h, or undefined for a plain integer. */
export interface Layout<Name extends string = string> {
  readonly struct: string | undefined
  readonly size: number
  readonly fields: Readonly<Record<Name, Field>>
}

export function fieldBytes(field: Field): number {
  return WIDTH[field.kind]
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Fields of one structure over its bytes; whatever is not written stays zero, padding included. */
export class Fields<Name extends string> {
  readonly bytes: Uint8Array
  readonly #layout: Layout<Name>

  constructor(layout: Layout<Name>, bytes: Uint8Array = new Uint8Array(layout.size)) {
    if (bytes.length < layout.size) {
      throw new Error(`${layout.struct} has ${layout.size} bytes, not ${bytes.length}`)
    }
    this.#layout = layout
    this.bytes = bytes
  }

  // Byte by byte: a view of its own for each of tens of thousands of entries costs more than all else of them.
  number(name: Name): number {
    const { kind, at } = this.#layout.fields[name]
    const last = WIDTH[kind] - 1
    const rising = kind === 'be16' || !LITTLE_ENDIAN
    let value = 0
    for (let i = 0; i <= last; i++) {
      value = value * 256 + (this.bytes[at + (rising ? i : last - i)] ?? 0)
    }
    return value
  }

  setNumber(name: Name, value: number): this {
    const { kind, at } = this.#layout.fields[name]
    const last = WIDTH[kind] - 1
    const rising = kind === 'be16' || !LITTLE_ENDIAN
    let rest = value
    for (let i = 0; i <= last; i++) {
      this.bytes[at + (rising ? last - i : i)] = rest % 256
      rest = Math.floor(rest / 256)
    }
    return this
  }

  /** The address of a 4- or 16-byte field; undefined when it is all zero. */
  address(name: Name): IP | undefined {
    return unmapAddress(this.#slice(name))
  }

  setAddress(name: Name, address: IP | undefined): this {
    if (address === undefined) return this
    const field = this.#layout.fields[name]
    this.bytes.set(field.kind === 'ipv4' ? ipBytes(address) : mappedBytes(address), field.at)
    return this
  }

  mac(name: Name): Mac | undefined {
    const bytes = this.#slice(name)
    return bytes.every((byte) => byte === 0) ? undefined : macFromBytes(bytes)
  }

  setMac(name: Name, mac: Mac | undefined): this {
    if (mac !== undefined) this.bytes.set(macBytes(mac), this.#layout.fields[name].at)
    return this
  }

  #slice(name: Name): Uint8Array {
    const field = this.#layout.fields[name]
    return this.bytes.slice(field.at, field.at + fieldBytes(field))
  }
}

/** The address behind 4 bytes or 16 (IPv4 as ::ffff:a.b.c.d); undefined when all are zero. */
export function unmapAddress(bytes: Uint8Array): IP | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined
  return bytes.length === 16 && isMapped(bytes) ? ipFromBytes(bytes.slice(12)) : ipFromBytes(bytes)
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((b) => b === 0)
}

/** Mapped bytes and a mask over all 128 bits, or the number of bits that count. */
export function mappedBits(address: IP, length: number): number {
  return familyOf(address) === 4 ? 96 + length : length
}

/** 16 bytes of which the first `bits` bits are set. */
export function maskBytes(bits: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => {
    const left = Math.min(8, Math.max(0, bits - i * 8))
    return (0xff00 >> left) & 0xff
  })
}

/** How many bits of a mask are set. */
export function bitsSet(mask: Uint8Array): number {
  return mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
}
