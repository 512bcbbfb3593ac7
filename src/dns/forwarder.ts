/**
 * Passes a question on to the resolvers of the host, byte for byte but for its number, and gives back what the
 * first one says that has something to say. Each is given a moment; one that was silent or refused is asked
 * last for a while. What is under way is bounded, for all and for each asker.
 */

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { Frames, frame } from './frames.ts'
import { idOf, questionBytes, RCODE, rcodeOf, withId } from './message.ts'
import type { Upstream } from './upstreams.ts'

export type Transport = 'udp' | 'tcp'

export interface ForwarderOptions {
  readonly servers: () => Promise<readonly Upstream[]>
  readonly nowMs: () => number
  /** For one server to answer in. */
  readonly timeoutMs?: number
  /** Where resolvers listen; 53 but in tests. */
  readonly port?: number
}

const DNS_PORT = 53
/** Less than half of the five seconds that clients wait (resolv.conf(5) timeout). */
const TIMEOUT_MS = 1_500
/** A server that failed is asked last for so long. */
const SULK_MS = 10_000
const MOST_UNDER_WAY = 1_024
const MOST_OF_ONE = 128

export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #failedAtMs = new Map<Upstream, number>()
  readonly #underWay = new Map<string, number>()
  #count = 0

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  /** The answer, under the question's number; undefined when nobody gave one, or too much is under way. */
  async ask(
    query: Uint8Array,
    transport: Transport,
    source: string,
  ): Promise<Uint8Array | undefined> {
    const before = this.#underWay.get(source) ?? 0
    if (this.#count >= MOST_UNDER_WAY || before >= MOST_OF_ONE) return undefined
    this.#count++
    this.#underWay.set(source, before + 1)
    try {
      return await this.#askAll(query, transport)
    } finally {
      this.#count--
      const left = (this.#underWay.get(source) ?? 1) - 1
      if (left === 0) this.#underWay.delete(source)
      else this.#underWay.set(source, left)
    }
  }

  async #askAll(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const question = questionBytes(query)
    if (question === undefined) return undefined
    let poor: Uint8Array | undefined
    for (const server of this.#inOrder(await this.#options.servers())) {
      const id = randomInt(0x10000)
      const isAnswer = (packet: Uint8Array): boolean =>
        idOf(packet) === id &&
        (packet[2] ?? 0) >= 0x80 &&
        sameBytes(questionBytes(packet), question)
      const answer = await this.#askOne(server, withId(query, id), transport, isAnswer)
      const rcode = answer === undefined ? undefined : rcodeOf(answer)
      if (answer !== undefined && rcode !== RCODE.SERVFAIL && rcode !== RCODE.REFUSED) {
        this.#failedAtMs.delete(server)
        return withId(answer, idOf(query))
      }
      poor ??= answer
      if (answer === undefined) this.#failedAtMs.set(server, this.#options.nowMs())
    }
    return poor === undefined ? undefined : withId(poor, idOf(query))
  }

  #inOrder(servers: readonly Upstream[]): readonly Upstream[] {
    const now = this.#options.nowMs()
    const sulks = (server: Upstream): boolean =>
      now - (this.#failedAtMs.get(server) ?? Number.NEGATIVE_INFINITY) < SULK_MS
    for (const server of this.#failedAtMs.keys()) {
      if (!servers.includes(server)) this.#failedAtMs.delete(server)
    }
    return [...servers.filter((each) => !sulks(each)), ...servers.filter(sulks)]
  }

  /** Each question has a socket, and thereby a port, of its own: both must be guessed to lie. RFC 5452 */
  async #askOne(
    server: Upstream,
    packet: Uint8Array,
    transport: Transport,
    isAnswer: (packet: Uint8Array) => boolean,
  ): Promise<Uint8Array | undefined> {
    const port = this.#options.port ?? DNS_PORT
    const open = transport === 'udp' ? openDatagrams : openStream
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>()
    const timer = setTimeout(() => resolve(undefined), this.#options.timeoutMs ?? TIMEOUT_MS)
    const onPacket = (received: Uint8Array): void => {
      if (isAnswer(received)) resolve(received)
    }
    const close = open(server, port, packet, onPacket, () => resolve(undefined))
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      close()
    }
  }
}

type Open = (
  server: Upstream,
  port: number,
  packet: Uint8Array,
  onPacket: (packet: Uint8Array) => void,
  onFailure: () => void,
) => () => void

const openDatagrams: Open = (server, port, packet, onPacket, onFailure) => {
  const socket = createSocket(isIPv6(server.split('%')[0] ?? '') ? 'udp6' : 'udp4')
  let open = true
  socket.on('error', onFailure).on('message', onPacket)
  // Connected, so that the kernel lets nobody else answer and tells of a server that is not there.
  socket.connect(port, server, (error?: Error) => {
    if (error !== undefined && error !== null) onFailure()
    else if (open) socket.send(packet, (failed) => failed && onFailure())
  })
  return () => {
    open = false
    socket.close()
  }
}

const openStream: Open = (server, port, packet, onPacket, onFailure) => {
  const socket = connect({ host: server, port })
  const frames = new Frames()
  socket.on('error', onFailure).on('close', onFailure)
  socket.on('data', (chunk: Buffer) => {
    for (const each of frames.take(chunk)) onPacket(each)
  })
  socket.write(frame(packet))
  return () => socket.destroy()
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0
}
