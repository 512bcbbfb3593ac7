/**
 * Who goes first where two threads need the kernel's lock for devices: a container that starts waits for its attach,
 * nobody waits much for one that is gone. The worker's thread says that it is making pairs, and the reaper's lets it
 * finish before it takes the next pair away, each of which holds the lock for some tenths of a millisecond.
 */

const COUNT = 0

export class RightOfWay {
  /** Handed to the other threads, which make their own of it. */
  readonly shared: SharedArrayBuffer
  readonly #cells: Int32Array

  constructor(shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.shared = shared
    this.#cells = new Int32Array(shared)
  }

  /** From now until `release` others wait; as often as it was taken it has to be given back, by whichever thread. */
  take(): void {
    Atomics.add(this.#cells, COUNT, 1)
  }

  release(): void {
    if (Atomics.sub(this.#cells, COUNT, 1) === 1) Atomics.notify(this.#cells, COUNT)
  }

  /** Returns when nobody has it, or after `longestMs`: there may always be another. Blocks the thread. */
  giveWay(longestMs: number): void {
    const deadline = performance.now() + longestMs
    for (;;) {
      const holders = Atomics.load(this.#cells, COUNT)
      const leftMs = deadline - performance.now()
      if (holders === 0 || leftMs <= 0) return
      Atomics.wait(this.#cells, COUNT, holders, leftMs)
    }
  }
}
