/**
 * The API on a socket that somebody else opened. Bun's own server cannot listen on one (1.4.5: it says so and
 * never answers), so connections are accepted here and handed to node:http, whose requests are put into the
 * API's form.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createListener, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { RestApi } from './api.ts'

/** As long as Bun's server keeps a connection on which nothing moves. */
const IDLE_MS = 255_000
/** A request's head has to arrive within this. */
const HEAD_MS = 30_000

export interface NodeServer {
  /** Lets requests under way end within `graceMs`; the socket stays as it is. */
  close(graceMs: number): Promise<void>
}

/** Accepts on the descriptor, which is closed with the server; throws what node:net does. */
export async function serveOnDescriptor(api: RestApi, fd: number): Promise<NodeServer> {
  const http = createServer((request, response) => {
    answer(api, request, response).catch(() => response.destroy()) // the client is gone
  })
  http.keepAliveTimeout = IDLE_MS
  http.headersTimeout = HEAD_MS
  http.requestTimeout = 0 // requests may wait: the API has deadlines of its own
  const sockets = new Set<Socket>()
  const listener = createListener((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    http.emit('connection', socket)
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ fd }, resolve)
  })
  let busy = 0
  const idle = Promise.withResolvers<void>()
  let ending = false
  http.on('request', (_request, response: ServerResponse) => {
    busy++
    response.once('close', () => {
      busy--
      if (ending && busy === 0) idle.resolve()
    })
  })
  return {
    async close(graceMs) {
      listener.close()
      ending = true
      if (busy > 0) {
        const timer = setTimeout(() => idle.resolve(), graceMs)
        await idle.promise
        clearTimeout(timer)
      }
      for (const socket of sockets) socket.destroy()
    },
  }
}

async function answer(
  api: RestApi,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const result = await api.fetch(requestOf(request, gone.signal))
  response.writeHead(result.status, Object.fromEntries(result.headers))
  response.flushHeaders()
  if (result.body !== null) {
    const reader = result.body.getReader()
    gone.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined))
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (!response.write(part.value)) await drained(response)
    }
  }
  response.end()
}

function requestOf(request: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', url = '/', headers } = request
  const plain = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  )
  const body = method === 'GET' || method === 'HEAD' ? undefined : Readable.toWeb(request)
  return new Request(`http://${headers.host ?? 'localhost'}${url}`, {
    method,
    headers: plain,
    signal,
    // The types of both kinds of stream differ; the streams do not.
    ...(body === undefined ? {} : { body: body as unknown as ReadableStream }),
  })
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once('drain', resolve)
    response.once('close', resolve)
  })
}
