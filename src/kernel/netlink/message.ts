/**
 * The netlink message: a header of sixteen bytes before every request and answer, and the acknowledgement
 * that ends a request, with the kernel's own words when it refuses. linux/netlink.h
 */
import { Attributes, viewOf } from './reader.ts'

/** Flags of a request. */
export const NLM_F = {
  REQUEST: 0x1,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  DUMP: 0x300,
} as const

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
const HEADER_BYTES = 16

/** One thing asked of the kernel, before it has a sequence number. */
export interface Request {
  /** What an error says could not be done: `create link "a"`. */
  readonly operation: string
  readonly type: number
  /** NLM_F flags besides REQUEST and ACK. */
  readonly flags: number
  readonly body: Uint8Array
  /** It asks for a list, in a family whose numbers do not tell. */
  readonly list?: true
  /** Refusals that mean "already so". */
  readonly accept?: (errno: string, ack: string) => boolean
}

export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly body: Uint8Array
}

/** The end of a request: errno 0 is success. */
export interface Ack {
  readonly errno: number
  readonly text: string
}

/** With `acked` the kernel tells the end of the request; without, only of a failure. */
export function writeMessage(request: Request, sequence: number, acked: boolean): Uint8Array {
  const bytes = new Uint8Array((HEADER_BYTES + request.body.length + 3) & ~3)
  const view = viewOf(bytes)
  view.setUint32(0, HEADER_BYTES + request.body.length, true)
  view.setUint16(4, request.type, true)
  view.setUint16(6, request.flags | NLM_F.REQUEST | (acked ? NLM_F.ACK : 0), true)
  view.setUint32(8, sequence, true)
  bytes.set(request.body, HEADER_BYTES)
  return bytes
}

/** True when the request lists everything. For GET messages only, as other types use these bits otherwise. */
export function isDump(request: Pick<Request, 'type' | 'flags' | 'list'>): boolean {
  if (request.list === true) return true
  return request.type % 4 === 2 && (request.flags & NLM_F.DUMP) === NLM_F.DUMP
}

/** The messages of one datagram; a malformed rest is left out. */
export function* readMessages(datagram: Uint8Array): Generator<Message> {
  const view = viewOf(datagram)
  let at = 0
  while (at + HEADER_BYTES <= datagram.length) {
    const length = view.getUint32(at, true)
    if (length < HEADER_BYTES || length > datagram.length - at) return
    yield {
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      body: datagram.subarray(at + HEADER_BYTES, at + length),
    }
    at += (length + 3) & ~3
  }
}

/** What a message says about the end of its request; undefined when it is an answer. */
export function readAck(message: Message): Ack | undefined {
  if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) return undefined
  const { body } = message
  // A list may end without a word about its success.
  if (body.length < 4) return { errno: 0, text: '' }
  const view = viewOf(body)
  const errno = Math.abs(view.getInt32(0, true))
  let attributesAt = 4
  if (message.type === NLMSG_ERROR) {
    if (body.length < 20) return { errno, text: '' }
    const capped = (message.flags & NLM_F_CAPPED) !== 0
    attributesAt = capped ? 20 : 4 + ((view.getUint32(4, true) + 3) & ~3)
  }
  if ((message.flags & NLM_F_ACK_TLVS) === 0 || attributesAt > body.length)
    return { errno, text: '' }
  return {
    errno,
    text: new Attributes(body.subarray(attributesAt)).string(NLMSGERR_ATTR_MSG) ?? '',
  }
}
