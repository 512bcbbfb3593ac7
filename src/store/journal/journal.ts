/**
 * The host's own notebook: one SQLite file that is the truth for what this host owns (its endpoints and
 * its own host record), so that an attach never waits for the network. Every commit gets the next sequence
 * number; the publisher brings the shared store up to the journal, in order, whenever the store answers.
 * The file also keeps a copy of what the replica last saw, so that a restart needs no store.
 */

/** One record this host owns; `value` undefined is a record removed and not yet known to be unpublished. */
export interface JournalRecord {
  /** Key in the shared store. */
  readonly key: string
  /** JSON as this host needs it; what others may see is cut down when it is published. */
  readonly value: string | undefined
  readonly sequence: number
}

export type JournalChange =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }

export interface Journal extends Disposable {
  /** Sequence number of the last commit; 0 when empty. */
  readonly sequence: number
  /**
   * Writes all changes in one transaction and returns its sequence number: the next one, or `atLeast`
   * when that is higher (the store knows of commits that this file has lost). Throws `exhausted` when
   * the disk is full; then nothing was written and nobody was told.
   */
  commit(changes: readonly JournalChange[], atLeast?: number): number
  get(key: string): string | undefined
  /** Live records whose key has the prefix, in key order. */
  list(prefix: string): readonly JournalRecord[]
  /** Records changed after `sequence`, removed ones included, oldest first. */
  changedSince(sequence: number): readonly JournalRecord[]
  /** Forgets removed records up to `sequence`: the store no longer has them. */
  forgetRemoved(sequence: number): void
  /** Is called inside `commit`, after the transaction; returns the way to stop. */
  subscribe(listener: (records: readonly JournalRecord[]) => void): () => void
  /** Host-private settings that are never published: host id, machine id, store address ... */
  readonly settings: {
    get(name: string): string | undefined
    set(name: string, value: string): void
  }
  /** The replica's copy of the shared store, for a start without it. */
  readonly cache: ReplicaCache
}

export interface ReplicaCache {
  /** Store revision of the copy; undefined when there has never been a full one. */
  readonly revision: number | undefined
  load(): Iterable<{ readonly key: string; readonly value: string; readonly modRevision: number }>
  /** Replaces the whole copy in one transaction. */
  replace(
    items: Iterable<{ readonly key: string; readonly value: string; readonly modRevision: number }>,
    revision: number,
  ): void
  /** Applies the events of one or several revisions in one transaction. */
  apply(
    changes: readonly {
      readonly key: string
      readonly value: string | undefined
      readonly modRevision: number
    }[],
    revision: number,
  ): void
}
