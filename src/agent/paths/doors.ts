/**
 * Where this host can be probed: a socket at each of its addresses, and a door for streams where a way in
 * use ends. An address that is not there yet is tried again, with growing pauses.
 */

import { isNetworkError, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { IP } from '../../net/ip.ts'
import type { Post } from './post.ts'
import type { StreamDoor } from './streams.ts'

export interface DoorsOptions {
  readonly post: Post
  readonly openDoor: (address: IP) => Promise<StreamDoor>
  readonly log: Log
  readonly signal: AbortSignal
}

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 15_000

export class Doors {
  readonly #options: DoorsOptions
  readonly #open = new Map<IP, StreamDoor>()
  #boxes: readonly IP[] = []
  #streams: ReadonlySet<IP> = new Set()
  #timer: ReturnType<typeof setTimeout> | undefined
  #pauseMs = FIRST_PAUSE_MS
  #opening = false
  /** Something else is wanted than what is being opened. */
  #stale = false

  constructor(options: DoorsOptions) {
    this.#options = options
    options.signal.addEventListener('abort', () => {
      clearTimeout(this.#timer)
      this.want([], new Set())
    })
  }

  /** A socket at each of these, and at those where streams are taken; nothing elsewhere. */
  want(boxes: readonly IP[], streams: ReadonlySet<IP>): void {
    this.#boxes = [...new Set([...boxes, ...streams])]
    this.#streams = streams
    this.#closeOthers()
    this.#pauseMs = FIRST_PAUSE_MS
    if (this.#opening) this.#stale = true
    else void this.#openAll()
  }

  async #openAll(): Promise<void> {
    const { post, openDoor, log, signal } = this.#options
    clearTimeout(this.#timer)
    this.#opening = true
    let missing = false
    do {
      this.#stale = false
      missing = false
      for (const address of this.#boxes) {
        try {
          await post.open(address)
          if (this.#streams.has(address) && !this.#open.has(address)) {
            this.#open.set(address, await openDoor(address))
          }
        } catch (error) {
          if (!isNetworkError(error, 'unavailable')) throw error
          log.debug('not to be probed yet', { address, error: messageOf(error) })
          missing = true
        }
      }
    } while (this.#stale && !signal.aborted)
    this.#opening = false
    this.#closeOthers()
    if (missing && !signal.aborted) {
      this.#timer = setTimeout(() => void this.#openAll(), this.#pauseMs)
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }

  #closeOthers(): void {
    this.#options.post.keep(this.#boxes)
    for (const [address, door] of this.#open) {
      if (this.#streams.has(address)) continue
      door[Symbol.dispose]()
      this.#open.delete(address)
    }
  }
}
