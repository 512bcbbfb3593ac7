/** Waits until what was just written to the shared store is seen by this host too. */

import type { Clock } from '../lib/clock.ts'
import type { Replica } from '../store/replica/replica.ts'

/** Resolves with true once `seen()` holds after a change of the replica, with false after `timeoutMs`. */
export async function untilReplica(
  replica: Replica,
  clock: Clock,
  timeoutMs: number,
  seen: () => boolean,
): Promise<boolean> {
  if (seen()) return true
  const over = new AbortController()
  const shown = Promise.withResolvers<boolean>()
  const stop = replica.subscribe(() => {
    if (seen()) shown.resolve(true)
  })
  const timer = clock.sleep(timeoutMs, over.signal).then(
    () => false,
    () => false,
  )
  try {
    return await Promise.race([shown.promise, timer])
  } finally {
    stop()
    over.abort()
  }
}
