/**
 * The door for newcomers: HTTPS without a client certificate. `GET /v1/ca` gives the authority's
 * certificate, which the newcomer compares with its token; `POST /v1/join` spends the token and signs the
 * newcomer's request in its place in the cluster. The certificate names the host id and is for clients
 * only, so that no member can pose as the store.
 */

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type ErrorCode, NetworkError } from '../../lib/errors.ts'
import { isId, newId } from '../../lib/ids.ts'
import type { Log } from '../../lib/log.ts'
import { keys } from '../../model/keys.ts'
import { isName } from '../../model/names.ts'
import { signRequest } from '../../pki/certificates.ts'
import type { Identity } from '../../pki/check.ts'
import type { TlsMaterial } from '../../pki/files.ts'
import { type Admission, parseToken, spendToken } from '../../pki/token.ts'
import type { Store } from '../store.ts'
import { BadTokens } from './bad-tokens.ts'
import { listenOn } from './server.ts'

const MAX_BODY_BYTES = 64 * 1024
const REQUEST_TIMEOUT_MS = 10_000
const MEMBER_DAYS = 3650
const DAY_MS = 86_400_000

/** Who asks to come in. */
export interface Joiner {
  readonly hostId: string
  readonly name: string
}

/** What the newcomer is given. */
export interface JoinAnswer {
  readonly hostId: string
  readonly clusterId: string
  /** PEM. */
  readonly ca: string
  /** PEM; its common name is the host id. */
  readonly certificate: string
  /** Addresses of the store, as for connectEtcd(). */
  readonly storeEndpoints: readonly string[]
}

export interface JoinDoorOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** Our server certificate, signed by the authority. */
  readonly tls: TlsMaterial
  readonly authority: Identity
  readonly store: Store
  readonly clusterId: string
  /** Where the store is now. */
  readonly storeEndpoints: () => readonly string[]
  /** What is written for a newcomer, in the transaction that spends its token. */
  readonly admit: (joiner: Joiner) => Admission
  readonly now: () => Date
  readonly log: Log
}

export interface JoinDoor extends AsyncDisposable {
  readonly address: AddressInfo
}

/** Opens the door. Throws `unavailable` when the address cannot be listened on. */
export async function openJoinDoor(options: JoinDoorOptions): Promise<JoinDoor> {
  const badTokens = new BadTokens()
  const { certificate, key } = options.tls
  const server = createServer({ cert: certificate, key, minVersion: 'TLSv1.2' })
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    respond(options, badTokens, request).then(
      ({ status, body, headers }) => send(response, status, body, headers),
      (error: unknown) => {
        options.log.error('join request failed', { error })
        send(response, 500, { code: 'kernel', detail: 'The join failed' })
      },
    )
  })
  const address = await listenOn(server, options.listen)
  return {
    address,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

interface Reply {
  readonly status: number
  readonly body: object
  readonly headers?: Readonly<Record<string, string>>
}

async function respond(
  options: JoinDoorOptions,
  badTokens: BadTokens,
  request: IncomingMessage,
): Promise<Reply> {
  const { method, url } = request
  if (method === 'GET' && url === '/v1/ca') {
    return { status: 200, body: { ca: options.authority.certificate } }
  }
  if (method !== 'POST' || url !== '/v1/join') {
    return { status: 404, body: { code: 'not-found', detail: 'There is no such resource' } }
  }
  const from = request.socket.remoteAddress ?? ''
  const waitSeconds = badTokens.secondsToWait(from, options.now().getTime())
  if (waitSeconds > 0) {
    const body = { code: 'unavailable', detail: 'Cannot join now: too many wrong tokens' }
    return { status: 429, body, headers: { 'Retry-After': String(waitSeconds) } }
  }
  try {
    const answer = await admit(options, wishesOf(await readBody(request)))
    options.log.info('host joined', { host: answer.hostId, address: from })
    return { status: 200, body: answer }
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    if (error.code === 'unauthenticated') badTokens.count(from, options.now().getTime())
    options.log.warn('join refused', { address: from, error })
    const hint = error.hint === undefined ? {} : { hint: error.hint }
    const body = { code: error.code, detail: error.message, ...hint }
    return { status: STATUS[error.code] ?? 500, body }
  }
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  invalid: 400,
  unauthenticated: 401,
  conflict: 409,
  unsupported: 422,
  unavailable: 503,
}

interface JoinWishes {
  readonly token: string
  readonly request: string
  readonly name: string
  readonly hostId: string | undefined
}

async function admit(options: JoinDoorOptions, wishes: JoinWishes): Promise<JoinAnswer> {
  const { authority, store, clusterId } = options
  const storeEndpoints = options.storeEndpoints()
  const now = options.now()
  const token = parseToken(wishes.token)
  const hostId = wishes.hostId ?? newId(now.getTime(), randomBytes)
  const notAfter = new Date(now.getTime() + MEMBER_DAYS * DAY_MS)
  const wanted = { commonName: hostId, notAfter, roles: ['client'] as const }
  const certificate = await signRequest(authority, wishes.request, wanted, now)
  const admission = options.admit({ hostId, name: wishes.name })
  const absent = {
    range: { key: keys.host(hostId) },
    target: 'createRevision',
    is: '=',
    value: 0,
  } as const
  const compare = [absent, ...(admission.compare ?? [])]
  await spendToken(store, token, { ...admission, compare }, now)
  return { hostId, clusterId, ca: authority.certificate, certificate, storeEndpoints }
}

function wishesOf(text: string): JoinWishes {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw new NetworkError('invalid', 'Cannot join: the request is no JSON', { cause: error })
  }
  if (typeof body !== 'object' || body === null) throw wrongField('')
  const { token, csr, name, hostId } = body as Record<string, unknown> // an object
  if (typeof token !== 'string') throw wrongField('token')
  if (typeof csr !== 'string') throw wrongField('csr')
  if (typeof name !== 'string' || !isName(name)) throw wrongField('name')
  if (hostId === undefined) return { token, request: csr, name, hostId }
  if (typeof hostId !== 'string' || !isId(hostId)) throw wrongField('hostId')
  return { token, request: csr, name, hostId }
}

function wrongField(name: string): NetworkError {
  const message = `Cannot join: the field "${name}" is missing or malformed`
  return new NetworkError('invalid', message, { fields: [{ pointer: `/${name}`, message }] })
}

async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of request) {
    const chunk = Buffer.from(piece as Uint8Array) // a request without encoding gives bytes
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) {
      throw new NetworkError('invalid', `Cannot join: the request exceeds ${MAX_BODY_BYTES} bytes`)
    }
    pieces.push(chunk)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function send(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const type = status === 200 ? 'application/json' : 'application/problem+json'
  response.writeHead(status, { 'Content-Type': type, ...headers })
  response.end(`${JSON.stringify(body)}\n`)
}
