/** Makes a test's store client as slow as a network: calls take time both ways, and watches lag behind. */

import type { Clock } from '../lib/clock.ts'
import type { Store, WatchBatch, WatchOptions } from '../store/store.ts'

export interface Slowness {
  readonly clock: Clock
  /** A number from 0 to 1, not including 1. */
  readonly random: () => number
  /** Longest time of one way of a call. */
  readonly callMs: number
  /** Longest time by which an event comes late. */
  readonly watchMs: number
}

const NEVER = new AbortController().signal

/** Changes the client itself, so that the memory cluster still knows it. */
export function slowDown(store: Store, { clock, random, callMs, watchMs }: Slowness): Store {
  const pause = (ms: number): Promise<void> => clock.sleep(Math.floor(random() * ms), NEVER)
  const slow = <A extends unknown[], T>(call: (...args: A) => Promise<T>) => {
    return async (...args: A): Promise<T> => {
      await pause(callMs)
      try {
        return await call(...args)
      } finally {
        await pause(callMs)
      }
    }
  }
  const { range, txn, grantLease, keepAlive, revokeLease, watch } = store
  async function* late(options: WatchOptions): AsyncIterable<WatchBatch> {
    for await (const batch of watch(options)) {
      await pause(watchMs)
      options.signal.throwIfAborted()
      yield batch
    }
  }
  return Object.assign(store, {
    range: slow(range),
    txn: slow(txn),
    grantLease: slow(grantLease),
    keepAlive: slow(keepAlive),
    revokeLease: slow(revokeLease),
    watch: late,
  })
}
