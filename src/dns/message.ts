/**
 * Messages of the Domain Name System, RFC 1035, as far as answering and passing on need them: a packet becomes
 * one question, or a reason not to answer it; an answer becomes a packet that the asker takes. The bytes are a
 * library's business, and so is what is wrong with them.
 */

import * as dnsPacket from 'dns-packet'
import type { IP } from '../net/ip.ts'

/** RFC 1035 §4.1.1, RFC 6891 §9 */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const
export type Rcode = (typeof RCODE)[keyof typeof RCODE]

/** The shortest UDP answer that everybody takes, and the longest that is sent: no fragments. RFC 9715 §3 */
const LEAST_BYTES = 512
const MOST_BYTES = 1232
const HEADER_BYTES = 12
const RESPONSE = 0x8000

export interface Question {
  /** As it was asked, without a dot at its end. */
  readonly name: string
  /** `A`, `AAAA`, …, or `UNKNOWN_<number>`. */
  readonly type: string
  readonly class: string
}

export interface Query {
  readonly id: number
  readonly recursionDesired: boolean
  readonly question: Question
  /** Of the asker, when it speaks EDNS. */
  readonly edns: { readonly version: number } | undefined
  /** The longest answer by UDP. */
  readonly udpBytes: number
}

/** A record of an answer, for the name that was asked. */
export type AnswerRecord =
  | { readonly type: 'A' | 'AAAA'; readonly data: IP }
  | { readonly type: 'PTR'; readonly data: string }

export interface Answer {
  readonly rcode: Rcode
  readonly records: readonly AnswerRecord[]
  readonly ttlSeconds: number
  /** True when nobody knows better. */
  readonly authoritative: boolean
}

/** `reply`: what to say to a question that cannot be understood; undefined: nothing, it is none. */
export type ReadQuery =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'reply'; readonly bytes: Uint8Array }
  | undefined

/** Never throws, whatever the bytes. */
export function readQuery(packet: Uint8Array): ReadQuery {
  if (packet.length < HEADER_BYTES) return undefined
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length)
  const flags = bytes.readUInt16BE(2)
  // An answer to an answer would go to and fro for ever.
  if ((flags & RESPONSE) !== 0) return undefined
  if (((flags >> 11) & 15) !== 0) return bareReply(bytes, RCODE.NOTIMP)
  const message = decoded(bytes)
  const [question, ...others] = message?.questions ?? []
  if (message === undefined || question === undefined || others.length > 0 || !isPlain(question)) {
    return bareReply(bytes, RCODE.FORMERR)
  }
  const opt = message.additionals?.find(({ type }) => type === 'OPT')
  const edns = opt?.type === 'OPT' ? opt : undefined
  return {
    kind: 'query',
    query: {
      id: bytes.readUInt16BE(0),
      recursionDesired: (flags & dnsPacket.RECURSION_DESIRED) !== 0,
      question: {
        name: question.name === '.' ? '' : question.name,
        type: question.type,
        class: question.class ?? 'IN',
      },
      edns: edns === undefined ? undefined : { version: edns.ednsVersion ?? 0 },
      udpBytes: Math.min(MOST_BYTES, Math.max(LEAST_BYTES, edns?.udpPayloadSize ?? 0)),
    },
  }
}

/** The packet of an answer, of at most `limit` bytes: where it does not fit it is empty and says so. */
export function writeAnswer(query: Query, answer: Answer, limit: number): Uint8Array {
  const whole = encode(query, answer, false)
  return whole.length <= limit ? whole : encode(query, { ...answer, records: [] }, true)
}

function encode(query: Query, answer: Answer, truncated: boolean): Uint8Array {
  const { question, edns } = query
  const { rcode, records, ttlSeconds, authoritative } = answer
  const name = question.name === '' ? '.' : question.name
  return dnsPacket.encode({
    type: 'response',
    id: query.id,
    flags:
      (rcode & 15) |
      dnsPacket.RECURSION_AVAILABLE |
      (query.recursionDesired ? dnsPacket.RECURSION_DESIRED : 0) |
      (authoritative ? dnsPacket.AUTHORITATIVE_ANSWER : 0) |
      (truncated ? dnsPacket.TRUNCATED_RESPONSE : 0),
    // The library wrote these words itself when it read the question.
    questions: [{ ...question, name } as dnsPacket.Question],
    answers: records.map((record) => ({ ...record, name, ttl: ttlSeconds, class: 'IN' })),
    additionals: edns === undefined ? [] : [optOf(rcode)],
  })
}

/** RFC 6891 §6.1.3 */
function optOf(rcode: Rcode): dnsPacket.Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: MOST_BYTES,
    extendedRcode: rcode >> 4,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
}

/** A header that says no more than what is wrong. */
function bareReply(query: Buffer, rcode: Rcode): ReadQuery {
  const bytes = Buffer.alloc(HEADER_BYTES)
  query.copy(bytes, 0, 0, 4)
  const asked = query.readUInt16BE(2) & 0x7900 // opcode and RD
  bytes.writeUInt16BE(RESPONSE | asked | rcode, 2)
  return { kind: 'reply', bytes }
}

function decoded(bytes: Buffer): dnsPacket.DecodedPacket | undefined {
  try {
    return dnsPacket.decode(bytes)
  } catch {
    return undefined // whatever the library found wrong with it
  }
}

/** Of other letters the library may not give back the same bytes. */
function isPlain({ name }: dnsPacket.Question): boolean {
  return /^[\x20-\x7e]*$/.test(name)
}

/** The question as it stands in a message: name, type and class; undefined when it is not whole. */
export function questionBytes(packet: Uint8Array): Uint8Array | undefined {
  let at = HEADER_BYTES
  for (let length = packet[at]; length !== 0; length = packet[at]) {
    if (length === undefined || length > 63) return undefined
    at += 1 + length
  }
  return at + 5 <= packet.length ? packet.subarray(HEADER_BYTES, at + 5) : undefined
}

/** RCODE of a message that is at least a header. */
export function rcodeOf(packet: Uint8Array): number {
  return (packet[3] ?? 0) & 15
}

/** The same message under another number. */
export function withId(packet: Uint8Array, id: number): Uint8Array {
  const copy = Uint8Array.from(packet)
  copy[0] = id >> 8
  copy[1] = id & 255
  return copy
}

export function idOf(packet: Uint8Array): number {
  return ((packet[0] ?? 0) << 8) | (packet[1] ?? 0)
}
