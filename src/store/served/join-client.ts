/**
 * The newcomer's side of the join. It asks the address for its authority, compares that with the hash in
 * the token, and only then says the secret, on a connection that this authority vouches for; whoever sits
 * between learns nothing. The private key is made here and never leaves.
 */

import { request as httpsRequest, type RequestOptions } from 'node:https'
import { ERROR_CODES, messageOf, NetworkError } from '../../lib/errors.ts'
import { createRequest } from '../../pki/certificates.ts'
import { caHash, checkCertificate } from '../../pki/check.ts'
import type { TlsMaterial } from '../../pki/files.ts'
import { formatToken, parseToken } from '../../pki/token.ts'

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 256 * 1024

export interface JoinOptions {
  /** Where the door is: `host:port`, an IPv6 address in brackets. */
  readonly address: string
  /** The token's text. */
  readonly token: string
  /** Our name, unique in the cluster. */
  readonly name: string
  /** The id to have, when the operator chose one; the cluster chooses otherwise. */
  readonly hostId?: string
  readonly now: Date
  readonly timeoutMs?: number
}

export interface Membership {
  readonly hostId: string
  readonly clusterId: string
  readonly tls: TlsMaterial
  readonly storeEndpoints: readonly string[]
}

/**
 * Joins a cluster. Throws `invalid` (token or address malformed), `unauthenticated` (not the token's
 * cluster, or the token is wrong, spent or expired), `conflict` (name or id in use), `unavailable`.
 */
export async function joinCluster(options: JoinOptions): Promise<Membership> {
  const token = parseToken(options.token)
  const door = new Door(options.address, options.timeoutMs ?? TIMEOUT_MS)
  // anybody may answer here, so nothing is said; the hash decides
  const { ca } = textsOf(await door.call('GET', '/v1/ca', { rejectUnauthorized: false }), ['ca'])
  checkAuthority(ca, token.caHash, options)
  const { request, key } = await createRequest(options.name)
  const { name, hostId } = options
  const body = JSON.stringify({ token: formatToken(token), csr: request, name, hostId })
  // the authority gives server certificates to the store's hosts only, whatever they are called from here
  const trust = { ca, rejectUnauthorized: true, checkServerIdentity: () => undefined }
  const answer = await door.call('POST', '/v1/join', trust, body)
  const given = textsOf(answer, ['hostId', 'clusterId', 'certificate'])
  return {
    hostId: given['hostId'],
    clusterId: given['clusterId'],
    tls: { ca, certificate: given['certificate'], key },
    storeEndpoints: listOf(answer, 'storeEndpoints'),
  }
}

function checkAuthority(ca: string, want: string, options: JoinOptions): void {
  const where = `the authority of ${options.address}`
  let have: string
  try {
    have = caHash(ca)
  } catch (error) {
    throw new NetworkError('unauthenticated', `Cannot join: ${where} is no certificate`, {
      cause: error,
    })
  }
  if (have !== want) {
    const found = `${where} is not the token's: another cluster, or somebody in between`
    throw new NetworkError('unauthenticated', `Cannot join: ${found}`)
  }
  checkCertificate(ca, where, options.now)
}

class Door {
  readonly #address: string
  readonly #url: URL
  readonly #timeoutMs: number

  constructor(address: string, timeoutMs: number) {
    this.#address = address
    this.#timeoutMs = timeoutMs
    try {
      this.#url = new URL(`https://${address}`)
    } catch (error) {
      throw new NetworkError('invalid', `Cannot join at "${address}": it is no host with a port`, {
        cause: error,
      })
    }
  }

  /** The JSON object a request is answered with. */
  async call(
    method: 'GET' | 'POST',
    path: string,
    trust: RequestOptions,
    body?: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    let answer: { readonly status: number; readonly text: string }
    try {
      answer = await this.#exchange(method, path, trust, body)
    } catch (error) {
      if (wantsCertificate(error)) throw atTheStore(this.#address, error)
      const code = isDistrust(error) ? 'unauthenticated' : 'unavailable'
      const text = `Cannot join at ${this.#address}: ${messageOf(error)}`
      throw new NetworkError(code, text, { cause: error })
    }
    const parsed = objectOf(answer.text)
    if (answer.status === 200 && parsed !== undefined) return parsed
    throw refusalOf(this.#address, answer.status, parsed ?? {})
  }

  #exchange(
    method: 'GET' | 'POST',
    path: string,
    trust: RequestOptions,
    body: string | undefined,
  ): Promise<{ status: number; text: string }> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json' }
    const options = { ...trust, method, path, headers, signal, agent: false as const }
    return new Promise((resolve, reject) => {
      const call = httpsRequest(this.#url, options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
          if (text.length > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'))
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.on('error', reject)
      })
      call.on('error', reject)
      call.end(body)
    })
  }
}

/** Whoever is there takes only those who show a certificate, which nobody has who wants to join. */
function wantsCertificate(error: unknown): boolean {
  return /CERTIFICATE_REQUIRED/.test(codeOf(error))
}

function atTheStore(address: string, cause: unknown): NetworkError {
  return new NetworkError(
    'invalid',
    `Cannot join at ${address}: a certificate is asked for there, as where the store is served`,
    { hint: 'Hosts join at a port of its own, 7441 if it was not chosen otherwise', cause },
  )
}

/** The connection was there, but its certificate is not one we may believe. */
function isDistrust(error: unknown): boolean {
  return /CERT|UNABLE_TO|SELF_SIGNED|VERIFY|ERR_TLS|INVALID_PURPOSE/.test(codeOf(error))
}

/** What node names the failure; empty for what is none of its own. */
function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function refusalOf(
  address: string,
  status: number,
  body: Readonly<Record<string, unknown>>,
): NetworkError {
  const { detail, hint } = body
  const code = ERROR_CODES.find((known) => known === body['code']) ?? 'unavailable'
  const message =
    typeof detail === 'string'
      ? detail
      : `Cannot join at ${address}: the answer has status ${status}`
  return new NetworkError(code, message, typeof hint === 'string' ? { hint } : {})
}

function textsOf<const Name extends string>(
  body: Readonly<Record<string, unknown>>,
  names: readonly Name[],
): Record<Name, string> {
  const entries = names.map((name): [Name, string] => {
    const value = body[name]
    if (typeof value !== 'string') throw malformed(name)
    return [name, value]
  })
  return Object.fromEntries(entries) as Record<Name, string> // one entry per name
}

function listOf(body: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = body[name]
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw malformed(name)
  return value
}

function malformed(name: string): NetworkError {
  return new NetworkError('unavailable', `Cannot join: the answer has no proper "${name}"`)
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
