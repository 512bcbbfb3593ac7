/**
 * The one error of the program. An operation that could not be done throws a NetworkError whose code is
 * from a closed set; each front end maps the codes to its own wire in one table.
 */

export const ERROR_CODES = [
  'invalid',
  'not-found',
  'already-exists',
  'conflict',
  'exhausted',
  'unauthenticated',
  'forbidden',
  'unsupported',
  'unavailable',
  'timeout',
  'kernel',
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

/** One wrong field of a request, so that several can be told together. RFC 6901 pointer. */
export interface FieldError {
  readonly pointer: string
  readonly message: string
}

export interface ErrorOptions {
  /** Facts a program can read: `network`, `prefix`, `address`, `endpoint`, `errno`, ... */
  readonly details?: Readonly<Record<string, unknown>>
  /** A command the user can paste. */
  readonly hint?: string
  readonly fields?: readonly FieldError[]
  readonly cause?: unknown
}

/** The message says what was attempted, a colon, and what was found: capital first, no full stop. */
export class NetworkError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
  readonly hint: string | undefined
  readonly fields: readonly FieldError[]

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'NetworkError'
    this.code = code
    this.details = options.details ?? {}
    this.hint = options.hint
    this.fields = options.fields ?? []
  }
}

/** True when `error` is a NetworkError, of that code if one is given. */
export function isNetworkError(error: unknown, code?: ErrorCode): error is NetworkError {
  return error instanceof NetworkError && (code === undefined || error.code === code)
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
