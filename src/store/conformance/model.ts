/**
 * The store in a few lines, for properties: maps and arrays, every revision kept whole. What it answers is
 * what every store has to answer.
 */

import { NetworkError } from '../../lib/errors.ts'
import { compareBytes, contains, intervalOf, toBytes } from '../interval.ts'
import type {
  Compare,
  KeyRange,
  KeyValue,
  Operation,
  OperationResult,
  Transaction,
  TransactionResult,
  WatchEvent,
} from '../store.ts'

type State = ReadonlyMap<string, KeyValue>

export class ModelStore {
  readonly #states: State[]
  readonly #firstRevision: number
  readonly commits: { readonly revision: number; readonly events: readonly WatchEvent[] }[] = []

  /** An empty store whose next change gets `revision + 1`. */
  constructor(revision: number) {
    this.#firstRevision = revision
    this.#states = [new Map()]
  }

  get revision(): number {
    return this.#firstRevision + this.#states.length - 1
  }

  items(range: KeyRange, revision = this.revision): readonly KeyValue[] {
    const state = this.#states[revision - this.#firstRevision] ?? new Map<string, KeyValue>()
    return within(state, range)
  }

  txn({ compare = [], success, failure = [] }: Transaction): TransactionResult {
    checkTwice(success)
    checkTwice(failure)
    const now = new Map(this.#states.at(-1))
    const succeeded = compare.every((one) => holds(now, one))
    const next = this.revision + 1
    const events: WatchEvent[] = []
    const done = (succeeded ? success : failure).map((one) => apply(now, one, next, events))
    if (events.length > 0) {
      this.#states.push(now)
      this.commits.push({ revision: next, events })
    }
    const { revision } = this
    const results = done.map((one): OperationResult => {
      return one.kind === 'range' ? { ...one, revision } : one
    })
    return { succeeded, revision, results }
  }
}

function within(state: State, range: KeyRange): readonly KeyValue[] {
  const interval = intervalOf(range)
  return [...state.values()]
    .filter((item) => contains(interval, toBytes(item.key)))
    .sort((a, b) => compareBytes(toBytes(a.key), toBytes(b.key)))
}

function apply(
  state: Map<string, KeyValue>,
  operation: Operation,
  revision: number,
  events: WatchEvent[],
): OperationResult {
  switch (operation.kind) {
    case 'put': {
      const { key, value } = operation
      const before = state.get(key)
      const item: KeyValue = {
        key,
        value,
        createRevision: before?.createRevision ?? revision,
        modRevision: revision,
        version: (before?.version ?? 0) + 1,
        lease: '0',
      }
      state.set(key, item)
      events.push({ kind: 'put', item })
      return { kind: 'put' }
    }
    case 'delete': {
      const gone = within(state, operation.range)
      for (const { key } of gone) {
        state.delete(key)
        events.push({ kind: 'delete', key, modRevision: revision })
      }
      return { kind: 'delete', deleted: gone.length }
    }
    case 'range': {
      const items = within(state, operation.range)
      return { kind: 'range', revision, items, count: items.length, more: false }
    }
  }
}

function checkTwice(operations: readonly Operation[]): void {
  for (const [at, one] of operations.entries()) {
    if (one.kind !== 'put') continue
    for (const [other, two] of operations.entries()) {
      const again = two.kind === 'put' && other !== at && two.key === one.key
      const deleted = two.kind === 'delete' && contains(intervalOf(two.range), toBytes(one.key))
      if (again || deleted) throw new NetworkError('invalid', `"${one.key}" is changed twice`)
    }
  }
}

function holds(state: State, compare: Compare): boolean {
  const items = within(state, compare.range)
  if (items.length === 0) {
    if (compare.target === 'value') return false
    return orderHolds(0 - Number(compare.value), compare.is)
  }
  return items.every((item) => {
    const order =
      compare.target === 'value'
        ? compareBytes(toBytes(item.value), toBytes(String(compare.value)))
        : Number(item[compare.target]) - Number(compare.value)
    return orderHolds(order, compare.is)
  })
}

function orderHolds(order: number, is: Compare['is']): boolean {
  if (is === '=') return order === 0
  if (is === '!=') return order !== 0
  return is === '<' ? order < 0 : order > 0
}
