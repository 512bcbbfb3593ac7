/**
 * The embedded store served to other hosts over the etcd v3 API: gRPC on HTTP/2 with mutual TLS. A caller
 * without a certificate of our authority does not get past the handshake; the common name of its
 * certificate decides what it may write.
 */

import {
  createSecureServer,
  type Http2ServerRequest,
  type SecureServerOptions,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { TLSSocket } from 'node:tls'
import { createContextValues } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { messageOf, NetworkError } from '../../lib/errors.ts'
import type { TlsMaterial } from '../../pki/files.ts'
import { Cluster, KV, Lease, Maintenance, Watch } from '../etcd/gen/etcdserverpb/rpc_pb.js'
import { MAX_REQUEST_BYTES } from '../limits.ts'
import type { Engine } from '../sqlite/engine.ts'
import { callerKey, type MayWrite } from './caller.ts'
import { kvService } from './kv-service.ts'
import { leaseService } from './lease-service.ts'
import { clusterService, maintenanceService } from './member-service.ts'
import { watchService } from './watch-service.ts'

/** Room for keys and framing beside the values of a request. */
const REQUEST_OVERHEAD_BYTES = 512 * 1024
const KEEP_ALIVE_MS = 30_000

export interface ServeOptions {
  readonly engine: Engine
  /** Address to listen on; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number }
  /** Our server certificate, and the authority whose certificates callers must have. */
  readonly tls: TlsMaterial
  readonly mayWrite: MayWrite
  /** How tools see this member. */
  readonly name: string
  readonly clientUrls: () => readonly string[]
}

export interface ServedStore extends AsyncDisposable {
  readonly address: AddressInfo
  /** Shows this certificate to whoever connects from now on. */
  renew(tls: TlsMaterial): void
}

/** Starts serving. Throws `unavailable` when the address cannot be listened on. */
export async function serveStore(options: ServeOptions): Promise<ServedStore> {
  const { engine, listen, tls } = options
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(KV, kvService(engine, options.mayWrite))
      router.service(Watch, watchService(engine))
      router.service(Lease, leaseService(engine, options.mayWrite))
      router.service(Cluster, clusterService(engine, options))
      router.service(Maintenance, maintenanceService(engine))
    },
    contextValues: (request) => createContextValues().set(callerKey, callerOf(request)),
    readMaxBytes: MAX_REQUEST_BYTES + REQUEST_OVERHEAD_BYTES,
    acceptCompression: [],
    connect: false,
    grpcWeb: false,
  })
  const server = createSecureServer(secureOptions(tls), handler)
  server.on('secureConnection', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS))
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    // A broken session ends its streams, which is all there is to do about it.
    session.on('error', () => session.destroy())
  })
  const address = await listenOn(server, listen)
  return {
    address,
    renew: (material) => server.setSecureContext(secureOptions(material)),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}

function secureOptions(tls: TlsMaterial): SecureServerOptions {
  return {
    ca: tls.ca,
    cert: tls.certificate,
    key: tls.key,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
  }
}

/** Resolves with the bound address. */
export function listenOn(
  server: Server,
  listen: { readonly host: string; readonly port: number },
): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const where = `${listen.host} port ${listen.port}`
      const text = `Cannot listen on ${where}: ${messageOf(error)}`
      reject(new NetworkError('unavailable', text, { cause: error }))
    }
    server.once('error', fail)
    server.listen(listen.port, listen.host, () => {
      server.off('error', fail)
      resolve(server.address() as AddressInfo) // a server listening on a port has one
    })
  })
}

/** Common name of the certificate on the connection this request came by. */
function callerOf(request: unknown): string {
  const socket = (request as Http2ServerRequest).stream.session?.socket // HTTP/1 is not served
  if (!(socket instanceof TLSSocket) || !socket.authorized) return ''
  const { CN } = socket.getPeerCertificate().subject
  return typeof CN === 'string' ? CN : ''
}
