/**
 * HTTP/1.1 (RFC 9112) over a unix socket, as little of it as the daemon's own answers need. A client library takes
 * as long for a call as the daemon does, and on the processors that the daemon needs.
 */

import { connect, type Socket } from 'node:net'

export interface Answer {
  readonly status: number
  readonly body: string
}

/** Connections that are kept, each for one call at a time. */
export class Connections implements Disposable {
  readonly #path: string
  readonly #all = new Set<Connection>()

  constructor(path: string) {
    this.#path = path
  }

  /** `text` is a JSON document. Rejects when the connection ends before the answer does. */
  call(method: string, path: string, text?: string): Promise<Answer> {
    const idle = this.#all.values().find((each) => each.idle)
    return (idle ?? this.#open()).call(method, path, text)
  }

  [Symbol.dispose](): void {
    for (const connection of this.#all) connection[Symbol.dispose]()
  }

  #open(): Connection {
    const connection = new Connection(connect({ path: this.#path }), () => {
      this.#all.delete(connection)
    })
    this.#all.add(connection)
    return connection
  }
}

class Connection implements Disposable {
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #waiting: PromiseWithResolvers<Answer> | undefined

  constructor(socket: Socket, onEnd: () => void) {
    this.#socket = socket
    let cause: Error | undefined
    socket.on('error', (error) => {
      cause = error
    })
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('close', () => {
      onEnd()
      this.#waiting?.reject(new Error('The connection ended before its answer', { cause }))
    })
  }

  get idle(): boolean {
    return this.#waiting === undefined
  }

  call(method: string, path: string, text = ''): Promise<Answer> {
    const waiting = Promise.withResolvers<Answer>()
    this.#waiting = waiting
    const head = [
      `${method} ${path} HTTP/1.1`,
      'host: localhost',
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(text)}`,
    ]
    this.#socket.write(`${head.join('\r\n')}\r\n\r\n${text}`)
    return waiting.promise
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    const headEnd = this.#received.indexOf('\r\n\r\n')
    if (headEnd === -1) return
    const head = this.#received.toString('latin1', 0, headEnd)
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    const end = headEnd + 4 + length
    if (this.#received.length < end) return
    const answer = {
      status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
      body: this.#received.toString('utf8', headEnd + 4, end),
    }
    this.#received = this.#received.subarray(end)
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve(answer)
  }
}
