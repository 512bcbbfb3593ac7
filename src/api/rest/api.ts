/**
 * The REST API as one function from Request to Response. A request passes: door (known Host, no Origin, not
 * too many at once) → route → query and body checked by the operation's schemas → handler → JSON. Whatever
 * is thrown on the way becomes a problem document.
 */

import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type Call, DEFAULT_WAIT_MS, etagOf, type HandlerDeps, type Tagged } from './call.ts'
import { type Operation, operations } from './contract.ts'
import { createHandlers } from './handlers.ts'
import { addHealthRoutes, type HealthDeps } from './health.ts'
import { readJsonBody } from './json-body.ts'
import { HttpError, problemOf, problemResponse } from './problem.ts'
import { validate } from './validate.ts'

export interface RestDeps extends HandlerDeps, HealthDeps {
  readonly log: Log
  /** The program's version. */
  readonly version: string
}

export interface RestApi {
  fetch(request: Request): Promise<Response>
}

/** Requests under way before the next ones are told to come back. */
const MOST_AT_ONCE = 256
const REQUEST_TIMEOUT_MS = 30_000
/** Names under which the socket may be asked; a browser led here by DNS would bring its own (rebinding). */
const HOST_NAMES: ReadonlySet<string> = new Set(['carrick', 'localhost'])

export function createRestApi(deps: RestDeps): RestApi {
  const audit = deps.log.child('audit')
  const log = deps.log.child('api')
  const app = new Hono()
  const handlers = createHandlers(deps) as Readonly<Record<string, (call: Call) => unknown>> // by id

  for (const [id, operation] of Object.entries<Operation>(operations)) {
    const handle = handlers[id]
    if (handle === undefined) throw new Error(`The operation ${id} has no handler`)
    const serve = async (context: Context): Promise<Response> =>
      answer(operation, await handle(await readCall(operation, context)))
    app.on(operation.method, operation.path.replace(/\{(\w+)\}/g, ':$1'), serve)
  }
  app.get('/v1/openapi.json', async () => {
    const { openApiDocument } = await import('./openapi.ts')
    return Response.json(openApiDocument(deps.version))
  })
  addHealthRoutes(app, deps)
  app.notFound(({ req }) => {
    throw noRoute(req.method, req.path)
  })
  app.onError((error) => {
    throw error
  })

  let underWay = 0

  async function fetch(request: Request): Promise<Response> {
    const requestId = randomUUID()
    const start = performance.now()
    const path = request.url.slice(request.url.indexOf('/', 'http://'.length)).replace(/\?.*/, '')
    underWay++
    let code = 'ok'
    try {
      checkDoor(request, underWay)
      return await withDeadline(Promise.resolve(app.fetch(request)), deadlineOf(request.url))
    } catch (error) {
      const ifMatch = request.headers.has('if-match')
      const problem = problemOf(error, { instance: path, requestId, ifMatch })
      code = problem.code
      if (problem.code === 'internal') {
        log.error('request failed', { error, requestId, path })
      }
      return problemResponse(problem, error instanceof HttpError ? error.headers : {})
    } finally {
      underWay--
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        const durationMs = Math.round((performance.now() - start) * 1000) / 1000
        const { method: verb } = request
        // The answer goes first.
        setImmediate(() => audit.info('write', { verb, object: path, code, requestId, durationMs }))
      }
    }
  }

  return { fetch }
}

async function readCall(operation: Operation, { req }: Context): Promise<Call> {
  const query = validate(operation.query, queryOf(req.url), 'the query')
  const body =
    operation.body === undefined
      ? undefined
      : validate(operation.body, await readJsonBody(req.raw), 'the body')
  // Call's type follows from the operation, which TypeScript cannot see through a loop.
  return {
    params: req.param(),
    query,
    body,
    ifMatch: req.header('if-match'),
    pid: pidOf(req),
  } as Call
}

/** Header by which our command line says which process it is. */
function pidOf(req: Context['req']): number | undefined {
  const text = req.header('carrick-pid')
  return text !== undefined && /^[1-9]\d{0,6}$/.test(text) ? Number(text) : undefined
}

function answer({ success }: Operation, result: unknown): Response {
  if (result instanceof Response) return result
  if (success.schema === undefined) return new Response(null, { status: success.status })
  const headers = new Headers({ 'content-type': 'application/json' })
  if (isTagged(result)) headers.set('etag', etagOf(result))
  return new Response(JSON.stringify(result), { status: success.status, headers })
}

/** Single objects with a specification have a tag; lists and reports do not. */
function isTagged(result: unknown): result is Tagged {
  return typeof result === 'object' && result !== null && 'spec' in result && 'metadata' in result
}

/** The query's fields; throws `invalid` when one stands twice. */
function queryOf(url: string): Record<string, string> {
  const at = url.indexOf('?')
  const fields: Record<string, string> = {}
  if (at === -1) return fields
  for (const [key, value] of new URLSearchParams(url.slice(at + 1))) {
    if (Object.hasOwn(fields, key) || key === '__proto__') {
      throw new NetworkError('invalid', `Cannot accept the query: "${key}" stands twice`, {
        fields: [{ pointer: `/${key}`, message: 'stands twice' }],
      })
    }
    fields[key] = value
  }
  return fields
}

function checkDoor(request: Request, underWay: number): void {
  if (underWay > MOST_AT_ONCE) {
    throw new HttpError(
      429,
      'too-many-requests',
      `Cannot serve: ${MOST_AT_ONCE} requests are under way`,
    )
  }
  const host = new URL(request.url).hostname
  if (!HOST_NAMES.has(host)) {
    throw new NetworkError('forbidden', `Cannot serve: "${host}" is not a name of this daemon`)
  }
  const origin = request.headers.get('origin')
  if (origin !== null) {
    throw new NetworkError(
      'forbidden',
      `Cannot serve: pages of "${origin}" may not ask this daemon`,
    )
  }
}

function noRoute(method: string, path: string): Error {
  const allowed = Object.values<Operation>(operations)
    .filter((operation) =>
      new RegExp(`^${operation.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
    )
    .map((operation) => operation.method)
  if (allowed.length === 0) return new NetworkError('not-found', `There is nothing at ${path}`)
  const allow = [...new Set(allowed)].join(', ')
  return new HttpError(405, 'unsupported', `Cannot ${method} ${path}: it answers ${allow}`, {
    allow,
  })
}

/** The common limit, after what the request itself asks to wait. */
function deadlineOf(url: string): number {
  if (!url.includes('wait=settled')) return REQUEST_TIMEOUT_MS
  const asked = /[?&]timeoutMs=(\d{1,6})(&|$)/.exec(url)?.[1]
  return Number(asked ?? DEFAULT_WAIT_MS) + REQUEST_TIMEOUT_MS
}

async function withDeadline<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new NetworkError('timeout', `Cannot answer within ${timeoutMs} ms: still at work`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
