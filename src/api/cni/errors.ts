/**
 * Errors as a runtime shows them: a code, what happened, and what to do. Runtimes show `msg` and `details` in one
 * line and drop standard error, so both are told there. CNI specification 1.1.0, "Error"; conventions §5.
 */

import {
  type ErrorCode,
  type ErrorOptions,
  isNetworkError,
  NetworkError,
} from '../../lib/errors.ts'

/** 1 to 99 are the specification's (8 the Go library's), from 100 on ours. */
export const CNI_CODE = {
  INCOMPATIBLE_VERSION: 1,
  UNSUPPORTED_FIELD: 2,
  UNKNOWN_CONTAINER: 3,
  INVALID_ENVIRONMENT: 4,
  IO_FAILURE: 5,
  DECODING_FAILURE: 6,
  INVALID_CONFIG: 7,
  INVALID_NETNS: 8,
  TRY_AGAIN: 11,
  /** Of STATUS: ADD cannot be served now. */
  NOT_READY: 50,
  /** Of STATUS: and what is attached may suffer. */
  IMPAIRED: 51,
  /** Of CHECK: the attachment is not what it was. */
  DIFFERS: 100,
  TAKEN: 101,
  EXHAUSTED: 102,
  FORBIDDEN: 103,
  KERNEL: 104,
  /** An IPAM plug-in that was asked failed or made no sense. */
  DELEGATE: 105,
} as const
export type CniCode = (typeof CNI_CODE)[keyof typeof CNI_CODE]

/** The one JSON object on standard output of a call that failed. */
export interface CniFailure {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

const CODE_OF: Readonly<Record<ErrorCode, CniCode>> = {
  invalid: CNI_CODE.INVALID_CONFIG,
  'not-found': CNI_CODE.INVALID_CONFIG,
  'already-exists': CNI_CODE.TAKEN,
  conflict: CNI_CODE.TAKEN,
  exhausted: CNI_CODE.EXHAUSTED,
  unauthenticated: CNI_CODE.FORBIDDEN,
  forbidden: CNI_CODE.FORBIDDEN,
  unsupported: CNI_CODE.UNSUPPORTED_FIELD,
  unavailable: CNI_CODE.TRY_AGAIN,
  timeout: CNI_CODE.TRY_AGAIN,
  kernel: CNI_CODE.KERNEL,
}

const ERROR_CODE_OF: Readonly<Record<CniCode, ErrorCode>> = {
  [CNI_CODE.INCOMPATIBLE_VERSION]: 'unsupported',
  [CNI_CODE.UNSUPPORTED_FIELD]: 'unsupported',
  [CNI_CODE.UNKNOWN_CONTAINER]: 'not-found',
  [CNI_CODE.INVALID_ENVIRONMENT]: 'invalid',
  [CNI_CODE.IO_FAILURE]: 'unavailable',
  [CNI_CODE.DECODING_FAILURE]: 'invalid',
  [CNI_CODE.INVALID_CONFIG]: 'invalid',
  [CNI_CODE.INVALID_NETNS]: 'invalid',
  [CNI_CODE.TRY_AGAIN]: 'unavailable',
  [CNI_CODE.NOT_READY]: 'unavailable',
  [CNI_CODE.IMPAIRED]: 'unavailable',
  [CNI_CODE.DIFFERS]: 'conflict',
  [CNI_CODE.TAKEN]: 'conflict',
  [CNI_CODE.EXHAUSTED]: 'exhausted',
  [CNI_CODE.FORBIDDEN]: 'forbidden',
  [CNI_CODE.KERNEL]: 'kernel',
  [CNI_CODE.DELEGATE]: 'unavailable',
}

/** An error for which the general table has no code that is exact enough. */
export function cniError(code: CniCode, message: string, options: ErrorOptions = {}): NetworkError {
  const details = { ...options.details, cniCode: code }
  return new NetworkError(ERROR_CODE_OF[code], message, { ...options, details })
}

/** The code a runtime sees for anything thrown. */
export function cniCodeOf(error: unknown): number {
  if (!isNetworkError(error)) return CNI_CODE.KERNEL
  const exact = error.details['cniCode']
  return typeof exact === 'number' ? exact : CODE_OF[error.code]
}

/** What a runtime is told of anything thrown; what nobody foresaw is told without its text. */
export function failureOf(error: unknown, verb: string, cniVersion: string): CniFailure {
  const code = cniCodeOf(error)
  if (!isNetworkError(error)) {
    const msg = `The daemon failed unexpectedly in ${verb}`
    return { cniVersion, code, msg, details: 'its log has more: journalctl -u carrick' }
  }
  const details = [...new Set(error.fields.map(({ message }) => message)), remedyOf(error, code)]
    .filter((text) => text !== undefined && !error.message.includes(text))
    .join('; ')
  const msg = inWordsThatFail(error.message)
  return details === ''
    ? { cniVersion, code, msg }
    : { cniVersion, code, msg, details: inWordsThatFail(details) }
}

/** Of errors that say none themselves, where to look. */
function remedyOf({ hint }: NetworkError, code: number): string | undefined {
  if (hint !== undefined) return hint
  if (code === CNI_CODE.KERNEL) return 'the daemon’s log has more: journalctl -u carrick'
  return code === CNI_CODE.TRY_AGAIN ? 'carrick status   # tells what the daemon is at' : undefined
}

/**
 * go-cni (containerd, Nomad, nerdctl) takes a DEL whose error has certain words for a success, and never tries
 * again: the text without them.
 */
export function inWordsThatFail(text: string): string {
  return text.replace(/not found/gi, 'missing').replace(/no such file or directory/gi, 'ENOENT')
}
