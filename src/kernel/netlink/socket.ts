/**
 * One netlink socket: sends requests and collects their answers. The kernel answers inside the call, so
 * every exchange is synchronous; the socket stays in the namespace it was opened in, whoever uses it.
 * Answers are matched by sequence number, so leftovers of a failed exchange are passed over.
 */
import { NetworkError } from '../../lib/errors.ts'
import { errnoName, kernelError } from '../errno.ts'
import * as sys from '../syscall.ts'
import type { Request } from './message.ts'
import { type Ack, isDump, NLM_F, readAck, readMessages, writeMessage } from './message.ts'

const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12

/** More than the kernel puts into one datagram. */
export const RECEIVE_BYTES = 256 * 1024
const BUFFER_BYTES = 8 * 1024 * 1024
/** No more in one send: its answers must fit the queue. */
const BATCH_REQUESTS = 512
const BATCH_BYTES = 64 * 1024
/** How often an interrupted list is asked again before the caller hears of it. */
const DUMP_ATTEMPTS = 10
/** The kernel answers at once; this only keeps a defect from hanging the thread. */
const ANSWER_TIMEOUT_SECONDS = 10

/** Where messages go. The real one is a socket; tests script their own. */
export interface Transport extends Disposable {
  send(bytes: Uint8Array): void
  /** One datagram, valid until the next call. */
  receive(): Uint8Array
}

export interface Failure {
  /** Position among the requests, from 0. */
  readonly request: number
  readonly error: NetworkError
}

export class NetlinkSocket implements Disposable {
  readonly #transport: Transport
  #sequence = 0

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Does one thing and gives its answers. */
  request(request: Request): readonly Uint8Array[] {
    if (isDump(request)) return this.#dump(request)
    const { answers, failures } = this.#exchange([request])
    if (failures[0] !== undefined) throw failures[0].error
    return answers[0] ?? []
  }

  /** Sends all requests, in as few calls as fit, and gives every failure. None of them may be a list. */
  batch(requests: readonly Request[]): readonly Failure[] {
    const failures: Failure[] = []
    let start = 0
    while (start < requests.length) {
      let end = start
      for (let bytes = 0; end < requests.length && end - start < BATCH_REQUESTS; end++) {
        bytes += (requests[end]?.body.length ?? 0) + 20
        if (bytes > BATCH_BYTES && end > start) break
      }
      for (const { request, error } of this.#exchange(requests.slice(start, end)).failures) {
        failures.push({ request: request + start, error })
      }
      start = end
    }
    return failures
  }

  /** Does all of it or nothing, in one send between the messages that begin and end it; throws the first failure. */
  transaction(begin: Request, requests: readonly Request[], end: Request): void {
    if (requests.length === 0) return
    const { failures } = this.#exchange([begin, ...requests, end], requests.length)
    if (failures[0] !== undefined) throw failures[0].error
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]()
  }

  /** `last`: whose end ends them all, or the failure of the first, which is that of a whole transaction too. */
  #exchange(
    requests: readonly Request[],
    last = requests.length - 1,
  ): {
    readonly answers: readonly Uint8Array[][]
    readonly failures: readonly Failure[]
  } {
    const first = this.#sequence + 1
    this.#sequence += requests.length
    const bracketed = last < requests.length - 1
    // They are done in order, and of a failure the kernel tells unasked: the end of the last one ends them all.
    this.#transport.send(
      Buffer.concat(requests.map((each, i) => writeMessage(each, first + i, i === last))),
    )
    const answers: Uint8Array[][] = requests.map(() => [])
    const failures: Failure[] = []
    for (let ended = false; !ended; ) {
      for (const message of readMessages(this.#transport.receive())) {
        const at = message.sequence - first
        const request = requests[at]
        if (request === undefined) continue
        const ack = readAck(message)
        if (ack === undefined) {
          answers[at]?.push(new Uint8Array(message.body))
          continue
        }
        const error = refusal(request, ack)
        if (error !== undefined) failures.push({ request: at, error })
        ended ||= at === last || (bracketed && at === 0)
      }
    }
    return { answers, failures }
  }

  #dump(request: Request): readonly Uint8Array[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const list = this.#dumpOnce(request)
      if (list !== undefined) return list
    }
    throw new NetworkError(
      'unavailable',
      `Cannot ${request.operation}: the list changed under each of ${DUMP_ATTEMPTS} readings`,
      { details: { operation: request.operation } },
    )
  }

  /** The list, or undefined when something changed meanwhile and it may be torn. */
  #dumpOnce(request: Request): readonly Uint8Array[] | undefined {
    const sequence = ++this.#sequence
    this.#transport.send(writeMessage(request, sequence, false))
    const answers: Uint8Array[] = []
    let torn = false
    for (;;) {
      for (const message of readMessages(this.#transport.receive())) {
        if (message.sequence !== sequence) continue
        if ((message.flags & NLM_F.DUMP_INTR) !== 0) torn = true
        const ack = readAck(message)
        if (ack === undefined) {
          answers.push(new Uint8Array(message.body))
          continue
        }
        const error = refusal(request, ack)
        if (error !== undefined) throw error
        return torn ? undefined : answers
      }
    }
  }
}

function refusal(request: Request, ack: Ack): NetworkError | undefined {
  if (ack.errno === 0) return undefined
  if (request.accept?.(errnoName(ack.errno), ack.text) === true) return undefined
  return kernelError(request.operation, ack.errno, ack.text)
}

/**
 * Opens a socket of the netlink family in the namespace the calling thread is in. `buffer` takes what is
 * received; sockets of one thread may share it, as no exchange begins before another has ended.
 */
export function openNetlink(protocol: number, buffer: Uint8Array): Transport {
  const fd = openNetlinkDescriptor(protocol, 0, 0)
  sys.setsockopt(fd, sys.SOL_SOCKET, sys.SO_RCVTIMEO, timeval(ANSWER_TIMEOUT_SECONDS))
  return {
    send: (bytes) => sys.send(fd, bytes),
    receive: () => buffer.subarray(0, Math.min(sys.receive(fd, buffer), buffer.length)),
    [Symbol.dispose]: () => sys.close(fd),
  }
}

/** A bound descriptor that hears the multicast groups of the mask. `flags` go to socket(2). */
export function openNetlinkDescriptor(protocol: number, groups: number, flags: number): number {
  const fd = sys.socket(sys.AF_NETLINK, sys.SOCK_RAW | sys.SOCK_CLOEXEC | flags, protocol)
  try {
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
      sys.setsockopt(fd, SOL_NETLINK, option, u32(1))
    }
    sys.setsockopt(fd, sys.SOL_SOCKET, sys.SO_RCVBUFFORCE, u32(BUFFER_BYTES))
    sys.setsockopt(fd, sys.SOL_SOCKET, sys.SO_SNDBUFFORCE, u32(BUFFER_BYTES))
    // struct sockaddr_nl: family, padding, port (0: the kernel chooses), groups
    const address = Buffer.alloc(12)
    address.writeUInt16LE(sys.AF_NETLINK, 0)
    address.writeUInt32LE(groups >>> 0, 8)
    sys.bind(fd, address)
    return fd
  } catch (error) {
    sys.close(fd)
    throw error
  }
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** struct timeval of a 64-bit machine */
function timeval(seconds: number): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(BigInt(seconds))
  return bytes
}
