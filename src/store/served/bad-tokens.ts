/** Who tried wrong tokens lately: ten a minute from one address, a hundred in all, then the door waits. */

const WINDOW_MS = 60_000
const PER_ADDRESS = 10
const IN_ALL = 100

export class BadTokens {
  #windowStartMs = 0
  #inAll = 0
  /** Never more than IN_ALL entries: nothing is counted beyond that. */
  #byAddress = new Map<string, number>()

  /** Seconds until this address may try again; 0 when it may now. */
  secondsToWait(address: string, nowMs: number): number {
    this.#turn(nowMs)
    const tried = this.#byAddress.get(address) ?? 0
    if (tried < PER_ADDRESS && this.#inAll < IN_ALL) return 0
    return Math.max(1, Math.ceil((this.#windowStartMs + WINDOW_MS - nowMs) / 1000))
  }

  /** Counts a wrong token. */
  count(address: string, nowMs: number): void {
    this.#turn(nowMs)
    this.#inAll++
    if (this.#byAddress.size < IN_ALL || this.#byAddress.has(address)) {
      this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1)
    }
  }

  /** A clock that was set back begins a new window as well. */
  #turn(nowMs: number): void {
    const sinceMs = nowMs - this.#windowStartMs
    if (sinceMs >= 0 && sinceMs < WINDOW_MS) return
    this.#windowStartMs = nowMs
    this.#inAll = 0
    this.#byAddress = new Map()
  }
}
