/**
 * Calls about one thing, one after the other, while those about others go on: an engine orders the calls of one
 * endpoint itself, except after it gave up waiting for an answer.
 */

import { NetworkError } from '../../lib/errors.ts'

/** An engine starts no more containers at a time than this. */
const MOST_WAITING = 4096

export class Lanes {
  readonly #last = new Map<string, Promise<unknown>>()
  #waiting = 0

  /** Runs the work when everything that came before it for `key` has ended. */
  async run<T>(key: string | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MOST_WAITING) {
      throw new NetworkError('unavailable', `Cannot answer: ${MOST_WAITING} calls are under way`)
    }
    this.#waiting++
    try {
      return await (key === undefined ? work() : this.#behind(key, work))
    } finally {
      this.#waiting--
    }
  }

  async #behind<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const done = before.then(work)
    const ended = done.catch(() => undefined)
    this.#last.set(key, ended)
    try {
      return await done
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key)
    }
  }
}
