/**
 * The embedded store as the program uses it: the engine in this process, with text for bytes. One machine
 * needs nothing else; the same engine can be served to others.
 */

import { NetworkError } from '../../lib/errors.ts'
import { intervalOf, toBytes, toText } from '../interval.ts'
import { checkRange, checkTransaction } from '../limits.ts'
import type {
  Compare,
  KeyRange,
  KeyValue,
  Lease,
  Operation,
  OperationResult,
  RangeOptions,
  RangeResult,
  Store,
  Transaction,
  TransactionResult,
  WatchBatch,
  WatchEvent,
  WatchOptions,
} from '../store.ts'
import { Engine, type EngineOptions } from './engine.ts'
import type { Change, Condition, Entry, RangeQuery, Step, StepAnswer } from './mvcc.ts'

export interface EmbeddedStore extends Store {
  /** The engine behind it, to be served. */
  readonly engine: Engine
}

/**
 * Opens the store in this file, or makes a new one. Errors: `conflict` (damaged, foreign, or held by
 * another process), `unsupported` (made by a newer version), `unavailable` (disk).
 */
export function openEmbeddedStore(options: EngineOptions): EmbeddedStore {
  return new InProcessStore(new Engine(options))
}

class InProcessStore implements EmbeddedStore {
  readonly engine: Engine

  constructor(engine: Engine) {
    this.engine = engine
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<RangeResult> {
    checkRange(range)
    const answer = this.engine.range(queryOf(range, options))
    return resultOf(answer, answer.revision)
  }

  async txn(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction)
    const { succeeded, revision, answers } = await this.engine.txn({
      conditions: (transaction.compare ?? []).map(conditionOf),
      success: transaction.success.map(stepOf),
      failure: (transaction.failure ?? []).map(stepOf),
    })
    return {
      succeeded,
      revision,
      results: answers.map((answer) => operationResult(answer, revision)),
    }
  }

  async *watch(options: WatchOptions): AsyncIterable<WatchBatch> {
    const { signal, fromRevision } = options
    checkRange(options.range)
    signal.throwIfAborted()
    const from = fromRevision === undefined ? {} : { fromRevision }
    using watcher = this.engine.watch({ interval: intervalOf(options.range), ...from })
    const close = (): void => watcher[Symbol.dispose]()
    signal.addEventListener('abort', close, { once: true })
    try {
      if (fromRevision === undefined) yield { kind: 'progress', revision: watcher.next - 1 }
      for (;;) {
        const news = await watcher.pull()
        signal.throwIfAborted()
        if (news === undefined) {
          throw new NetworkError('unavailable', 'Cannot watch: the store is closed')
        }
        if (news.kind === 'compacted') {
          yield { kind: 'compacted', compactRevision: news.compactRevision }
          return
        }
        yield { kind: 'events', revision: news.revision, events: news.changes.map(eventOf) }
      }
    } finally {
      signal.removeEventListener('abort', close)
    }
  }

  async grantLease(ttlSeconds: number): Promise<Lease> {
    return this.engine.leases.grant(ttlSeconds, '0')
  }

  async keepAlive(id: string): Promise<number | undefined> {
    return this.engine.leases.keepAlive(id)
  }

  revokeLease(id: string): Promise<void> {
    return this.engine.leases.revoke(id)
  }

  compact(revision: number): Promise<void> {
    return this.engine.compact(revision)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.engine[Symbol.dispose]()
  }
}

function queryOf(range: KeyRange, options: RangeOptions): RangeQuery {
  return { interval: intervalOf(range), ...options }
}

function conditionOf(compare: Compare): Condition {
  const base = { interval: intervalOf(compare.range), is: compare.is }
  switch (compare.target) {
    case 'value':
      return { ...base, target: 'value', value: toBytes(String(compare.value)) }
    case 'lease':
      return { ...base, target: 'lease', value: String(compare.value) }
    default:
      return { ...base, target: compare.target, value: Number(compare.value) }
  }
}

function stepOf(operation: Operation): Step {
  switch (operation.kind) {
    case 'range':
      return { kind: 'range', query: queryOf(operation.range, operation.options ?? {}) }
    case 'delete':
      return { kind: 'delete', interval: intervalOf(operation.range) }
    case 'put': {
      const { key, value, lease = '0' } = operation
      return { kind: 'put', key: toBytes(key), value: toBytes(value), lease }
    }
  }
}

function operationResult(answer: StepAnswer, revision: number): OperationResult {
  switch (answer.kind) {
    case 'put':
      return { kind: 'put' }
    case 'delete':
      return { kind: 'delete', deleted: answer.deleted }
    case 'range':
      return { kind: 'range', ...resultOf(answer, revision) }
    case 'batch':
      throw new Error('A nested batch was answered that nobody asked for')
  }
}

function resultOf(
  answer: { readonly entries: readonly Entry[]; readonly count: number; readonly more: boolean },
  revision: number,
): RangeResult {
  return { revision, items: answer.entries.map(itemOf), count: answer.count, more: answer.more }
}

function itemOf(entry: Entry): KeyValue {
  return { ...entry, key: toText(entry.key), value: toText(entry.value) }
}

function eventOf(change: Change): WatchEvent {
  const { kind, entry } = change
  if (kind === 'put') return { kind, item: itemOf(entry) }
  return { kind, key: toText(entry.key), modRevision: entry.modRevision }
}
