/** Time as the engine needs it, handed in so that tests can move it. */

export interface Clock {
  /** Milliseconds that only grow and are not set by anybody; not the time of day. */
  monotonicMs(): number
  /** Runs `run` once after `delayMs`; returns the way to call it off. */
  after(delayMs: number, run: () => void): () => void
}

/** The machine's clock. A waiting timer does not keep the process alive. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
