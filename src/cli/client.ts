/** The daemon's REST API as the commands use it: documents out of the unix socket, problems as NetworkErrors. */

import type { ListOf } from '../api/rest/schema-parts.ts'
import type { Problem } from '../api/rest/schemas.ts'
import { type ErrorCode, NetworkError } from '../lib/errors.ts'
import { Interrupted } from './io.ts'

export type Query = Readonly<Record<string, string | number | undefined>>

export interface Client {
  readonly socket: string
  get<T>(path: string, query?: Query): Promise<T>
  /** All items, page by page. */
  list<T>(path: string, query?: Query): Promise<T[]>
  /** Events of a watch: `reset` with a list, `put`, `delete`. It ends by Interrupted or `unavailable`. */
  watch<T>(path: string, query?: Query): AsyncIterable<WatchEvent<T>>
  post<T>(path: string, body: unknown, query?: Query): Promise<T>
  /** A document with the tag that tells whether it has changed since. */
  tagged<T>(path: string): Promise<{ readonly document: T; readonly etag: string }>
  /** A merge patch (RFC 7396); `conflict` when the document is no longer the one of the tag. */
  patch<T>(path: string, body: unknown, query: Query, etag: string): Promise<T>
  delete(path: string, query?: Query): Promise<void>
}

export type WatchEvent<T> =
  | { readonly name: 'reset'; readonly data: ListOf<T> }
  | { readonly name: 'put'; readonly data: T }
  | { readonly name: 'delete'; readonly data: { readonly metadata: { readonly id: string } } }

export const DEFAULT_SOCKET = '/run/carrick/carrick.sock'

export function createClient(socket: string, signal: AbortSignal): Client {
  async function ask(
    method: string,
    path: string,
    query: Query,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const init = {
      method,
      signal,
      unix: socket,
      ...(body === undefined
        ? {}
        : {
            body: JSON.stringify(body),
            headers: {
              'content-type': 'application/json',
              'carrick-pid': String(process.pid),
              ...headers,
            },
          }),
    }
    let response: Response
    try {
      response = await fetch(`http://carrick${path}${queryText(query)}`, init)
    } catch (cause) {
      throw signal.aborted ? new Interrupted(method !== 'GET') : connectionError(socket, cause)
    }
    if (!response.ok) throw await problemError(response)
    return response
  }

  async function* readParts(response: Response): AsyncGenerator<Uint8Array> {
    try {
      yield* response.body ?? []
    } catch (cause) {
      throw signal.aborted ? new Interrupted(false) : connectionError(socket, cause)
    }
    if (signal.aborted) throw new Interrupted(false)
    throw connectionError(socket, undefined) // only an end of the daemon ends a watch
  }

  async function get<T>(path: string, query: Query = {}): Promise<T> {
    return (await (await ask('GET', path, query)).json()) as T // checked by the API's own tests
  }

  return {
    socket,
    get,
    async list<T>(path: string, query: Query = {}) {
      const items: T[] = []
      let next: string | undefined
      do {
        const page: ListOf<T> = await get(path, { limit: 1000, ...query, continue: next })
        items.push(...page.items)
        next = page.metadata.continue
      } while (next !== undefined)
      return items
    },
    async *watch<T>(path: string, query: Query = {}) {
      const response = await ask('GET', path, { ...query, watch: 'true' })
      const decoder = new TextDecoder()
      let text = ''
      for await (const part of readParts(response)) {
        text += decoder.decode(part, { stream: true })
        const blocks = text.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) {
          const match = /^event: (\w+)\ndata: (.*)$/.exec(block)
          if (match !== null) {
            yield { name: match[1], data: JSON.parse(match[2] ?? '') } as WatchEvent<T> // our own server's
          }
        }
      }
    },
    async post<T>(path: string, body: unknown, query: Query = {}) {
      return (await (await ask('POST', path, query, body)).json()) as T // as above
    },
    async tagged<T>(path: string) {
      const response = await ask('GET', path, {})
      const document = (await response.json()) as T // as above
      return { document, etag: response.headers.get('etag') ?? '*' }
    },
    async patch<T>(path: string, body: unknown, query: Query, etag: string) {
      const headers = { 'content-type': 'application/merge-patch+json', 'if-match': etag }
      return (await (await ask('PATCH', path, query, body, headers)).json()) as T // as above
    },
    async delete(path, query = {}) {
      await ask('DELETE', path, query)
    },
  }
}

/** A path of the API whose variable parts are escaped. */
export function path(strings: TemplateStringsArray, ...parts: readonly string[]): string {
  return String.raw({ raw: strings }, ...parts.map(encodeURIComponent))
}

function queryText(query: Query): string {
  const fields = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) fields.set(key, String(value))
  }
  return fields.size === 0 ? '' : `?${fields}`
}

function connectionError(socket: string, cause: unknown): NetworkError {
  const code = (cause as { code?: unknown } | undefined)?.code
  if (code === 'EACCES' || code === 'EPERM') {
    return new NetworkError('forbidden', `Cannot use ${socket}: permission denied`, {
      cause,
      hint: 'sudo usermod -aG carrick "$USER"   # then log in again',
    })
  }
  const found =
    code === 'ENOENT'
      ? 'there is no such socket'
      : code === 'ECONNREFUSED'
        ? 'nobody answers'
        : 'the connection broke'
  return new NetworkError('unavailable', `Cannot reach the daemon at ${socket}: ${found}`, {
    cause,
    hint: 'systemctl start carrick   # or, by hand: carrick daemon',
  })
}

async function problemError(response: Response): Promise<NetworkError> {
  const text = await response.text()
  try {
    const { code, detail, hint, fields = [], requestId } = JSON.parse(text) as Problem
    return new NetworkError(errorCodeOf(code), detail, {
      details: { requestId },
      fields,
      ...(hint === undefined ? {} : { hint }),
    })
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    const message = `Cannot understand the daemon's answer: status ${response.status}`
    return new NetworkError('unavailable', message, { cause })
  }
}

/** Codes that only HTTP knows, as the nearest of ours. */
function errorCodeOf(code: Problem['code']): ErrorCode {
  if (code === 'too-many-requests') return 'unavailable'
  return code === 'internal' ? 'kernel' : code
}
