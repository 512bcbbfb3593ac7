/** Callers that wait until a sequence number has been reached, each with a deadline. */

import { NetworkError } from '../lib/errors.ts'

interface Waiter {
  readonly sequence: number
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
  readonly timer: ReturnType<typeof setTimeout>
}

export class Waiters {
  readonly #waiting = new Set<Waiter>()

  /** Rejects with `timeout` when the number is not reached in time. */
  wait(sequence: number, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter)
        reject(
          new NetworkError(
            'timeout',
            `Cannot wait for the kernel any longer: change ${sequence} was not applied within ${timeoutMs} ms`,
            { hint: 'carrick status' },
          ),
        )
      }, timeoutMs)
      const waiter: Waiter = { sequence, resolve, reject, timer }
      this.#waiting.add(waiter)
    })
  }

  /** Lets go of everybody who waits for `reached` or less. */
  resolve(reached: number): void {
    for (const waiter of this.#waiting) {
      if (waiter.sequence > reached) continue
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
