/**
 * Brings the replica's copy on disk up to date, at most once a second: a burst of changes is one small
 * transaction, and a change that did not reach the disk is found again when the store is listed. The first
 * copy and new networks are written at once: a daemon that dies a moment later and starts while the store
 * is away must know the networks of its own endpoints, or it would take those for leftovers.
 */

import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { parseKey } from '../../model/keys.ts'
import type { ReplicaCache } from '../journal/journal.ts'

const PAUSE_MS = 1000

interface Pending {
  readonly key: string
  readonly value: string | undefined
  readonly modRevision: number
}

export interface CacheWriterOptions {
  readonly cache: ReplicaCache
  readonly clock: Clock
  readonly log: Log
}

export class CacheWriter implements AsyncDisposable {
  readonly #options: CacheWriterOptions
  readonly #stop = new AbortController()
  readonly #pending = new Map<string, Pending>()
  #revision = 0
  #urgent = false
  #failing = false
  #task: Promise<void> | undefined

  constructor(options: CacheWriterOptions) {
    this.#options = options
  }

  /** One record as it is at its revision; `value` undefined: it is gone. */
  add(key: string, value: string | undefined, modRevision: number): void {
    this.#pending.set(key, { key, value, modRevision })
    if (value !== undefined && parseKey(key)?.kind === 'network') this.#urgent = true
  }

  /** Everything added belongs to a copy that is whole at `revision`. */
  whole(revision: number): void {
    this.#revision = revision
    if (this.#urgent || this.#options.cache.revision === undefined) this.flush()
    if (this.#pending.size > 0) this.#task ??= this.#later()
  }

  /** Writes what is pending, when the copy is whole. */
  flush(): void {
    const { cache, log } = this.#options
    if (this.#revision === 0) return
    const changes = [...this.#pending.values()]
    try {
      if (cache.revision !== undefined) cache.apply(changes, this.#revision)
      else cache.replace(changes.filter(isPresent), this.#revision)
      this.#pending.clear()
      this.#urgent = false
      this.#failing = false
    } catch (error) {
      // a full disk must not stop the daemon: the copy is older then, and the changes wait
      if (!this.#failing) log.error('cannot write the replica', { error: messageOf(error) })
      this.#failing = true
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('closing'))
    await this.#task
    if (this.#pending.size > 0) this.flush()
  }

  async #later(): Promise<void> {
    try {
      await this.#options.clock.sleep(PAUSE_MS, this.#stop.signal)
    } catch {
      return // closing: dispose writes the rest
    }
    this.#task = undefined
    this.flush()
    if (this.#pending.size > 0) this.#task ??= this.#later()
  }
}

function isPresent(change: Pending): change is Pending & { readonly value: string } {
  return change.value !== undefined
}
