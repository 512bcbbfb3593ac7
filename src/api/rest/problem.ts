/** Errors as RFC 9457 problem documents: the one table from error codes to HTTP. Conventions §5. */

import { type ErrorCode, isNetworkError } from '../../lib/errors.ts'
import type { Problem } from './schemas.ts'

export type ProblemCode = Problem['code']

const TABLE: Readonly<Record<ProblemCode, { readonly status: number; readonly title: string }>> = {
  invalid: { status: 400, title: 'The request is not right' },
  unauthenticated: { status: 401, title: 'Who is asking is not known' },
  forbidden: { status: 403, title: 'Not permitted' },
  'not-found': { status: 404, title: 'No such object' },
  'already-exists': { status: 409, title: 'Exists already' },
  conflict: { status: 409, title: 'The state does not allow it' },
  exhausted: { status: 409, title: 'Nothing left to give' },
  unsupported: { status: 422, title: 'Not supported' },
  'too-many-requests': { status: 429, title: 'Too many requests at once' },
  kernel: { status: 500, title: 'The kernel refused' },
  internal: { status: 500, title: 'The daemon failed' },
  unavailable: { status: 503, title: 'Not reachable' },
  timeout: { status: 504, title: 'Too late' },
}

/** An answer that HTTP itself asks for and no error code of ours stands for: 405, 413, 415 and the like. */
export class HttpError extends Error {
  readonly status: number
  readonly code: ProblemCode
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: ProblemCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
    this.name = 'HttpError'
    this.status = status
    this.code = code
    this.headers = headers
  }
}

/** The problem for anything thrown; what nobody foresaw is told without its text, which may hold secrets. */
export function problemOf(
  error: unknown,
  request: { readonly instance: string; readonly requestId: string; readonly ifMatch: boolean },
): Problem {
  const common = { instance: request.instance, requestId: request.requestId }
  if (error instanceof HttpError) {
    return { ...about(error.code, error.status), detail: error.message, ...common }
  }
  if (!isNetworkError(error)) {
    const detail = `The daemon failed unexpectedly: its log has more under request ${request.requestId}`
    return { ...about('internal'), detail, ...common }
  }
  const status = error.code === 'conflict' && request.ifMatch ? 412 : undefined
  return {
    ...about(error.code, status),
    detail: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.fields.length === 0 ? {} : { fields: error.fields }),
    ...common,
  }
}

/** The problem as an answer; 503 and 429 say when to come back. */
export function problemResponse(
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const retry = problem.status === 503 || problem.status === 429 ? { 'retry-after': '1' } : {}
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json', ...retry, ...headers },
  })
}

/** HTTP status of an error code. */
export function statusOf(code: ErrorCode): number {
  return TABLE[code].status
}

function about(
  code: ProblemCode,
  status = TABLE[code].status,
): Pick<Problem, 'type' | 'title' | 'status' | 'code'> {
  return { type: `https://example.org/errors/${code}`, title: TABLE[code].title, status, code }
}
