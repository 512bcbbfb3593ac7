/** Keeps a view of a few keys of the shared store: lists them, follows their changes, begins anew when cut. */

import type { Clock } from '../lib/clock.ts'
import { isNetworkError } from '../lib/errors.ts'
import type { KeyRange, KeyValue, Store } from '../store/store.ts'

const RETRY_MS = { first: 100, last: 5_000 }

export interface FollowOptions {
  readonly store: Store
  readonly range: KeyRange
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Is told the whole range after each change; `fresh` when it was listed anew. */
  readonly changed: (items: ReadonlyMap<string, KeyValue>, fresh: boolean) => void
}

/** Ends when the signal is raised, by resolving. */
export async function follow({
  store,
  range,
  clock,
  signal,
  changed,
}: FollowOptions): Promise<void> {
  let waitMs = RETRY_MS.first
  while (!signal.aborted) {
    try {
      const { items, revision } = await store.range(range)
      const view = new Map(items.map((item) => [item.key, item]))
      waitMs = RETRY_MS.first
      changed(view, true)
      for await (const batch of store.watch({ range, fromRevision: revision + 1, signal })) {
        if (batch.kind === 'compacted') break
        if (batch.kind === 'progress') continue
        for (const event of batch.events) {
          if (event.kind === 'put') view.set(event.item.key, event.item)
          else view.delete(event.key)
        }
        changed(view, false)
      }
    } catch (error) {
      // A list will tell what was missed; how the store is doing is told by the replica.
      if (!signal.aborted && !isNetworkError(error)) throw error
    }
    await clock.sleep(waitMs, signal).catch(() => undefined)
    waitMs = Math.min(waitMs * 2, RETRY_MS.last)
  }
}
