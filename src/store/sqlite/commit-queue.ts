/**
 * Many writers, one disk: the writes that arrive in one turn of the event loop share one commit, so that
 * their callers share the wait for the disk. Each gets its own revision and its own answer; if the commit
 * fails, all of them fail and nothing of them remains.
 */

import { NetworkError } from '../../lib/errors.ts'
import { reasonOf } from '../reasons.ts'
import type { BatchScope } from './batch.ts'
import type { Database } from './database.ts'
import type { Change, Commit, Guard } from './mvcc.ts'
import { writeMeta } from './records.ts'

/** Most writes that share a commit, so that one turn stays short. */
const MAX_SHARED = 256

export interface WriteContext {
  readonly scope: BatchScope
  /** Runs once the write is on the disk. */
  afterCommit(effect: () => void): void
}

type Work<T> = (context: WriteContext) => T

interface Pending {
  readonly guard: Guard | undefined
  /** Runs the work; returns the way to tell the caller. */
  run(context: WriteContext): () => void
  reject(error: unknown): void
}

/** What the queue reads and advances; owned by the engine. */
export interface CommitState {
  revision: number
  compactRevision: number
}

export class CommitQueue {
  readonly #db: Database
  readonly #state: CommitState
  readonly #publish: (commits: readonly Commit[]) => void
  #pending: Pending[] = []
  #scheduled = false
  #closed = false

  constructor(db: Database, state: CommitState, publish: (commits: readonly Commit[]) => void) {
    this.#db = db
    this.#state = state
    this.#publish = publish
  }

  /** Carries `work` out inside a transaction; resolves when it is on the disk. */
  write<T>(work: Work<T>, guard?: Guard): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) throw new NetworkError('unavailable', 'Cannot write: the store is closed')
      this.#pending.push({
        guard,
        run(context) {
          const result = work(context)
          return () => resolve(result)
        },
        reject,
      })
      this.#schedule()
    })
  }

  /** Commits what is waiting and takes no more. */
  close(): void {
    while (this.#pending.length > 0) this.#commit(this.#pending.splice(0, MAX_SHARED))
    this.#closed = true
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#pending.length > 0) this.#commit(this.#pending.splice(0, MAX_SHARED))
      if (this.#pending.length > 0) this.#schedule()
    })
  }

  #commit(batch: readonly Pending[]): void {
    const answers: (() => void)[] = []
    const effects: (() => void)[] = []
    const commits: Commit[] = []
    try {
      this.#db.transaction(() => {
        for (const pending of batch) this.#runOne(pending, answers, effects, commits)
        const last = commits.at(-1)
        if (last !== undefined) writeMeta(this.#db, 'revision', String(last.revision))
      })
    } catch (error) {
      for (const pending of batch) pending.reject(error)
      return
    }
    this.#state.revision = commits.at(-1)?.revision ?? this.#state.revision
    for (const effect of effects) effect()
    for (const answer of answers) answer()
    if (commits.length > 0) this.#publish(commits)
  }

  /** A refusal comes before any change and concerns its caller only; any other error ends the commit. */
  #runOne(
    pending: Pending,
    answers: (() => void)[],
    effects: (() => void)[],
    commits: Commit[],
  ): void {
    const changes: Change[] = []
    const revision = (commits.at(-1)?.revision ?? this.#state.revision) + 1
    const { compactRevision } = this.#state
    const scope = { db: this.#db, revision, compactRevision, guard: pending.guard, changes }
    const own: (() => void)[] = []
    try {
      answers.push(pending.run({ scope, afterCommit: (effect) => own.push(effect) }))
      effects.push(...own)
    } catch (error) {
      if (reasonOf(error) === undefined || changes.length > 0) throw error
      answers.push(() => pending.reject(error))
      return
    }
    if (changes.length > 0) commits.push({ revision, changes })
  }
}
