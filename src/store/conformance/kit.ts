/** What the tests of the suite share: registration, and the few ways to ask a store something. */

import { expect, test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError, type NetworkError } from '../../lib/errors.ts'
import { reasonOf } from '../reasons.ts'
import type { KeyRange, Store, WatchBatch } from '../store.ts'

export const DEADLINE_MS = 20_000
const TEST_TIMEOUT_MS = 60_000

export type EventsBatch = Extract<WatchBatch, { kind: 'events' }>

/** Registers one test, which gets the store and a prefix of its own. */
export type Check = (sentence: string, body: (store: Store, at: string) => Promise<void>) => void

/** The way to register tests under this name. */
export function checksNamed(name: string, subject: () => Store): Check {
  let prefixes = 0
  return (sentence, body) => {
    const prefix = `/${name}/${prefixes++}/`
    test(`${name}: ${sentence}`, () => body(subject(), prefix), TEST_TIMEOUT_MS)
  }
}

/** Writes one key and returns the revision. */
export async function put(store: Store, key: string, value: string): Promise<number> {
  return (await store.txn({ success: [{ kind: 'put', key, value }] })).revision
}

/** Deletes and returns the revision. */
export async function remove(store: Store, range: KeyRange): Promise<number> {
  return (await store.txn({ success: [{ kind: 'delete', range }] })).revision
}

/** The keys of an answer. */
export function names({
  items,
}: {
  items: readonly { readonly key: string }[]
}): readonly string[] {
  return items.map(({ key }) => key)
}

/** The batches of a watch from `first` until the one of revision `last`. */
export async function watched(
  store: Store,
  range: KeyRange,
  first: number,
  last: number,
): Promise<readonly EventsBatch[]> {
  const batches: EventsBatch[] = []
  const signal = AbortSignal.timeout(DEADLINE_MS)
  for await (const batch of store.watch({ range, fromRevision: first, signal })) {
    if (batch.kind !== 'events') continue
    batches.push(batch)
    if (batch.revision >= last) break
  }
  return batches
}

/** Expects a refusal with this code and reason. */
export async function refused(
  work: Promise<unknown>,
  code: NetworkError['code'],
  reason: string | undefined,
): Promise<void> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert(isNetworkError(error), `refused with ${code}, but: ${String(error)}`)
  expect([error.code, reasonOf(error)]).toEqual([code, reason as ReturnType<typeof reasonOf>])
}
