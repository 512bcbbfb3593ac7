/**
 * The resolver's doors. A datagram or a stream comes in at a port that tells of which network it is; each
 * message in it is answered from the planned table, or by the resolvers of the host, or with a failure; what
 * is no question is left alone. A door that cannot be opened is tried again: the address may come later.
 */

import type { Socket } from 'node:net'
import { messageOf } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { type IP, parseIP } from '../net/ip.ts'
import { type AnswerOptions, answerTo, plainAnswer } from './answer.ts'
import type { Forwarder, Transport } from './forwarder.ts'
import { Frames, frame } from './frames.ts'
import { RCODE, readQuery, writeAnswer } from './message.ts'

/** Where questions come in. */
export interface Listener {
  readonly address: IP
  readonly port: number
  /** Whose containers ask there; absent: anybody else. */
  readonly networkId?: string
  /** Packet mark of the answers. */
  readonly mark: number
}

/** Sockets whose packets carry a mark. */
export interface Sockets {
  /** Throws when the address or the port cannot be had. */
  openUdp(
    at: Pick<Listener, 'address' | 'port' | 'mark'>,
    onDatagram: (datagram: Uint8Array, from: IP, port: number) => void,
  ): Promise<UdpSocket>
  listenTcp(
    at: Pick<Listener, 'address' | 'port' | 'mark'>,
    onStream: (stream: Socket) => void,
  ): Promise<Disposable>
}

export interface UdpSocket extends Disposable {
  /** What cannot be sent is lost, like any datagram. */
  send(datagram: Uint8Array, to: IP, port: number): void
}

export interface DnsServerOptions extends AnswerOptions {
  readonly forwarder: Forwarder
  readonly sockets: Sockets
  readonly log: Log
}

const MOST_TCP_BYTES = 65_535
const STREAM_IDLE_MS = 10_000
const MOST_STREAMS = 256
const MOST_STREAMS_OF_ONE = 32
/** Questions of one stream that have no answer yet. */
const MOST_IN_STREAM = 32
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 5_000

export class DnsServer implements Disposable {
  readonly #options: DnsServerOptions
  readonly #doors = new Map<string, Door>()
  readonly #streams = new Map<Socket, string>()

  constructor(options: DnsServerOptions) {
    this.#options = options
  }

  /** Opens the doors that are not open yet, and closes those that are not wanted any more. */
  want(listeners: readonly Listener[]): void {
    const wanted = new Map(listeners.map((listener) => [keyOf(listener), listener]))
    for (const [key, door] of this.#doors) {
      if (wanted.has(key)) continue
      this.#doors.delete(key)
      door[Symbol.dispose]()
    }
    for (const [key, listener] of wanted) {
      if (this.#doors.has(key)) continue
      this.#doors.set(key, new Door(() => this.#open(listener), this.#describe(listener)))
    }
  }

  /** What to say to one message; undefined: nothing. Never throws. */
  async answer(
    packet: Uint8Array,
    transport: Transport,
    listener: Pick<Listener, 'networkId'>,
    source: IP,
  ): Promise<Uint8Array | undefined> {
    const read = readQuery(packet)
    if (read === undefined) return undefined
    if (read.kind === 'reply') return read.bytes
    const { query } = read
    const limit = transport === 'udp' ? query.udpBytes : MOST_TCP_BYTES
    const { networkId } = listener
    try {
      const asker = networkId === undefined ? undefined : { networkId, source }
      const answer = answerTo(query, asker, this.#options)
      if (answer !== undefined) return writeAnswer(query, answer, limit)
      const forwarded = await this.#options.forwarder.ask(packet, transport, source)
      return forwarded ?? writeAnswer(query, plainAnswer(RCODE.SERVFAIL), limit)
    } catch (error) {
      this.#options.log.error('a question was not answered', { error, address: source })
      return writeAnswer(query, plainAnswer(RCODE.SERVFAIL), limit)
    }
  }

  [Symbol.dispose](): void {
    this.want([])
    for (const stream of this.#streams.keys()) stream.destroy()
  }

  async #open(listener: Listener): Promise<Disposable> {
    const { sockets } = this.#options
    const stack = new DisposableStack()
    try {
      const udp: UdpSocket = await sockets.openUdp(listener, (datagram, from, port) => {
        // The buffer is the socket's, and the answer may take a while.
        const packet = Uint8Array.from(datagram)
        void this.answer(packet, 'udp', listener, from).then((answer) => {
          if (answer !== undefined && !stack.disposed) udp.send(answer, from, port)
        })
      })
      stack.use(udp)
      stack.use(await sockets.listenTcp(listener, (stream) => this.#serve(stream, listener)))
      return stack
    } catch (error) {
      stack.dispose()
      throw error
    }
  }

  #serve(stream: Socket, listener: Listener): void {
    const source = parseIP(stream.remoteAddress ?? '')
    const sources = [...this.#streams.values()]
    const crowded = sources.filter((each) => each === source).length >= MOST_STREAMS_OF_ONE
    if (source === undefined || crowded || sources.length >= MOST_STREAMS) {
      stream.destroy()
      return
    }
    this.#streams.set(stream, source)
    const frames = new Frames()
    let waiting = 0
    stream.setTimeout(STREAM_IDLE_MS, () => stream.destroy())
    stream.on('error', () => stream.destroy())
    stream.on('close', () => this.#streams.delete(stream))
    stream.on('data', (piece: Buffer) => {
      for (const packet of frames.take(piece)) {
        if (++waiting > MOST_IN_STREAM) stream.destroy()
        if (stream.destroyed) return
        void this.answer(packet, 'tcp', listener, source).then((answer) => {
          waiting--
          if (answer !== undefined && stream.writable) stream.write(frame(answer))
        })
      }
    })
  }

  #describe(listener: Listener): Telling {
    const { log } = this.#options
    const { address, port, networkId } = listener
    const fields = { address, port, ...(networkId === undefined ? {} : { network: networkId }) }
    return {
      opened: () => log.debug('resolver listens', fields),
      failed: (error) =>
        log.warn('resolver cannot listen yet', { ...fields, error: messageOf(error) }),
    }
  }
}

interface Telling {
  opened(): void
  failed(error: unknown): void
}

/** Something that is tried until it is open, and then stays so. */
class Door implements Disposable {
  readonly #open: () => Promise<Disposable>
  readonly #telling: Telling
  #timer: NodeJS.Timeout | undefined
  #held: Disposable | undefined
  #closed = false

  constructor(open: () => Promise<Disposable>, telling: Telling) {
    this.#open = open
    this.#telling = telling
    void this.#try(FIRST_RETRY_MS)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#held?.[Symbol.dispose]()
  }

  async #try(retryMs: number): Promise<void> {
    try {
      const held = await this.#open()
      if (this.#closed) held[Symbol.dispose]()
      else this.#held = held
      this.#telling.opened()
    } catch (error) {
      if (this.#closed) return
      // The first times are usual at a start, when the address is not there yet.
      if (retryMs === LAST_RETRY_MS) this.#telling.failed(error)
      this.#timer = setTimeout(() => void this.#try(Math.min(LAST_RETRY_MS, retryMs * 2)), retryMs)
    }
  }
}

function keyOf({ address, port, networkId, mark }: Listener): string {
  return `${address} ${port} ${networkId ?? '-'} ${mark}`
}
