/** What a handler of an operation is given and gives back, and what several of them do alike. */

import { createHash } from 'node:crypto'
import type { z } from 'zod'
import type { Control } from '../../control/control.ts'
import type { DockerView } from '../../control/docker-view.ts'
import type { Caller } from '../../control/overlap.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { Operation, OperationId, Operations } from './contract.ts'
import type { Subscribe } from './watch.ts'

export interface JoinRequest {
  /** HOST:PORT of a member that serves the store. */
  readonly address: string
  readonly token: string
}

export interface JoinResult {
  readonly hostId: string
  readonly hostName: string
  /** Address of the store this host now follows. */
  readonly store: string
}

export interface HandlerDeps {
  readonly control: Control
  /** Name of this host, for the answer to an attach; absent: looked up each time. */
  readonly hostName?: string
  /** Who asks at this moment, as far as it can be told; `pid` is what the client says of itself. */
  readonly caller?: (pid: number | undefined) => Caller
  /** Joins another host's cluster; absent where the store is set in the configuration. */
  readonly join?: (request: JoinRequest) => Promise<JoinResult>
  /** What this host's container engine has; undefined while the daemon starts. */
  readonly docker?: () => DockerView | undefined
  /** Needed for `?watch=true`. */
  readonly subscribe?: Subscribe
}

type PathParameters<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | PathParameters<Rest>
  : never

export interface Call<O extends Operation = Operation> {
  readonly params: Readonly<Record<PathParameters<O['path']>, string>>
  readonly query: z.output<O['query']>
  readonly body: O extends { readonly body: infer Body extends z.ZodType }
    ? z.output<Body>
    : undefined
  /** Text of If-Match, quotes included. */
  readonly ifMatch: string | undefined
  /** The client's process, as it says. */
  readonly pid: number | undefined
}

type Answer<O extends Operation> = O['success'] extends { schema: infer S extends z.ZodType }
  ? z.input<S>
  : undefined

/** A Response stands for itself; anything else becomes JSON with the operation's status. */
export type Handlers<Ids extends OperationId = OperationId> = {
  readonly [Id in Ids]: (
    call: Call<Operations[Id]>,
  ) => Answer<Operations[Id]> | Response | Promise<Answer<Operations[Id]> | Response>
}

/** How long `?wait=settled` waits when the request does not say. */
export const DEFAULT_WAIT_MS = 60_000
/** Waits when the query asks for it. */
export async function settle(
  control: Control,
  query: { readonly wait?: 'settled' | undefined; readonly timeoutMs?: number | undefined },
) {
  if (query.wait === undefined) return undefined
  return await control.waitSettled(query.timeoutMs ?? DEFAULT_WAIT_MS)
}

/**
 * Removes, and is content when nothing is there. With If-Match the object must be there and unchanged:
 * `conflict` otherwise.
 */
export async function removeMatching<View extends Tagged>(
  ifMatch: string | undefined,
  read: () => View,
  remove: () => Promise<void>,
): Promise<void> {
  try {
    if (ifMatch !== undefined && ifMatch !== '*' && !ifMatch.includes(etagOf(read()))) {
      throw new NetworkError('conflict', 'Cannot remove: it has changed since it was read')
    }
    await remove()
  } catch (error) {
    if (!isNetworkError(error, 'not-found')) throw error
    if (ifMatch !== undefined) {
      throw new NetworkError('conflict', 'Cannot remove: it is no longer there', { cause: error })
    }
  }
}

/**
 * Changes when what was wanted changes, and not when the status does: nobody loses a race against a
 * counter. Objects have no revision of their own here, so it is a digest.
 */
export function etagOf({ metadata, spec }: Tagged): string {
  const { revision: _, ...named } = metadata
  const digest = createHash('sha256')
    .update(JSON.stringify([named, spec]))
    .digest('base64url')
  return `"${digest.slice(0, 16)}"`
}

export interface Tagged {
  readonly metadata: { readonly revision?: number | undefined }
  readonly spec: object
}

/** The object without its undefined fields, as exactOptionalPropertyTypes wants it. */
export function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> } // same keys, less
}
