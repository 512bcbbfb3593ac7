/**
 * Watches. A watcher remembers the next revision it has to tell and pulls: from the last commits, which are
 * kept in memory within bounds, else from the history in the file. So a slow watcher costs nothing but
 * disk reads, and one that compaction overtakes is told so.
 */

import { contains, type Interval } from '../interval.ts'
import type { CommitState } from './commit-queue.ts'
import type { Database } from './database.ts'
import type { Change, Commit } from './mvcc.ts'
import { readHistory } from './records.ts'

/** Most changes kept in memory for watchers that keep up. */
const RECENT_CHANGES = 1024
/** Most bytes of values kept in memory with them. */
const RECENT_BYTES = 4 * 1024 * 1024
/** About how many changes one read of the file brings. */
const CHUNK_CHANGES = 512

export interface WatchRequest {
  readonly interval: Interval
  /** First revision of interest; absent: what comes from now on. */
  readonly fromRevision?: number
  readonly puts?: boolean
  readonly deletes?: boolean
}

export type WatchNews =
  | ({ readonly kind: 'commit' } & Commit)
  | { readonly kind: 'compacted'; readonly compactRevision: number }

/** Everything the watchers need of the engine. */
interface Source {
  readonly db: Database
  readonly state: Readonly<CommitState>
}

export class Watchers {
  readonly #source: Source
  readonly #waiting = new Set<Watcher>()
  #recent: Commit[] = []
  #recentChanges = 0
  #recentBytes = 0
  #closed = false

  constructor(source: Source) {
    this.#source = source
  }

  open(request: WatchRequest): Watcher {
    return new Watcher(this, request, this.#source.state.revision)
  }

  /** Ends every watch. */
  close(): void {
    for (const watcher of [...this.#waiting]) watcher[Symbol.dispose]()
    this.#closed = true
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Number of watchers that have been told everything. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Tells the waiting watchers of new commits. */
  publish(commits: readonly Commit[]): void {
    for (const commit of commits) this.#remember(commit)
    for (const watcher of [...this.#waiting]) {
      if (this.read(watcher.request, watcher.next).news === undefined) {
        watcher.advance(this.#source.state.revision)
      } else {
        watcher.wake()
      }
    }
  }

  wait(watcher: Watcher): void {
    this.#waiting.add(watcher)
  }

  forget(watcher: Watcher): void {
    this.#waiting.delete(watcher)
  }

  /** The next commits from revision `next` on, as far as `through`; no news when there is nothing. */
  read(
    request: WatchRequest,
    next: number,
  ): { readonly news: readonly WatchNews[] | undefined; readonly through: number } {
    const { revision, compactRevision } = this.#source.state
    if (next < compactRevision) {
      return { news: [{ kind: 'compacted', compactRevision }], through: revision }
    }
    let from = next
    while (from <= revision) {
      const { commits, through } = this.#commitsFrom(request.interval, from)
      const news = commits.flatMap((commit) => newsOf(request, commit))
      if (news.length > 0) return { news, through }
      from = through + 1
    }
    return { news: undefined, through: Math.max(revision, next - 1) }
  }

  #commitsFrom(
    interval: Interval,
    from: number,
  ): { readonly commits: readonly Commit[]; readonly through: number } {
    const { db, state } = this.#source
    const oldest = this.#recent[0]?.revision
    if (oldest !== undefined && oldest <= from) {
      return {
        commits: this.#recent.slice(lowerBound(this.#recent, from)),
        through: state.revision,
      }
    }
    return readHistory(db, interval, from, state.revision, CHUNK_CHANGES)
  }

  #remember(commit: Commit): void {
    this.#recent.push(commit)
    this.#recentChanges += commit.changes.length
    this.#recentBytes += bytesOf(commit)
    let drop = 0
    while (this.#recentChanges > RECENT_CHANGES || this.#recentBytes > RECENT_BYTES) {
      const oldest = this.#recent[drop]
      if (oldest === undefined) break
      this.#recentChanges -= oldest.changes.length
      this.#recentBytes -= bytesOf(oldest)
      drop++
    }
    if (drop > 0) this.#recent = this.#recent.slice(drop)
  }
}

/** One watch; pulled by one consumer. */
export class Watcher implements Disposable {
  readonly request: WatchRequest
  readonly #watchers: Watchers
  #next: number
  #news: WatchNews[] = []
  #wake: (() => void) | undefined
  #closed = false

  constructor(watchers: Watchers, request: WatchRequest, revision: number) {
    this.#watchers = watchers
    this.request = request
    const from = request.fromRevision ?? 0
    this.#next = from > 0 ? from : revision + 1
  }

  /** First revision that has not been looked at. */
  get next(): number {
    return this.#next
  }

  /** The revision up to which everything has been told; undefined while something is still to be told. */
  get toldRevision(): number | undefined {
    return this.#news.length === 0 && this.#wake !== undefined ? this.#next - 1 : undefined
  }

  /** The next commit of interest, or that compaction was faster; undefined once closed. */
  async pull(): Promise<WatchNews | undefined> {
    for (;;) {
      if (this.#closed || this.#watchers.closed) return undefined
      const first = this.#news.shift()
      if (first !== undefined) return first
      const { news, through } = this.#watchers.read(this.request, this.#next)
      this.#next = through + 1
      if (news === undefined) await this.#waitForNews()
      else this.#news.push(...news)
    }
  }

  /** There is something to read. */
  wake(): void {
    this.#watchers.forget(this)
    this.#wake?.()
    this.#wake = undefined
  }

  /** Nothing of interest up to `revision`. */
  advance(revision: number): void {
    this.#next = Math.max(this.#next, revision + 1)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.wake()
  }

  #waitForNews(): Promise<void> {
    this.#watchers.wait(this)
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

function newsOf(request: WatchRequest, commit: Commit): WatchNews[] {
  const changes = commit.changes.filter((change) => interesting(request, change))
  return changes.length === 0 ? [] : [{ kind: 'commit', revision: commit.revision, changes }]
}

function interesting(request: WatchRequest, change: Change): boolean {
  if (change.kind === 'put' ? request.puts === false : request.deletes === false) return false
  return contains(request.interval, change.entry.key)
}

/** Index of the first commit with this revision or a later one. */
function lowerBound(commits: readonly Commit[], revision: number): number {
  let low = 0
  let high = commits.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((commits[middle]?.revision ?? revision) < revision) low = middle + 1
    else high = middle
  }
  return low
}

function bytesOf(commit: Commit): number {
  let bytes = 0
  for (const { entry, previous } of commit.changes) {
    bytes += entry.value.length + entry.key.length + (previous?.value.length ?? 0)
  }
  return bytes
}
