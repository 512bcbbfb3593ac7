/** Exit codes, and how an error is told on standard error. Conventions §4 and §5. */

import { type ErrorCode, isNetworkError, messageOf } from '../lib/errors.ts'
import { Interrupted, ReaderGone } from './io.ts'

const EXIT: Readonly<Record<ErrorCode, number>> = {
  invalid: 2,
  unsupported: 2,
  'not-found': 3,
  conflict: 4,
  'already-exists': 4,
  exhausted: 4,
  unauthenticated: 5,
  forbidden: 5,
  unavailable: 6,
  timeout: 6,
  kernel: 1,
}

export const EXIT_WRONG_USE = 2
/** The check ran and found a problem. */
export const EXIT_PROBLEM = 7
const EXIT_INTERRUPTED = 130
const EXIT_READER_GONE = 141

export function exitCodeOf(error: unknown): number {
  if (error instanceof ReaderGone) return EXIT_READER_GONE
  if (error instanceof Interrupted) return EXIT_INTERRUPTED
  return isNetworkError(error) ? EXIT[error.code] : 1
}

/** `error: ...`, then `hint: ...`; with `verbose` the request id and the causes. */
export function describeError(error: unknown, verbose: boolean): string {
  const lines = [`error: ${messageOf(error)}`]
  if (isNetworkError(error)) {
    if (error.hint !== undefined) lines.push(`hint: ${error.hint}`)
    const requestId = error.details['requestId']
    if (verbose && requestId !== undefined) lines.push(`request: ${requestId}`)
  }
  if (verbose) {
    for (let cause = causeOf(error); cause !== undefined; cause = causeOf(cause)) {
      lines.push(`cause: ${messageOf(cause)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}

/** Ends the command with the exit code of what it ran. */
export class ExitWith extends Error {
  readonly code: number

  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}
