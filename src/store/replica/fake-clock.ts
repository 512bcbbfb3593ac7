/** A clock for tests: time passes when the test says so, and everything that slept until then has run. */

import type { Clock } from '../../lib/clock.ts'

interface Sleeper {
  readonly atMs: number
  readonly wake: () => void
}

/** Lets everything run that can run without time passing. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}

export class FakeClock implements Clock {
  /** What the wall shows at monotonic time 0. */
  wallStartMs = Date.UTC(2026, 0, 1)
  #nowMs = 0
  readonly #sleepers = new Set<Sleeper>()

  wallMs(): number {
    return this.wallStartMs + this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const end = (finish: () => void): void => {
        this.#sleepers.delete(sleeper)
        signal.removeEventListener('abort', abort)
        finish()
      }
      const abort = (): void => end(() => reject(signal.reason))
      const sleeper = { atMs: this.#nowMs + ms, wake: () => end(resolve) }
      this.#sleepers.add(sleeper)
      signal.addEventListener('abort', abort)
    })
  }

  /** Lets `ms` pass, waking the sleepers one after the other at their time. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settle()
      let next: Sleeper | undefined
      for (const sleeper of this.#sleepers) {
        if (sleeper.atMs <= untilMs && sleeper.atMs < (next?.atMs ?? Infinity)) next = sleeper
      }
      if (next === undefined) break
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.wake()
    }
    this.#nowMs = untilMs
    await settle()
  }
}
