/** Tells when something busy has come to rest. */

export class Lull implements Disposable {
  readonly #pauseMs: number
  readonly #rest: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #busy = false

  /** `rest` is called when there was something to do and then nothing for a pause, or nearly two. */
  constructor(pauseMs: number, rest: () => void) {
    this.#pauseMs = pauseMs
    this.#rest = rest
  }

  /** There is something to do. Costs next to nothing, however often it is said. */
  busy(): void {
    this.#busy = true
    this.#timer ??= setTimeout(() => this.#look(), this.#pauseMs)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    this.#timer = undefined
    if (this.#busy) {
      this.#busy = false
      this.#timer = setTimeout(() => this.#look(), this.#pauseMs)
    } else this.#rest()
  }
}
