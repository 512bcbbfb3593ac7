/**
 * What a runtime is told when the daemon cannot be asked, or what came on standard input is not fit to be passed on.
 * go-cni swallows errors with the words "not found" and "no such file or directory"; none stands here.
 */

import { CNI_VERSIONS, type CniReply } from './exchange.ts'

/** Codes of the specification that are given without the daemon. */
export const AWAY_CODE = {
  ENVIRONMENT: 4,
  IO: 5,
  DECODING: 6,
  TRY_AGAIN: 11,
  NOT_READY: 50,
} as const

export type AwayCode = (typeof AWAY_CODE)[keyof typeof AWAY_CODE]

/** Why nobody answered, and what to do about it. */
export interface Absence {
  readonly found: string
  readonly cure: string
}

const VERBS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS']

export function failWith(
  code: AwayCode,
  msg: string,
  details: string,
  version?: unknown,
): CniReply {
  const newest = CNI_VERSIONS[CNI_VERSIONS.length - 1]
  const cniVersion = CNI_VERSIONS.find((known) => known === version) ?? newest
  return { stdout: `${JSON.stringify({ cniVersion, code, msg, details })}\n`, exit: 1 }
}

/** The answer of any verb but VERSION, which needs no daemon. */
export function replyWhenAway(
  command: string,
  socket: string,
  { found, cure }: Absence,
  version: unknown,
): CniReply {
  if (!VERBS.includes(command)) {
    const msg = `Cannot do CNI_COMMAND "${command}": it is not one of ${VERBS.join(', ')}, VERSION`
    return failWith(AWAY_CODE.ENVIRONMENT, msg, 'see the log of the CNI runtime', version)
  }
  const code = command === 'STATUS' ? AWAY_CODE.NOT_READY : AWAY_CODE.TRY_AGAIN
  const msg = `Cannot do ${command} without the daemon at ${socket}: ${found}`
  return failWith(code, msg, cure, version)
}
