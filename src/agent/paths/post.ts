/**
 * The post between hosts: one socket per address of ours, by which questions about paths are asked and those
 * of others answered. Only members are answered: a question whose sender no record has is dropped.
 */

import type { IP } from '../../net/ip.ts'
import { readMessage, writeAnswer, writeNews, writeQuestion } from './messages.ts'

/** How a datagram leaves; see kernel/udp.ts. */
export interface Sending {
  readonly sumNow: boolean
  readonly inPieces: boolean
}

/** A socket at one address. */
export interface Mailbox extends Disposable {
  /** False when the kernel refuses to send it. */
  send(datagram: Uint8Array, to: IP, port: number, how: Sending): boolean
}

/** Opens a socket. Throws `unavailable` when the address is not there. */
export type OpenMailbox = (
  address: IP,
  onDatagram: (datagram: Uint8Array, from: IP, port: number) => void,
) => Promise<Mailbox>

export interface PostOptions {
  readonly open: OpenMailbox
  /** The same on all hosts. */
  readonly port: number
  /** True for addresses of other hosts of the cluster, and no others. */
  readonly isMember: (address: IP) => boolean
  /** Is told of news, which may come from where no member was before: they prove themselves. */
  readonly onNews: (body: Uint8Array) => void
  readonly random: () => number
}

/** Answers are small, and summed up here: only the question's way is in question. */
const PLAIN: Sending = { sumNow: true, inPieces: false }

export class Post implements Disposable {
  readonly #options: PostOptions
  readonly #boxes = new Map<IP, Mailbox>()
  readonly #waiting = new Map<number, (intact: boolean) => void>()

  constructor(options: PostOptions) {
    this.#options = options
  }

  /** Opens a socket at the address; throws `unavailable` when it is not there. Content when there is one. */
  async open(address: IP): Promise<void> {
    if (this.#boxes.has(address)) return
    const box = await this.#options.open(address, (...received) =>
      this.#receive(address, ...received),
    )
    if (this.#boxes.has(address)) box[Symbol.dispose]()
    else this.#boxes.set(address, box)
  }

  /** Closes what is at other addresses than these. */
  keep(addresses: readonly IP[]): void {
    for (const [address, box] of this.#boxes) {
      if (addresses.includes(address)) continue
      box[Symbol.dispose]()
      this.#boxes.delete(address)
    }
  }

  /** Asks with a datagram of this many bytes; true when it arrived whole and the answer came in time. */
  async ask(from: IP, to: IP, bytes: number, how: Sending, timeoutMs: number): Promise<boolean> {
    const number = this.#options.random()
    const answered = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => answered.resolve(false), timeoutMs)
    this.#waiting.set(number, answered.resolve)
    try {
      const box = this.#boxes.get(from)
      if (box?.send(writeQuestion(number, bytes), to, this.#options.port, how) !== true)
        return false
      return await answered.promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(number)
    }
  }

  /** Sends news to an address, by whatever socket reaches it. */
  tell(from: IP, to: IP, body: Uint8Array): void {
    this.#boxes.get(from)?.send(writeNews(body), to, this.#options.port, PLAIN)
  }

  [Symbol.dispose](): void {
    this.keep([])
  }

  #receive(at: IP, datagram: Uint8Array, from: IP, port: number): void {
    const message = readMessage(datagram)
    if (message === undefined) return
    if (message.kind === 'news') {
      this.#options.onNews(message.body)
      return
    }
    if (!this.#options.isMember(from)) return
    if (message.kind === 'answer') {
      this.#waiting.get(message.number)?.(message.intact)
      return
    }
    const answer = writeAnswer(message.number, message.intact)
    this.#boxes.get(at)?.send(answer, from, port, PLAIN)
  }
}
