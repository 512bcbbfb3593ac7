/**
 * etcd's store in one SQLite file: multi-version records, transactions, watches from a revision, leases,
 * compaction. It answers in process (embedded.ts) and over the etcd v3 API (../served). Reads are
 * immediate and see every write that was answered; a write is answered once it is on the disk.
 */

import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { refusal } from '../reasons.ts'
import { checkRevision, runBatch } from './batch.ts'
import { CommitQueue, type CommitState } from './commit-queue.ts'
import { type Database, openDatabase } from './database.ts'
import { Leases } from './leases.ts'
import type { Batch, BatchAnswer, Commit, Guard, RangeAnswer, RangeQuery, Revised } from './mvcc.ts'
import { compactRecords, rangeRecords, readMeta, writeMeta } from './records.ts'
import { type Watcher, Watchers, type WatchRequest } from './watchers.ts'

/** Revisions kept when nothing else is said: at 20 changes/s more than eight minutes of being away. */
const HISTORY_REVISIONS = 10_000

export interface EngineOptions {
  /** The database file; made when absent, with its directory. */
  readonly path: string
  readonly clock?: Clock
  /** About how many revisions of history are kept; older ones are compacted away. */
  readonly historyRevisions?: number
}

export class Engine implements Disposable {
  readonly path: string
  readonly clock: Clock
  /** Names this store in answers; chosen when the file is made. */
  readonly clusterId: bigint
  readonly leases: Leases
  readonly watchers: Watchers
  readonly #db: Database
  readonly #queue: CommitQueue
  readonly #state: CommitState
  readonly #historyRevisions: number
  #closed = false

  constructor(options: EngineOptions) {
    this.path = options.path
    this.clock = options.clock ?? systemClock()
    this.#historyRevisions = options.historyRevisions ?? HISTORY_REVISIONS
    this.#db = openDatabase(options.path)
    this.#state = {
      revision: Number(readMeta(this.#db, 'revision')),
      compactRevision: Number(readMeta(this.#db, 'compacted')),
    }
    this.clusterId = readClusterId(this.#db)
    this.watchers = new Watchers({ db: this.#db, state: this.#state })
    this.#queue = new CommitQueue(this.#db, this.#state, (commits) => this.#committed(commits))
    this.leases = new Leases(this.#db, this.#queue, this.clock)
  }

  /** Revision of the last change; 1 when there has been none. */
  get revision(): number {
    return this.#state.revision
  }

  /** Revision below which history is forgotten. */
  get compactRevision(): number {
    return this.#state.compactRevision
  }

  /** Bytes the database takes on the disk, without its write-ahead log. */
  get sizeBytes(): number {
    return statSync(this.path).size
  }

  range(query: RangeQuery): Revised<RangeAnswer> {
    checkRevision(query.revision, this.#state)
    if (query.interval.from.length === 0) {
      throw refusal('empty-key', 'Cannot read an empty key: a key has a byte or more')
    }
    const past = query.revision !== undefined && query.revision > 0 ? query.revision : undefined
    return { ...rangeRecords(this.#db, query, past), revision: this.#state.revision }
  }

  /** Carries a transaction out; the guard is asked for every key that changes. */
  txn(batch: Batch, guard?: Guard): Promise<Revised<BatchAnswer>> {
    return this.#queue.write(({ scope }) => {
      const answer = runBatch(scope, batch)
      const revision = scope.changes.length > 0 ? scope.revision : scope.revision - 1
      return { ...answer, revision }
    }, guard)
  }

  watch(request: WatchRequest): Watcher {
    return this.watchers.open(request)
  }

  /** Forgets history below `revision`; the state at `revision` stays readable. */
  compact(revision: number): Promise<void> {
    return this.#queue.write(({ scope, afterCommit }) => {
      const { compactRevision } = this.#state
      if (revision <= compactRevision) {
        throw refusal(
          'compacted',
          `Cannot compact to revision ${revision}: compacted up to ${compactRevision}`,
          { details: { compactRevision } },
        )
      }
      checkRevision(revision, { revision: scope.revision - 1, compactRevision })
      compactRecords(scope.db, revision)
      writeMeta(scope.db, 'compacted', String(revision))
      afterCommit(() => {
        this.#state.compactRevision = Math.max(this.#state.compactRevision, revision)
      })
    })
  }

  /** Writes what is waiting and closes the file. */
  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.leases[Symbol.dispose]()
    this.#queue.close()
    this.watchers.close()
    this.#db[Symbol.dispose]()
  }

  #committed(commits: readonly Commit[]): void {
    this.watchers.publish(commits)
    const { revision, compactRevision } = this.#state
    const target = revision - this.#historyRevisions
    const step = Math.max(1, Math.ceil(this.#historyRevisions / 20))
    if (target - compactRevision < step) return
    // Compaction that fails is tried again by a later commit: nothing depends on it.
    this.compact(target).catch(() => undefined)
  }
}

function readClusterId(db: Database): bigint {
  const stored = readMeta(db, 'cluster')
  if (stored !== undefined) return BigInt(stored)
  const made = randomBytes(8).readBigUInt64BE()
  db.transaction(() => writeMeta(db, 'cluster', String(made)))
  return made
}
