/**
 * Errors as an engine shows them. Network drivers' go into `Err` and IPAM drivers' into `Error`; the wrong field
 * is ignored in silence, so both are filled.
 */

import { isNetworkError, type NetworkError } from '../../lib/errors.ts'

export interface Failure {
  readonly Err: string
  readonly Error: string
}

/** The text as an answer, marked as ours: the engine adds words of its own before it. */
export function failure(text: string): Failure {
  const marked = `carrick: ${text}`
  return { Err: marked, Error: marked }
}

/** What the user is told of anything thrown; what nobody foresaw is told without its text. */
export function failureOf(error: unknown, method: string): Failure {
  if (!isNetworkError(error)) {
    return failure(`The daemon failed unexpectedly in ${method}: its log has more`)
  }
  const hint = hintOf(error)
  return failure(hint === undefined ? error.message : `${error.message}. ${hint}`)
}

/** Hints are written for our command line: what is forced there is forced by an option here. */
export function hintOf({ hint }: NetworkError): string | undefined {
  return hint
    ?.replace('--carrier vxlan', '-o carrick.carrier=vxlan')
    .replace('--force', '-o carrick.force=true')
}
