/** Who is calling, by the certificate of the connection, and how refusals are told on the wire. */

import { Code, ConnectError, createContextKey, type HandlerContext } from '@connectrpc/connect'
import { isNetworkError, messageOf } from '../../lib/errors.ts'
import { toText } from '../interval.ts'
import { REFUSALS, reasonOf } from '../reasons.ts'
import type { Guard } from '../sqlite/mvcc.ts'

/** Says whether the member with this common name may change this key. */
export type MayWrite = (commonName: string, key: string) => boolean

/** Common name of the caller's certificate; '' never reaches a handler: TLS refuses it before. */
export const callerKey = createContextKey('', { description: 'common name of the caller' })

/** The question the engine asks for every key a call changes. */
export function guardOf(mayWrite: MayWrite, context: HandlerContext): Guard {
  const commonName = context.values.get(callerKey)
  return (key) => commonName !== '' && mayWrite(commonName, toText(key))
}

/** Runs a handler and tells its refusals in etcd's words. */
export async function answer<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw wireError(error)
  }
}

/** The error a client of etcd understands. */
export function wireError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error
  const reason = reasonOf(error)
  if (reason !== undefined) {
    const { text, status } = REFUSALS[reason]
    return new ConnectError(text, status, undefined, undefined, error)
  }
  const code = isNetworkError(error) ? Code.Unavailable : Code.Internal
  const text = isNetworkError(error) ? error.message : 'The store failed'
  return new ConnectError(`carrick: ${text}`, code, undefined, undefined, messageOf(error))
}
