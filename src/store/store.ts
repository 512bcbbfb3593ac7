/**
 * The shared store as the rest of the program sees it: etcd v3 semantics, whoever provides them.
 * Keys are UTF-8 text ordered by their bytes; values are UTF-8 text (JSON documents, at most 64 KiB).
 * A revision numbers every change of the whole store; all operations of one transaction share one.
 * Source: etcd api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto.
 *
 * Errors: NetworkError `unavailable` (not reachable, no leader, deadline, disk full), `invalid` (refused
 * request, future revision), `conflict` (revision compacted), `not-found` (lease), `forbidden` (the
 * certificate may not write this key), `unauthenticated`. `details.reason` names a refusal (reasons.ts).
 */

export interface KeyValue {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  /** Number of changes since the key was created; 1 after creation. */
  readonly version: number
  /** Lease id, '0' when the key hangs on none. */
  readonly lease: string
}

/** One key; or all keys with a prefix; or the half-open interval [from, to). */
export type KeyRange =
  | { readonly key: string }
  | { readonly prefix: string }
  | { readonly from: string; readonly to: string }

export interface RangeOptions {
  readonly limit?: number
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
  /** Read the state as it was at this revision. */
  readonly revision?: number
}

export interface RangeResult {
  /** Revision of the store at the time of the answer. */
  readonly revision: number
  readonly items: readonly KeyValue[]
  /** Number of keys in the range, whatever the limit. */
  readonly count: number
  readonly more: boolean
}

/**
 * A condition on a key, or on every key of a range. An empty range, like an absent key, counts as one key
 * whose numbers are all 0 and whose value equals nothing; so "is nothing there" is asked by
 * `{ range, target: 'createRevision', is: '=', value: 0 }`.
 */
export interface Compare {
  readonly range: KeyRange
  readonly target: 'createRevision' | 'modRevision' | 'version' | 'value' | 'lease'
  readonly is: '=' | '!=' | '<' | '>'
  readonly value: number | string
}

export type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly kind: 'delete'; readonly range: KeyRange }
  | { readonly kind: 'range'; readonly range: KeyRange; readonly options?: RangeOptions }

export interface Transaction {
  readonly compare?: readonly Compare[]
  readonly success: readonly Operation[]
  readonly failure?: readonly Operation[]
}

export type OperationResult =
  | { readonly kind: 'put' }
  | { readonly kind: 'delete'; readonly deleted: number }
  | ({ readonly kind: 'range' } & RangeResult)

export interface TransactionResult {
  /** True when every comparison held and `success` was carried out. */
  readonly succeeded: boolean
  readonly revision: number
  /** One entry per operation, in order. */
  readonly results: readonly OperationResult[]
}

export type WatchEvent =
  | { readonly kind: 'put'; readonly item: KeyValue }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: number }

/**
 * What a watch yields: the events of one revision, whole and in order; or `progress`, a revision up to
 * which everything has been told; or `compacted`, after which the watch ends and the caller lists again.
 */
export type WatchBatch =
  | { readonly kind: 'events'; readonly revision: number; readonly events: readonly WatchEvent[] }
  | { readonly kind: 'progress'; readonly revision: number }
  | { readonly kind: 'compacted'; readonly compactRevision: number }

export interface WatchOptions {
  readonly range: KeyRange
  /** First revision of interest, inclusive; absent: after the revision the first batch, a progress, names. */
  readonly fromRevision?: number
  readonly signal: AbortSignal
}

export interface Lease {
  readonly id: string
  readonly ttlSeconds: number
}

export interface Store extends AsyncDisposable {
  range(range: KeyRange, options?: RangeOptions): Promise<RangeResult>
  txn(transaction: Transaction): Promise<TransactionResult>
  /** Ends by throwing the signal's reason, or NetworkError `unavailable` when the stream breaks. */
  watch(options: WatchOptions): AsyncIterable<WatchBatch>
  grantLease(ttlSeconds: number): Promise<Lease>
  /** Extends the lease once; the remaining seconds, or undefined when it has ended. */
  keepAlive(id: string): Promise<number | undefined>
  revokeLease(id: string): Promise<void>
  /** Forgets history below `revision`. */
  compact(revision: number): Promise<void>
}
