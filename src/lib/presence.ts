/** A part of the program that comes and goes, for those who outlive it: they take it as it is, or wait a while. */

export class Presence<T> {
  #part: T | undefined
  #arrived = Promise.withResolvers<void>()

  /** Undefined while it is away. */
  get part(): T | undefined {
    return this.#part
  }

  /** It is there until disposed. */
  enter(part: T): Disposable {
    this.#part = part
    this.#arrived.resolve()
    return {
      [Symbol.dispose]: () => {
        this.#part = undefined
        this.#arrived = Promise.withResolvers<void>()
      },
    }
  }

  /** As soon as it is there; undefined when it is not within `ms`. */
  async within(ms: number): Promise<T | undefined> {
    if (this.#part !== undefined) return this.#part
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(() => late.resolve(), ms)
    try {
      await Promise.race([this.#arrived.promise, late.promise])
      return this.#part
    } finally {
      clearTimeout(timer)
    }
  }
}
