/**
 * The words of the embedded engine: entries with their revisions, queries, conditions, batches, events.
 * They say what etcd's KV service says, with numbers instead of 64-bit messages and bytes for keys.
 */

import type { Interval } from '../interval.ts'

/** One key as it stands at some revision. */
export interface Entry {
  readonly key: Uint8Array
  /** Empty when only keys were asked for. */
  readonly value: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  /** Lease id in decimal, '0' for none. */
  readonly lease: string
}

export type SortTarget = 'key' | 'version' | 'createRevision' | 'modRevision' | 'value'

export interface RangeQuery {
  readonly interval: Interval
  /** 0 or absent: all. */
  readonly limit?: number
  /** 0 or absent: now. */
  readonly revision?: number
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
  readonly sort?: { readonly by: SortTarget; readonly descending: boolean }
  readonly minModRevision?: number
  readonly maxModRevision?: number
  readonly minCreateRevision?: number
  readonly maxCreateRevision?: number
}

export interface RangeAnswer {
  readonly entries: readonly Entry[]
  /** All keys of the interval, whatever the limit and the filters. */
  readonly count: number
  readonly more: boolean
}

interface ConditionBase {
  readonly interval: Interval
  readonly is: '=' | '!=' | '<' | '>'
}
export type Condition = ConditionBase &
  (
    | { readonly target: 'createRevision' | 'modRevision' | 'version'; readonly value: number }
    | { readonly target: 'lease'; readonly value: string }
    | { readonly target: 'value'; readonly value: Uint8Array }
  )

export interface PutStep {
  readonly kind: 'put'
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: string
  /** Answer with what stood there before. */
  readonly previous?: boolean
  readonly ignoreValue?: boolean
  readonly ignoreLease?: boolean
}

export interface DeleteStep {
  readonly kind: 'delete'
  readonly interval: Interval
  readonly previous?: boolean
}

export type Step =
  | { readonly kind: 'range'; readonly query: RangeQuery }
  | PutStep
  | DeleteStep
  | { readonly kind: 'batch'; readonly batch: Batch }

export interface Batch {
  readonly conditions: readonly Condition[]
  readonly success: readonly Step[]
  readonly failure: readonly Step[]
}

export type StepAnswer =
  | ({ readonly kind: 'range' } & RangeAnswer)
  | { readonly kind: 'put'; readonly previous: Entry | undefined }
  | { readonly kind: 'delete'; readonly deleted: number; readonly previous: readonly Entry[] }
  | { readonly kind: 'batch'; readonly answer: BatchAnswer }

export interface BatchAnswer {
  readonly succeeded: boolean
  readonly answers: readonly StepAnswer[]
}

export type Revised<T> = T & { readonly revision: number }

/** One change of one key. A delete carries the key and its revision only. */
export interface Change {
  readonly kind: 'put' | 'delete'
  readonly entry: Entry
  /** What stood there before; undefined for a new key, or when it has been compacted. */
  readonly previous: Entry | undefined
}

/** All changes of one revision, in the order of the operations that made them. */
export interface Commit {
  readonly revision: number
  readonly changes: readonly Change[]
}

/** Says whether the caller may change this key; asked inside the transaction, for each key concerned. */
export type Guard = (key: Uint8Array) => boolean
