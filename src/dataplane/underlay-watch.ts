/**
 * Follows this host's underlay: read again a moment after the kernel told of a change of links, addresses or
 * routes that are not ours, and told on when it is another. A family that lost its address for good is given
 * up after a while, if the other one is there.
 */

import type { Kernel } from '../kernel/kernel.ts'
import { isNetworkError } from '../lib/errors.ts'
import { followUnderlay, type Underlay, type UnderlayWish } from './underlay.ts'

/** An address is often taken away and set anew: both are read as one. */
const QUIET_MS = 300
/** A family without an address is given up after this long. */
const PATIENCE_MS = 30_000

export interface UnderlayStart {
  readonly wish: UnderlayWish
  /** What was read when the daemon started. */
  readonly first: Underlay
}

export class UnderlayWatch implements Disposable {
  readonly #kernel: Kernel
  readonly #wish: UnderlayWish
  readonly #tell: (underlay: Underlay) => void
  #underlay: Underlay
  #timer: ReturnType<typeof setTimeout> | undefined
  #patience: ReturnType<typeof setTimeout> | undefined

  constructor(kernel: Kernel, start: UnderlayStart, tell: (underlay: Underlay) => void) {
    this.#kernel = kernel
    this.#wish = start.wish
    this.#underlay = start.first
    this.#tell = tell
    this.suspect()
  }

  /** Something changed that the underlay may depend on. */
  suspect(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#look(false)
    }, QUIET_MS)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#patience)
  }

  #look(forgetMissing: boolean): void {
    let now: Underlay
    try {
      now = followUnderlay(this.#kernel, this.#wish, this.#underlay, forgetMissing)
    } catch (error) {
      // The kernel was changing while it was listed: the next look will do.
      if (!isNetworkError(error, 'kernel')) throw error
      this.suspect()
      return
    }
    if (now.missing.length === 0) {
      clearTimeout(this.#patience)
      this.#patience = undefined
    } else {
      this.#patience ??= setTimeout(() => this.#look(true), PATIENCE_MS)
    }
    if (JSON.stringify(now) === JSON.stringify(this.#underlay)) return
    this.#underlay = now
    this.#tell(now)
  }
}
