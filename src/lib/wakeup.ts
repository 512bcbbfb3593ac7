/** A bell: work that waits for something to do, or for some time to pass, whichever comes first. */

import type { Clock } from './clock.ts'

export class Wakeup {
  #rung = Promise.withResolvers<void>()

  /** Ends the present wait, or the next one when nobody waits. */
  ring(): void {
    this.#rung.resolve()
  }

  /** Waits for the bell, or for `ms` when given; throws the signal's reason when that comes first. */
  async wait(clock: Clock, ms: number | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const over = new AbortController()
    const timer = ms === undefined ? undefined : this.#ringAfter(clock, ms, over.signal)
    const ring = (): void => this.ring()
    signal.addEventListener('abort', ring)
    try {
      await this.#rung.promise
      this.#rung = Promise.withResolvers<void>()
    } finally {
      signal.removeEventListener('abort', ring)
      over.abort()
      await timer
    }
    signal.throwIfAborted()
  }

  async #ringAfter(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    try {
      await clock.sleep(ms, signal)
    } catch {
      return // the bell came first
    }
    this.ring()
  }
}
