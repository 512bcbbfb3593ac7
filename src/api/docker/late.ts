/** A moment after which nobody waits any more. */

import type { Clock } from '../../lib/clock.ts'

export class Late implements Disposable {
  readonly #over = new AbortController()
  /** Resolves at that moment, and never once this is disposed of. */
  readonly passed: Promise<void>

  constructor(clock: Clock, afterMs: number) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.passed = promise
    clock.sleep(afterMs, this.#over.signal).then(resolve, () => undefined)
  }

  [Symbol.dispose](): void {
    this.#over.abort(new Error('over'))
  }
}
