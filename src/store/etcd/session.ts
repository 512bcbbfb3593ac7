/**
 * One HTTP/2 connection to one member, made when it is needed and made anew after it broke. While streams
 * are open and nothing was heard for a while it is pinged, so that a peer that vanished without a word is
 * noticed; an idle connection is not pinged, for which servers cut clients off.
 * (The gRPC library's own manager pings connections that have died, which ends the process: 2.1.2.)
 */

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { messageOf } from '../../lib/errors.ts'
import type { TlsMaterial } from '../../pki/files.ts'

const PING_TIMEOUT_MS = 5000
const CONNECT_TIMEOUT_MS = 2000

export class Session {
  /** Origin of the member, as the gRPC library asks for it. */
  readonly authority: string
  readonly #tls: TlsMaterial | undefined
  readonly #pingIntervalMs: number
  #live: Live | undefined
  #connecting: Promise<Live> | undefined

  constructor(url: string, tls: TlsMaterial | undefined, pingIntervalMs: number) {
    this.authority = new URL(url).origin
    this.#tls = tls
    this.#pingIntervalMs = pingIntervalMs
  }

  /** Connects unless it is connected; throws what stood in the way, after two seconds at the latest. */
  async connect(): Promise<void> {
    await this.#get()
  }

  /** Opens a stream; called by the gRPC library. */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
  ): Promise<ClientHttp2Stream> {
    const live = await this.#get()
    return live.request({ ...headers, ':method': method, ':path': path })
  }

  /** Called by the gRPC library whenever an answer comes. */
  notifyResponseByteRead(): void {
    this.#live?.heard()
  }

  /** Asks whether the peer is still there, after a call was not answered in time. */
  verify(): void {
    this.#live?.ping()
  }

  /** Ends the connection and its streams. */
  close(): void {
    this.#live?.end()
    this.#live = undefined
  }

  async #get(): Promise<Live> {
    if (this.#live?.usable === true) return this.#live
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #open(): Promise<Live> {
    const tls = this.#tls
    const options = tls && { ca: tls.ca, cert: tls.certificate, key: tls.key }
    const session = connectHttp2(this.authority, options)
    // after the connection stands, its errors end its streams, which tell their callers
    session.on('error', () => session.destroy())
    await connected(session)
    this.#live = new Live(session, this.#pingIntervalMs)
    return this.#live
  }
}

/** Waits until a session stands; destroys it when it does not in time. */
function connected(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      clearTimeout(timer)
      session.destroy()
      reject(new Error(reason))
    }
    const timer = setTimeout(() => fail('no connection in time'), CONNECT_TIMEOUT_MS)
    session.once('connect', () => {
      clearTimeout(timer)
      resolve()
    })
    session.once('error', (error: unknown) => fail(messageOf(error)))
    session.once('close', () => fail('the connection was closed'))
  })
}

/** A connection that stands, or stood. */
class Live {
  readonly #session: ClientHttp2Session
  readonly #pingTimer: ReturnType<typeof setInterval>
  #streams = 0
  #heard = true
  #goingAway = false
  #pinging = false

  constructor(session: ClientHttp2Session, pingIntervalMs: number) {
    this.#session = session
    this.#pingTimer = setInterval(() => this.#tick(), pingIntervalMs)
    this.#pingTimer.unref()
    session.once('goaway', () => {
      this.#goingAway = true
      if (this.#streams === 0) this.end()
    })
    session.once('close', () => clearInterval(this.#pingTimer))
  }

  get usable(): boolean {
    return !this.#goingAway && !this.#session.closed && !this.#session.destroyed
  }

  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.#session.request(headers)
    this.#streams++
    stream.once('close', () => {
      this.#streams--
      if (this.#goingAway && this.#streams === 0) this.end()
    })
    return stream
  }

  heard(): void {
    this.#heard = true
  }

  /** Ends the connection unless the peer answers soon. */
  ping(): void {
    if (this.#pinging || this.#session.closed || this.#session.destroyed) return
    this.#pinging = true
    const timer = setTimeout(() => this.end(), PING_TIMEOUT_MS)
    timer.unref()
    this.#session.ping(() => {
      clearTimeout(timer)
      this.#pinging = false
    })
  }

  end(): void {
    clearInterval(this.#pingTimer)
    if (!this.#session.destroyed) this.#session.destroy(undefined, constants.NGHTTP2_CANCEL)
  }

  #tick(): void {
    if (this.#streams > 0 && !this.#heard) this.ping()
    this.#heard = false
  }
}
