/**
 * Which commits of the journal the kernel reflects. A flush covers the commits since the one before it, and
 * flushes may end in another order than they began: a detach waits for the reaper, an attach does not wait
 * for the detach.
 */

/** The commits after one sequence number, up to and with another. */
export interface Flush {
  readonly after: number
  readonly upTo: number
}

export class Progress {
  readonly #underWay = new Set<Flush>()
  #covered = 0

  /** A flush that covers everything up to the sequence number begins. */
  begin(upTo: number): Flush {
    const flush = { after: Math.min(this.#covered, upTo), upTo }
    this.#covered = Math.max(this.#covered, upTo)
    this.#underWay.add(flush)
    return flush
  }

  end(flush: Flush): void {
    this.#underWay.delete(flush)
  }

  /** True when no flush is under way. */
  get isIdle(): boolean {
    return this.#underWay.size === 0
  }

  /** True when this one commit was applied, whatever came before it. */
  has(sequence: number): boolean {
    if (sequence > this.#covered) return false
    for (const { after, upTo } of this.#underWay) {
      if (after < sequence && sequence <= upTo) return false
    }
    return true
  }

  /** Every commit up to this one was applied. */
  get upTo(): number {
    let reached = this.#covered
    for (const { after } of this.#underWay) reached = Math.min(reached, after)
    return reached
  }
}
