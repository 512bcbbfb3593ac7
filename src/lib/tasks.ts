/**
 * Background work with an owner: whoever starts work hands the promise here, and disposing waits until all
 * of it has ended. Errors go to the log, once, unless the owner is closing.
 */

import { messageOf } from './errors.ts'
import type { Log } from './log.ts'

export class TaskGroup implements AsyncDisposable {
  readonly #controller = new AbortController()
  readonly #running = new Map<string, Promise<void>>()
  readonly #log: Log
  #unnamed = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** Aborts when the group is disposed. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Runs `work` unless work of that name is still running; false when it was. */
  startOnce(name: string, work: (signal: AbortSignal) => Promise<void>): boolean {
    if (this.signal.aborted || this.#running.has(name)) return false
    const run = async (): Promise<void> => {
      try {
        await work(this.signal)
      } catch (error) {
        if (!this.signal.aborted) this.#log.warn(`${name} failed`, { error: messageOf(error) })
      } finally {
        this.#running.delete(name)
      }
    }
    // Begins in a later turn, so that the entry stands before the work can end.
    this.#running.set(name, Promise.resolve().then(run))
    return true
  }

  start(what: string, work: (signal: AbortSignal) => Promise<void>): void {
    this.startOnce(`${what} #${++this.#unnamed}`, work)
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new Error('closing'))
    await this.idle()
  }
}
