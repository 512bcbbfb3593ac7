/**
 * Leases: a key put on one goes when the lease ends. The file says which leases exist and how long they
 * were granted for; the deadlines are in memory only, so that keeping a lease alive writes nothing, and
 * after a restart every lease has its whole time again.
 */

import { randomBytes } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { refusal } from '../reasons.ts'
import { checkAllowed, deleteKey, leaseExists } from './batch.ts'
import type { CommitQueue, WriteContext } from './commit-queue.ts'
import type { Database } from './database.ts'
import type { Guard } from './mvcc.ts'
import { keysOfLease } from './records.ts'

/** Longest lease in seconds. etcd MaxLeaseTTL */
const MAX_TTL_SECONDS = 9_000_000_000
/** Longest delay a timer takes, in milliseconds; longer waits are cut into pieces. */
const MAX_DELAY_MS = 2_000_000_000
/** Until a lease that could not be ended is tried again. */
const RETRY_MS = 1000

export interface LeaseInfo {
  readonly id: string
  readonly grantedSeconds: number
  readonly remainingSeconds: number
  readonly keys: readonly Uint8Array[]
}

interface Held {
  readonly ttlSeconds: number
  expiresMs: number
}

export class Leases implements Disposable {
  readonly #db: Database
  readonly #queue: CommitQueue
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  #timer = new AbortController()
  #closed = false

  constructor(db: Database, queue: CommitQueue, clock: Clock) {
    this.#db = db
    this.#queue = queue
    this.#clock = clock
    for (const row of db.all('SELECT id, ttl FROM lease')) {
      this.#hold(String(row['id']), Number(row['ttl']))
    }
    this.#arm()
  }

  /** Grants a lease of at least one second; `id` '0' lets the store choose. */
  grant(ttlSeconds: number, id: string): Promise<{ id: string; ttlSeconds: number }> {
    return this.#queue.write((context) => {
      const { db } = context.scope
      if (ttlSeconds > MAX_TTL_SECONDS) {
        throw refusal('lease-too-long', `Cannot grant a lease of ${ttlSeconds} s: too long`)
      }
      if (id !== '0' && leaseExists(db, id)) {
        throw refusal('lease-exists', `Cannot grant lease ${id}: it exists`)
      }
      const chosen = id === '0' ? unusedId(db) : id
      const ttl = Math.max(1, Math.ceil(ttlSeconds))
      db.run('INSERT INTO lease VALUES (?, ?)', chosen, ttl)
      context.afterCommit(() => {
        this.#hold(chosen, ttl)
        this.#arm()
      })
      return { id: chosen, ttlSeconds: ttl }
    })
  }

  /** Gives the lease its whole time again; undefined when it has ended. */
  keepAlive(id: string): number | undefined {
    const held = this.#held.get(id)
    const nowMs = this.#clock.monotonicMs()
    if (held === undefined || held.expiresMs <= nowMs) return undefined
    held.expiresMs = nowMs + held.ttlSeconds * 1000
    return held.ttlSeconds
  }

  /** Ends a lease; its keys go in one revision. */
  revoke(id: string, guard?: Guard): Promise<void> {
    return this.#queue.write((context) => {
      if (!leaseExists(context.scope.db, id)) {
        throw refusal('lease-not-found', `Cannot revoke lease ${id}: no such lease`)
      }
      this.#end(context, id)
    }, guard)
  }

  /** What is known of a lease; undefined when it has ended. */
  info(id: string): LeaseInfo | undefined {
    const held = this.#held.get(id)
    if (held === undefined) return undefined
    const remainingMs = Math.max(0, held.expiresMs - this.#clock.monotonicMs())
    return {
      id,
      grantedSeconds: held.ttlSeconds,
      remainingSeconds: Math.floor(remainingMs / 1000),
      keys: keysOfLease(this.#db, id),
    }
  }

  ids(): readonly string[] {
    return [...this.#held.keys()]
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#timer.abort()
  }

  #hold(id: string, ttlSeconds: number): void {
    this.#held.set(id, { ttlSeconds, expiresMs: this.#clock.monotonicMs() + ttlSeconds * 1000 })
  }

  #end(context: WriteContext, id: string): void {
    const keys = keysOfLease(context.scope.db, id)
    for (const key of keys) checkAllowed(context.scope.guard, key)
    for (const key of keys) deleteKey(context.scope, key)
    context.scope.db.run('DELETE FROM lease WHERE id = ?', id)
    context.afterCommit(() => this.#held.delete(id))
  }

  /** Waits for the lease that ends first. A lease kept alive meanwhile makes the timer come early once. */
  #arm(): void {
    this.#timer.abort()
    if (this.#closed || this.#held.size === 0) return
    let earliestMs = Number.POSITIVE_INFINITY
    for (const held of this.#held.values()) earliestMs = Math.min(earliestMs, held.expiresMs)
    const delayMs = Math.max(1, Math.ceil(earliestMs - this.#clock.monotonicMs()))
    this.#expireAfter(Math.min(delayMs, MAX_DELAY_MS))
  }

  #expire(): void {
    const nowMs = this.#clock.monotonicMs()
    const due = [...this.#held].filter(([, held]) => held.expiresMs <= nowMs).map(([id]) => id)
    const ends = due.map((id) =>
      this.#queue.write((context) => {
        const held = this.#held.get(id)
        if (held !== undefined && held.expiresMs <= nowMs) this.#end(context, id)
      }),
    )
    // A lease that could not be ended (a full disk) is tried again by the next timer.
    Promise.allSettled(ends).then(
      (results) => this.#armAfter(results.some((result) => result.status === 'rejected')),
      () => undefined,
    )
  }

  #armAfter(failed: boolean): void {
    if (!failed) this.#arm()
    else if (!this.#closed) this.#expireAfter(RETRY_MS)
  }

  #expireAfter(delayMs: number): void {
    this.#timer = new AbortController()
    this.#clock.sleep(delayMs, this.#timer.signal).then(
      () => this.#expire(),
      () => undefined, // armed anew, or closed
    )
  }
}

function unusedId(db: Database): string {
  for (;;) {
    const id = String(randomBytes(8).readBigUInt64BE() >> 1n)
    if (id !== '0' && !leaseExists(db, id)) return id
  }
}
