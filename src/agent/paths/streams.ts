/**
 * Streams between hosts that probe: one side sends some full segments on a connection, the other says
 * whether they arrived as sent. Connections of strangers are closed at once, and all of them soon.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'
import { NetworkError } from '../../lib/errors.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import {
  answerStream,
  HEADER_BYTES,
  readMessage,
  readStreamLength,
  writeStream,
} from './messages.ts'

/** More than one super-packet of any device that has no larger ones than usual. */
const STREAM_BYTES = 96 * 1024
const MOST_CONNECTIONS = 16
const LONGEST_MS = 10_000

/** True when a stream from one address to the other arrived whole and was answered in time. */
export function streamTo(
  ends: { readonly local: IP; readonly remote: IP; readonly port: number },
  number: number,
  timeoutMs: number,
): Promise<boolean> {
  const { local, remote, port } = ends
  return new Promise((resolve) => {
    const socket = connect({ host: remote, port, localAddress: local })
    const end = (passed: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(passed)
    }
    const timer = setTimeout(() => end(false), timeoutMs)
    let answer = Buffer.alloc(0)
    socket.on('connect', () => socket.write(writeStream(number, STREAM_BYTES)))
    socket.on('data', (part: Buffer) => {
      answer = Buffer.concat([answer, part.subarray(0, HEADER_BYTES)])
      if (answer.length < HEADER_BYTES) return
      const message = readMessage(answer)
      end(message?.kind === 'answer' && message.number === number && message.intact)
    })
    socket.on('error', () => end(false))
    socket.on('close', () => end(false))
  })
}

/** Takes streams at one address. */
export interface StreamDoor extends Disposable {
  readonly address: IP
}

/** Throws `unavailable` when the address is not there or the port is taken. */
export function openStreamDoor(
  address: IP,
  port: number,
  isMember: (address: IP) => boolean,
): Promise<StreamDoor> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    const from = parseIP(socket.remoteAddress ?? '')
    if (from === undefined || !isMember(from) || open.size >= MOST_CONNECTIONS) {
      socket.destroy()
      return
    }
    open.add(socket)
    const timer = setTimeout(() => socket.destroy(), LONGEST_MS)
    socket.on('close', () => {
      clearTimeout(timer)
      open.delete(socket)
    })
    answer(socket)
  })
  const close = (): void => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  return listening(server, address, port).then(() => ({ address, [Symbol.dispose]: close }))
}

function answer(socket: Socket): void {
  let all = Buffer.alloc(0)
  socket.on('data', (part: Buffer) => {
    all = Buffer.concat([all, part])
    if (all.length < HEADER_BYTES) return
    const length = readStreamLength(all)
    if (length === undefined || length > HEADER_BYTES + STREAM_BYTES) socket.destroy()
    else if (all.length >= length) socket.end(answerStream(all.subarray(0, length)))
  })
}

function listening(server: Server, address: IP, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const text = `Cannot take streams at ${address} port ${port}: ${String(cause)}`
      reject(new NetworkError('unavailable', text, { details: { address }, cause }))
    })
    server.listen({ host: address, port }, () => resolve())
  })
}
