/** Time as a parameter: main hands in the system's, tests one they can move. */

import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds since 1970; may jump. For time stamps that people read, never for waiting. */
  wallMs(): number
  /** Milliseconds since some moment; never goes back. */
  monotonicMs(): number
  /** Resolves after `ms`; throws the signal's reason when that comes first. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** The clock of the system. */
export function systemClock(): Clock {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    async sleep(ms, signal) {
      try {
        await delay(ms, undefined, { signal })
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    },
  }
}

/** RFC 3339 in UTC with milliseconds. */
export function timestamp(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
