/** Tells in the log what a start waits for, when it takes long, ever more rarely: nobody is answered until it is over. */

import type { Clock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'

/** At first; then twice as long each time. */
const PATIENCE_MS = 10_000

export class SlowStart implements Disposable {
  readonly #clock: Clock
  readonly #log: Log
  readonly #startedMs: number
  #timer: ReturnType<typeof setTimeout>
  #step = 'beginning'

  constructor(clock: Clock, log: Log, patienceMs = PATIENCE_MS) {
    this.#clock = clock
    this.#log = log
    this.#startedMs = clock.monotonicMs()
    this.#timer = setTimeout(() => this.#tell(patienceMs), patienceMs)
  }

  /** What comes next, as the log shall call it. */
  at(step: string): void {
    this.#step = step
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #tell(pauseMs: number): void {
    const durationMs = this.#clock.monotonicMs() - this.#startedMs
    this.#timer = setTimeout(() => this.#tell(2 * pauseMs), 2 * pauseMs)
    this.#log.warn('start takes long', { step: this.#step, durationMs })
  }
}
