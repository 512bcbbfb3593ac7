/**
 * Notices between the kernel and their one reader: those that wait, or the reader that waits. The queue is
 * bounded; a reader too slow for it hears `lost`, as if the kernel's own queue had overrun.
 */
import type { Notice } from './notices.ts'

/** More waiting notices than this are worth less than one `lost`. */
const QUEUE_NOTICES = 65_536

/** Notices that wait for their reader, or the reader that waits for one. */
export class NoticeQueue {
  #waiting: Notice[] = []
  #reader: PromiseWithResolvers<IteratorResult<Notice>> | undefined
  #ended = false
  #failure: Error | undefined

  push(notice: Notice): void {
    if (this.#ended) return
    if (this.#reader !== undefined) {
      this.#reader.resolve({ done: false, value: notice })
      this.#reader = undefined
    } else if (this.#waiting.length >= QUEUE_NOTICES) {
      this.#waiting = [{ kind: 'lost' }]
    } else {
      this.#waiting.push(notice)
    }
  }

  #next(): Promise<IteratorResult<Notice>> {
    const notice = this.#ended && this.#failure === undefined ? undefined : this.#waiting.shift()
    if (notice !== undefined) return Promise.resolve({ done: false, value: notice })
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    this.#reader = Promise.withResolvers()
    return this.#reader.promise
  }

  /** For one reader; `onReturn` runs when it leaves early. */
  iterate(onReturn: () => void): AsyncIterable<Notice> {
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => this.#next(),
        return: async () => {
          onReturn()
          return { done: true, value: undefined }
        },
      }),
    }
  }

  end(): void {
    this.#ended = true
    this.#reader?.resolve({ done: true, value: undefined })
    this.#reader = undefined
  }

  fail(error: Error): void {
    this.#failure = error
    this.#ended = true
    this.#reader?.reject(error)
    this.#reader = undefined
  }
}
