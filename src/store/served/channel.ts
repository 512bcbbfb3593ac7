/** A bounded queue between writers and one reader: a full queue makes the writers wait. */

export class Channel<T> {
  readonly #capacity: number
  readonly #items: T[] = []
  #readerWaits: (() => void) | undefined
  #writersWait: (() => void)[] = []
  #closed = false

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Adds an item once there is room; false when the channel is closed. */
  async push(item: T): Promise<boolean> {
    while (!this.#closed && this.#items.length >= this.#capacity) {
      await new Promise<void>((resolve) => this.#writersWait.push(resolve))
    }
    if (this.#closed) return false
    this.#items.push(item)
    this.#readerWaits?.()
    return true
  }

  /** Ends the reading after the items that are there, and all waiting writers. */
  close(): void {
    this.#closed = true
    this.#readerWaits?.()
    this.#releaseWriters()
  }

  /** The items in order, until the channel is closed. */
  async *items(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) {
        this.#releaseWriters()
        yield item
      } else if (this.#closed) {
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#readerWaits = resolve
        })
        this.#readerWaits = undefined
      }
    }
  }

  #releaseWriters(): void {
    const writers = this.#writersWait
    this.#writersWait = []
    for (const release of writers) release()
  }
}
