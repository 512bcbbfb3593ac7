/**
 * Requests of an engine as HTTP has them. The engine's client is peculiar: an empty or odd Host, a body without
 * a Content-Type, connections it keeps for hours, and after a broken connection the same request with an empty
 * body. What was read whole is done whole, whether or not the caller is still there. Only status 200 is success
 * to it, and only then it reads error texts well.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Log } from '../../lib/log.ts'
import { failure } from './failure.ts'

/** What answers the methods: `/NetworkDriver.Join` is the method `NetworkDriver.Join`. */
export interface PluginApi {
  /** Never rejects; undefined for a method that there is none of. */
  call(method: string, body: Uint8Array): Promise<object> | undefined
}

const MEDIA_TYPE = 'application/vnd.docker.plugins.v1.2+json'
const BODY_BYTES = 1024 * 1024
/** The engine keeps idle connections without limit; closing one may race with its next request. */
const KEEP_ALIVE_MS = 24 * 60 * 60_000
/** A whole request has to arrive within this. */
const REQUEST_MS = 30_000
const HEADER_BYTES = 16 * 1024

/** Speaks HTTP on connections handed to it by `emit('connection')`; does not listen. */
export function createHttpServer(api: PluginApi, log: Log): Server {
  const server = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => {
    answer(api, request, response).catch((error: unknown) => {
      log.debug('request of an engine broke off', { error })
      response.destroy()
    })
  })
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.requestTimeout = REQUEST_MS
  server.headersTimeout = REQUEST_MS
  server.on('clientError', (_error: Error, socket: Socket) => socket.destroy())
  return server
}

async function answer(
  api: PluginApi,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?')[0] ?? ''
  if (request.method !== 'POST') {
    request.resume()
    send(response, 405, failure(`${path} is called with POST, not with ${request.method}`))
    return
  }
  const body = await readBody(request)
  if (body === undefined) {
    send(response, 200, failure(`Cannot read the body: more than ${BODY_BYTES} bytes`))
    return
  }
  const result = api.call(path.slice(1), body)
  if (result === undefined) send(response, 404, failure(`There is no method ${path.slice(0, 99)}`))
  else send(response, 200, await result)
}

/** Undefined when there is too much of it; the rest is read all the same, so that the answer is heard. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of request as AsyncIterable<Uint8Array>) {
    size += part.byteLength
    if (size <= BODY_BYTES) parts.push(part)
  }
  return size <= BODY_BYTES ? Buffer.concat(parts) : undefined
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': MEDIA_TYPE,
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}
