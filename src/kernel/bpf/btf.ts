/**
 * Type information of a compiled BPF object (Documentation/bpf/btf.rst): the structures and enumerations that
 * its C sources define, with offsets and sizes in bytes. For comparing layouts; reads no kernel.
 */

import { NetworkError } from '../../lib/errors.ts'

export interface BtfMember {
  readonly name: string
  readonly at: number
}

export interface BtfStruct {
  readonly name: string
  readonly size: number
  readonly members: readonly BtfMember[]
}

/** The named types of an object. */
export interface BtfTypes {
  readonly structs: ReadonlyMap<string, BtfStruct>
  /** Enumerations by name, values by enumerator. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<string, number>>
}

/** linux/btf.h BTF_KIND_*, and bytes that follow the 12 of each type: fixed ones, and per `vlen`. */
const KIND = { STRUCT: 4, ENUM: 6 } as const
const EXTRA: Readonly<Record<number, { readonly fixed: number; readonly each: number }>> = {
  1: { fixed: 4, each: 0 }, // INT
  3: { fixed: 12, each: 0 }, // ARRAY
  4: { fixed: 0, each: 12 }, // STRUCT
  5: { fixed: 0, each: 12 }, // UNION
  6: { fixed: 0, each: 8 }, // ENUM
  13: { fixed: 0, each: 8 }, // FUNC_PROTO
  14: { fixed: 4, each: 0 }, // VAR
  15: { fixed: 0, each: 12 }, // DATASEC
  17: { fixed: 4, each: 0 }, // DECL_TAG
  19: { fixed: 0, each: 12 }, // ENUM64
}

/** Reads the section `.BTF` of a little-endian ELF object; `invalid` when it has none. */
export function readBtf(object: Uint8Array): BtfTypes {
  const section = elfSection(object, '.BTF')
  if (section === undefined) throw new NetworkError('invalid', 'Cannot read types: no section .BTF')
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength)
  // struct btf_header: magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
  const header = view.getUint32(4, true)
  const types = header + view.getUint32(8, true)
  const end = types + view.getUint32(12, true)
  const strings = header + view.getUint32(16, true)
  const text = (offset: number) => cText(section, strings + offset)

  const structs = new Map<string, BtfStruct>()
  const enums = new Map<string, ReadonlyMap<string, number>>()
  for (let at = types; at + 12 <= end; ) {
    const name = text(view.getUint32(at, true))
    const info = view.getUint32(at + 4, true)
    const size = view.getUint32(at + 8, true)
    const [kind, count] = [(info >>> 24) & 31, info & 0xffff]
    const from = at + 12
    if (kind === KIND.STRUCT) {
      const members = Array.from({ length: count }, (_, i) => ({
        name: text(view.getUint32(from + i * 12, true)),
        at: (view.getUint32(from + i * 12 + 8, true) & 0xffffff) / 8,
      }))
      structs.set(name, { name, size, members })
    } else if (kind === KIND.ENUM) {
      const values = Array.from(
        { length: count },
        (_, i) =>
          [
            text(view.getUint32(from + i * 8, true)),
            view.getInt32(from + i * 8 + 4, true),
          ] as const,
      )
      enums.set(name, new Map(values))
    }
    const { fixed, each } = EXTRA[kind] ?? { fixed: 0, each: 0 }
    at = from + fixed + each * count
  }
  return { structs, enums }
}

/** The bytes of a section of an ELF64 object. elf(5) */
function elfSection(object: Uint8Array, name: string): Uint8Array | undefined {
  const view = new DataView(object.buffer, object.byteOffset, object.byteLength)
  if (object.length < 64 || view.getUint32(0, false) !== 0x7f454c46) return undefined
  const table = Number(view.getBigUint64(40, true))
  const [size, count, names] = [58, 60, 62].map((at) => view.getUint16(at, true))
  if (size === undefined || count === undefined || names === undefined) return undefined
  const place = (index: number) => Number(view.getBigUint64(table + index * size + 24, true))
  for (let i = 0; i < count; i++) {
    if (cText(object, place(names) + view.getUint32(table + i * size, true)) !== name) continue
    const length = Number(view.getBigUint64(table + i * size + 32, true))
    return object.subarray(place(i), place(i) + length)
  }
  return undefined
}

function cText(bytes: Uint8Array, at: number): string {
  return new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)))
}
