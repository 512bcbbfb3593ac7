/**
 * Ends of pairs that a notice showed otherwise than they should be. While a pair is being made the kernel tells of
 * each of its states, and what is told is past by then: nobody looks before the telling is over.
 */
export class DoubtedPairs {
  readonly #names = new Set<string>()
  readonly #afterMs: number
  readonly #look: (name: string) => void
  #timer: ReturnType<typeof setTimeout> | undefined

  /** `look` is asked of each device that nothing good was heard of for so long after the first doubt. */
  constructor(afterMs: number, look: (name: string) => void) {
    this.#afterMs = afterMs
    this.#look = look
  }

  /** What the latest notice of a device says of it. */
  hear(name: string, sound: boolean): void {
    if (sound) {
      this.#names.delete(name)
      return
    }
    this.#names.add(name)
    this.#timer ??= setTimeout(() => this.#lookAll(), this.#afterMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #lookAll(): void {
    this.#timer = undefined
    const names = [...this.#names]
    this.#names.clear()
    for (const name of names) this.#look(name)
  }
}
