/**
 * Where engines find the plug-in: a unix socket in the directory they look through, and, for engines elsewhere or
 * told so by a `.spec` or `.json` file, TCP with certificates on both sides. Connections are accepted here and
 * handed to the HTTP server, so that sockets which somebody else opened can be served just as well.
 */

import { chmodSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { messageOf, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { clearSocketPath, socketFile } from '../socket-file.ts'
import { createHttpServer, type PluginApi } from './http.ts'

/** A place on the network, for callers whose certificate the authority has signed. All PEM. */
export interface TlsPlace {
  readonly host: string
  readonly port: number
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

export interface ServeDockerOptions {
  readonly api: PluginApi
  readonly log: Log
  /** Path of the unix socket; absent: none. */
  readonly path?: string
  /** A descriptor that listens already; it is closed at the end, whoever waits there goes on waiting. */
  readonly inherited?: number
  readonly tls?: TlsPlace
}

export interface DockerServer extends AsyncDisposable {
  /** Port on which callers with a certificate are served. */
  readonly port: number | undefined
}

/** How long calls under way may take to end. */
const GRACE_MS = 2_000

/**
 * Serves engines until disposed; then calls under way are let end, and the socket's file goes first, so that
 * nobody waits at it. Throws `conflict` when somebody answers at the socket, `unavailable` when a place cannot
 * be listened on.
 */
export async function serveDocker(options: ServeDockerOptions): Promise<DockerServer> {
  const { api, log, path, inherited, tls } = options
  await using started = new AsyncDisposableStack()
  const http = started.adopt(createHttpServer(api, log), (server) => server.closeAllConnections())
  const calls = new Calls(http)
  if (inherited !== undefined) started.use(await listenOn(inherited, calls))
  else if (path !== undefined) started.use(await listenAt(path, calls))
  const secure = tls === undefined ? undefined : started.use(await listenSecurely(tls, calls))
  const stack = started.move()
  return {
    port: secure?.port,
    async [Symbol.asyncDispose]() {
      await stack.disposeAsync()
      await calls.end()
    },
  }
}

/** The connections of engines, which stay open between calls. */
class Calls {
  readonly #http: HttpServer
  readonly #sockets = new Set<Socket>()
  #busy = 0
  #idle = Promise.withResolvers<void>()

  constructor(http: HttpServer) {
    this.#http = http
    http.on('request', (_request, response) => {
      this.#busy++
      response.once('close', () => {
        this.#busy--
        if (this.#busy === 0) this.#idle.resolve()
      })
    })
  }

  take(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy()) // the caller is gone; what it asked for goes on
    this.#http.emit('connection', socket)
  }

  /** Waits for the answers under way, for a while, and closes every connection. */
  async end(): Promise<void> {
    if (this.#busy > 0) {
      this.#idle = Promise.withResolvers()
      const timer = setTimeout(() => this.#idle.resolve(), GRACE_MS)
      await this.#idle.promise
      clearTimeout(timer)
    }
    for (const socket of this.#sockets) socket.destroy()
  }
}

async function listenAt(path: string, calls: Calls): Promise<AsyncDisposable> {
  await clearSocketPath(path)
  const server = createServer((socket) => calls.take(socket))
  const mask = process.umask(0o177) // nobody else connects before the mode is set
  try {
    await listening(server, path, () => server.listen(path))
  } finally {
    process.umask(mask)
  }
  chmodSync(path, 0o600)
  const file = socketFile(path)
  return {
    async [Symbol.asyncDispose]() {
      if (file.isThere()) file.remove()
      server.close()
    },
  }
}

async function listenOn(fd: number, calls: Calls): Promise<AsyncDisposable> {
  const server = createServer((socket) => calls.take(socket))
  await listening(server, 'the socket that was handed over', () => server.listen({ fd }))
  return {
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}

async function listenSecurely(
  { host, port, ca, certificate, key }: TlsPlace,
  calls: Calls,
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createTlsServer(
    {
      ...{ ca, cert: certificate, key },
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    },
    (socket) => {
      if (socket.authorized) calls.take(socket)
      else socket.destroy()
    },
  )
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  await listening(server, `${host} port ${port}`, () => server.listen(port, host))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}

function listening(server: Server, where: string, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const text = `Cannot listen on ${where}: ${messageOf(error)}`
      reject(new NetworkError('unavailable', text, { cause: error }))
    })
    server.once('listening', () => resolve())
    listen()
  })
}
