/**
 * Writes netlink messages: fixed header fields, then attributes, each aligned to four bytes. A nested
 * attribute reserves its length, writes its inside and patches the length. Host order is little-endian;
 * what is big-endian on the wire says so in its name. linux/netlink.h
 */

const NESTED = 0x8000

export class Writer {
  #bytes = Buffer.allocUnsafe(512)
  #length = 0

  /** What was written so far, as a copy. */
  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, 0, this.#length)
  }

  u8(value: number): this {
    this.#bytes.writeUInt8(value, this.#take(1))
    return this
  }

  u16(value: number): this {
    this.#bytes.writeUInt16LE(value, this.#take(2))
    return this
  }

  u32(value: number): this {
    this.#bytes.writeUInt32LE(value >>> 0, this.#take(4))
    return this
  }

  i32(value: number): this {
    this.#bytes.writeInt32LE(value, this.#take(4))
    return this
  }

  bytes(value: Uint8Array): this {
    const at = this.#take(value.length)
    this.#bytes.set(value, at)
    return this
  }

  attr(type: number, payload: Uint8Array): this {
    return this.#attribute(type, () => this.bytes(payload))
  }

  attrU8(type: number, value: number): this {
    return this.#attribute(type, () => this.u8(value))
  }

  attrU16BE(type: number, value: number): this {
    return this.#attribute(type, () => {
      this.#bytes.writeUInt16BE(value, this.#take(2))
    })
  }

  attrU32BE(type: number, value: number): this {
    return this.#attribute(type, () => {
      this.#bytes.writeUInt32BE(value >>> 0, this.#take(4))
    })
  }

  attrU32(type: number, value: number): this {
    return this.#attribute(type, () => this.u32(value))
  }

  /** Text with its closing zero. */
  attrString(type: number, value: string): this {
    return this.#attribute(type, () => this.bytes(Buffer.from(`${value}\0`)))
  }

  nested(type: number, inside: () => void): this {
    return this.#attribute(type | NESTED, inside)
  }

  #attribute(type: number, inside: () => void): this {
    const at = this.#take(4)
    inside()
    this.#bytes.writeUInt16LE(this.#length - at, at)
    this.#bytes.writeUInt16LE(type, at + 2)
    const padding = this.#take((4 - (this.#length % 4)) % 4)
    this.#bytes.fill(0, padding, this.#length)
    return this
  }

  #take(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }
}
