/** Callers that wait until something holds, each with a deadline. Whoever changes it calls `check`. */

import { NetworkError } from '../lib/errors.ts'

interface Waiter {
  readonly holds: () => boolean
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
  readonly timer: ReturnType<typeof setTimeout>
}

export class Waiters {
  readonly #waiting = new Set<Waiter>()

  /** Rejects with `timeout`, saying that `what` did not happen, when it does not hold in time. */
  wait(what: string, holds: () => boolean, timeoutMs: number): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter)
        reject(
          new NetworkError(
            'timeout',
            `Cannot wait for the kernel any longer: ${what} was not applied within ${timeoutMs} ms`,
            { hint: 'carrick status' },
          ),
        )
      }, timeoutMs)
      const waiter: Waiter = { holds, resolve, reject, timer }
      this.#waiting.add(waiter)
    })
  }

  /** Lets go of everybody whose condition holds. */
  check(): void {
    for (const waiter of this.#waiting) {
      if (!waiter.holds()) continue
      this.#waiting.delete(waiter)
      clearTimeout(waiter.timer)
      waiter.resolve()
    }
  }

  rejectAll(reason: unknown): void {
    for (const waiter of this.#waiting) {
      clearTimeout(waiter.timer)
      waiter.reject(reason)
    }
    this.#waiting.clear()
  }
}
