/** Objects that could not be brought into the kernel: what is wrong with each, and when it is tried again. */

import type { Failure } from '../dataplane/reconcile.ts'
import type { ObjectKey } from '../hoststate/state.ts'
import type { Log } from '../lib/log.ts'
import type { ObjectFailure } from '../model/host.ts'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 30_000

export class Backlog {
  readonly #failures = new Map<ObjectKey, ObjectFailure>()
  readonly #timers = new Map<ObjectKey, ReturnType<typeof setTimeout>>()
  readonly #now: () => Date
  readonly #signal: AbortSignal
  readonly #retry: (objects: readonly ObjectKey[]) => void

  constructor(
    now: () => Date,
    signal: AbortSignal,
    retry: (objects: readonly ObjectKey[]) => void,
  ) {
    this.#now = now
    this.#signal = signal
    this.#retry = retry
    signal.addEventListener('abort', () => {
      for (const timer of this.#timers.values()) clearTimeout(timer)
    })
  }

  /** Sorted by object, so that two readings of the same state are equal. */
  get failures(): readonly ObjectFailure[] {
    return [...this.#failures.values()].sort((a, b) => (a.object < b.object ? -1 : 1))
  }

  /** What came of applying `objects` (undefined: of everything); those that did not fail are well again. */
  record(objects: readonly ObjectKey[] | undefined, failures: readonly Failure[], log: Log): void {
    const failed = new Set(failures.map(({ object }) => object))
    for (const object of objects ?? [...this.#failures.keys()]) {
      if (failed.has(object) || !this.#failures.delete(object)) continue
      this.#forget(object)
      log.info('object recovered', { object })
    }
    this.add(failures, log)
  }

  add(failures: readonly Failure[], log: Log): void {
    for (const { object, code, message } of failures) {
      const before = this.#failures.get(object)
      const attempts = (before?.attempts ?? 0) + 1
      const since = before?.since ?? this.#now().toISOString()
      this.#failures.set(object, { object, code, message, since, attempts })
      if (before?.message !== message) log.warn('object failed', { object, code, error: message })
      this.#again(object, attempts)
    }
  }

  #again(object: ObjectKey, attempts: number): void {
    if (this.#signal.aborted) return
    this.#forget(object)
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempts - 1), LONGEST_PAUSE_MS)
    this.#timers.set(
      object,
      setTimeout(() => this.#retry([object]), pauseMs),
    )
  }

  #forget(object: ObjectKey): void {
    clearTimeout(this.#timers.get(object))
    this.#timers.delete(object)
  }
}
