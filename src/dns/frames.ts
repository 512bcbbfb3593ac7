/** Messages in a stream: each behind its length in two bytes. RFC 1035 §4.2.2 */

/** Puts the pieces of a stream together. */
export class Frames {
  #rest: Buffer = Buffer.alloc(0)

  /** The messages that are whole with this piece. */
  take(piece: Uint8Array): readonly Uint8Array[] {
    const whole: Uint8Array[] = []
    let bytes = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece])
    while (bytes.length >= 2) {
      const end = 2 + bytes.readUInt16BE(0)
      if (bytes.length < end) break
      whole.push(bytes.subarray(2, end))
      bytes = bytes.subarray(end)
    }
    this.#rest = bytes
    return whole
  }
}

/** Throws for a message of more than 65,535 bytes. */
export function frame(message: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(2 + message.length)
  bytes.writeUInt16BE(message.length, 0)
  bytes.set(message, 2)
  return bytes
}
