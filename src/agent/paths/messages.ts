/**
 * What hosts say to each other to learn about the way between them. A question is as large as it wants to
 * be and filled with bytes that follow from its number, so that the one asked can see whether they arrived
 * as sent; an answer is never larger than the question. All numbers are big-endian.
 */

/** First bytes of everything we say: four of them, the last the version. */
const MAGIC = Uint8Array.of(0x43, 0x4b, 0x50, 0x01)
const KIND_AT = 4
const INTACT_AT = 5
const NUMBER_AT = 8
const LENGTH_AT = 12
/** Bytes of an answer, and of a question without filling. */
export const HEADER_BYTES = 16

const QUESTION = 1
const ANSWER = 2
const NEWS = 3
const STREAM = 4

export type Message =
  | { readonly kind: 'question'; readonly number: number; readonly intact: boolean }
  | { readonly kind: 'answer'; readonly number: number; readonly intact: boolean }
  /** That a store has moved: see `readMoved`. */
  | { readonly kind: 'news'; readonly body: Uint8Array }

/** A question of this many bytes; `number` is of 32 bits. */
export function writeQuestion(number: number, bytes: number): Uint8Array {
  const message = header(QUESTION, number, Math.max(bytes, HEADER_BYTES))
  message.set(filling(number, message.length - HEADER_BYTES), HEADER_BYTES)
  return message
}

export function writeAnswer(number: number, intact: boolean): Uint8Array {
  const message = header(ANSWER, number, HEADER_BYTES)
  message[INTACT_AT] = intact ? 1 : 0
  return message
}

export function writeNews(body: Uint8Array): Uint8Array {
  const message = header(NEWS, 0, HEADER_BYTES + body.length)
  message.set(body, HEADER_BYTES)
  return message
}

/** What a datagram says; undefined when it is none of ours. */
export function readMessage(datagram: Uint8Array): Message | undefined {
  const head = readHeader(datagram)
  if (head === undefined) return undefined
  const { kind, number, length } = head
  const body = datagram.subarray(HEADER_BYTES)
  switch (kind) {
    case QUESTION: {
      const intact = length === datagram.length && isFilling(number, body)
      return { kind: 'question', number, intact }
    }
    case ANSWER:
      return { kind: 'answer', number, intact: datagram[INTACT_AT] === 1 }
    case NEWS:
      return { kind: 'news', body }
    default:
      return undefined
  }
}

/** Everything that is sent on a connection: a header and its filling. */
export function writeStream(number: number, bytes: number): Uint8Array {
  const message = header(STREAM, number, HEADER_BYTES + bytes)
  message.set(filling(number, bytes), HEADER_BYTES)
  return message
}

/** How many bytes a connection will bring in all; undefined when it is not one of ours. */
export function readStreamLength(start: Uint8Array): number | undefined {
  const head = readHeader(start)
  return head?.kind === STREAM ? head.length : undefined
}

/** The answer to everything that came on a connection. */
export function answerStream(everything: Uint8Array): Uint8Array {
  const number = readHeader(everything)?.number ?? 0
  return writeAnswer(number, isFilling(number, everything.subarray(HEADER_BYTES)))
}

function header(kind: number, number: number, length: number): Uint8Array {
  const message = new Uint8Array(length)
  message.set(MAGIC)
  message[KIND_AT] = kind
  const view = new DataView(message.buffer)
  view.setUint32(NUMBER_AT, number)
  view.setUint32(LENGTH_AT, length)
  return message
}

function readHeader(
  bytes: Uint8Array,
): { readonly kind: number; readonly number: number; readonly length: number } | undefined {
  if (bytes.length < HEADER_BYTES || !MAGIC.every((byte, i) => bytes[i] === byte)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return {
    kind: view.getUint8(KIND_AT),
    number: view.getUint32(NUMBER_AT),
    length: view.getUint32(LENGTH_AT),
  }
}

/** Bytes without a pattern that a device could shorten or repair. Marsaglia's xorshift of 32 bits. */
function filling(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = number | 1
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

function isFilling(number: number, body: Uint8Array): boolean {
  return Buffer.compare(body, filling(number, body.length)) === 0
}
