/**
 * Reads netlink attributes. Nothing here trusts a length: what is cut off is left out, what is unknown
 * is ignored by its reader, and a malformed tail ends the list. linux/netlink.h, struct nlattr
 */
import { ipFromBytes } from '../../net/ip.ts'

const TYPE_MASK = 0x3fff
const EMPTY = new Uint8Array(0)

/** Attributes by type; of a repeated type the last one counts. */
export class Attributes {
  readonly #byType = new Map<number, Uint8Array>()

  constructor(bytes: Uint8Array) {
    for (const { type, payload } of eachAttribute(bytes)) this.#byType.set(type, payload)
  }

  has(type: number): boolean {
    return this.#byType.has(type)
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#byType.get(type)
  }

  u8(type: number): number | undefined {
    return this.#byType.get(type)?.[0]
  }

  u16BE(type: number): number | undefined {
    const view = this.#view(type, 2)
    return view?.getUint16(0)
  }

  u32(type: number): number | undefined {
    return this.#view(type, 4)?.getUint32(0, true)
  }

  u32BE(type: number): number | undefined {
    return this.#view(type, 4)?.getUint32(0)
  }

  i32(type: number): number | undefined {
    return this.#view(type, 4)?.getInt32(0, true)
  }

  /** Text up to its closing zero. */
  string(type: number): string | undefined {
    const payload = this.#byType.get(type)
    if (payload === undefined) return undefined
    const end = payload.indexOf(0)
    return Buffer.from(end < 0 ? payload : payload.subarray(0, end)).toString()
  }

  /** An address of four or sixteen bytes; undefined for any other length. */
  ip(type: number): string | undefined {
    const payload = this.#byType.get(type)
    return payload?.length === 4 || payload?.length === 16 ? ipFromBytes(payload) : undefined
  }

  nested(type: number): Attributes {
    return new Attributes(this.#byType.get(type) ?? EMPTY)
  }

  #view(type: number, length: number): DataView | undefined {
    const payload = this.#byType.get(type)
    if (payload === undefined || payload.length < length) return undefined
    return viewOf(payload)
  }
}

/** Attributes in order, repeated ones too. */
export function* eachAttribute(
  bytes: Uint8Array,
): Generator<{ readonly type: number; readonly payload: Uint8Array }> {
  const view = viewOf(bytes)
  let at = 0
  while (at + 4 <= bytes.length) {
    const length = view.getUint16(at, true)
    if (length < 4 || at + length > bytes.length) return
    yield {
      type: view.getUint16(at + 2, true) & TYPE_MASK,
      payload: bytes.subarray(at + 4, at + length),
    }
    at += (length + 3) & ~3
  }
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
