/**
 * A store in memory with etcd's semantics, for tests: revisions and history, transactions with comparisons
 * over ranges, watches, leases by a clock that is handed in. One MemoryCluster is the store; each client
 * of it is a handle that can be cut off, made deaf to events or robbed of its answers, and the whole can be
 * put back to an earlier snapshot, as a store restored from a backup would be.
 * Source of the semantics: etcd server/etcdserver/apply.go, server/mvcc; api/etcdserverpb/rpc.proto.
 */

import { NetworkError } from '../lib/errors.ts'
import { checkRange, checkTransaction } from './limits.ts'
import { History, type HistorySnapshot, inRange } from './memory-history.ts'
import { refusal } from './reasons.ts'
import type {
  Compare,
  KeyValue,
  Lease,
  Operation,
  OperationResult,
  Store,
  Transaction,
  TransactionResult,
  WatchBatch,
  WatchOptions,
} from './store.ts'

interface LeaseState {
  readonly ttlSeconds: number
  readonly endsAtMs: number
}

export interface MemorySnapshot {
  readonly history: HistorySnapshot
  readonly leases: ReadonlyMap<string, LeaseState>
}

export interface MemoryClusterOptions {
  /** Milliseconds; leases end by it. Default: a clock that stands still. */
  readonly now?: () => number
}

/** What the tests can do to one client's connection. */
interface Connection {
  cut: boolean
  /** Revisions its watches pass over in silence, both ends inclusive. */
  readonly deaf: { readonly from: number; to: number }[]
  answersToLose: number
  /** Raised when every open watch of the client must break. */
  generation: number
}

/** The store itself, with the controls a test needs. */
export class MemoryCluster {
  readonly #now: () => number
  readonly #connections = new Map<Store, Connection>()
  readonly #waiters = new Set<() => void>()
  #history = new History()
  #leases = new Map<string, LeaseState>()
  #lastLease = 0
  #progressAsked = 0

  constructor(options: MemoryClusterOptions = {}) {
    this.#now = options.now ?? (() => 0)
  }

  get revision(): number {
    return this.#history.revision
  }

  /** A new handle, connected. */
  client(): Store {
    const connection: Connection = { cut: false, deaf: [], answersToLose: 0, generation: 0 }
    const call = <T>(work: () => T): Promise<T> => this.#call(connection, work)
    const store: Store = {
      range: (range, options) => {
        return call(() => {
          checkRange(range)
          return this.#history.range(range, options)
        })
      },
      txn: (transaction) => call(() => this.#txn(transaction)),
      watch: (options) => this.#watch(connection, options),
      grantLease: (ttlSeconds) => call(() => this.#grant(ttlSeconds)),
      keepAlive: (id) => call(() => this.#keepAlive(id)),
      revokeLease: (id) => call(() => this.#revoke(id)),
      compact: (revision) => call(() => this.#compact(revision)),
      [Symbol.asyncDispose]: async () => this.cut(store),
    }
    this.#connections.set(store, connection)
    return store
  }

  /** From now on every call of the client fails with `unavailable` and its watches break. */
  cut(client: Store): void {
    const connection = this.#connectionOf(client)
    connection.cut = true
    connection.generation++
    this.#wake()
  }

  heal(client: Store): void {
    this.#connectionOf(client).cut = false
  }

  /** The client's watches stay open and lose every event until `hear`. */
  deafen(client: Store): void {
    this.#connectionOf(client).deaf.push({ from: this.revision + 1, to: Number.POSITIVE_INFINITY })
  }

  hear(client: Store): void {
    const last = this.#connectionOf(client).deaf.at(-1)
    if (last !== undefined) last.to = Math.min(last.to, this.revision)
  }

  /** The next `count` calls are carried out, but the client gets `unavailable` instead of the answer. */
  loseAnswers(client: Store, count: number): void {
    this.#connectionOf(client).answersToLose = count
  }

  /** Every open watch tells how far it is. */
  progress(): void {
    this.#progressAsked++
    this.#wake()
  }

  /** Ends the leases whose time is over; calls do so too before they begin. */
  tick(): void {
    for (const [id, lease] of [...this.#leases]) {
      if (lease.endsAtMs <= this.#now()) this.#endLease(id)
    }
  }

  snapshot(): MemorySnapshot {
    return { history: this.#history.snapshot(), leases: new Map(this.#leases) }
  }

  /** The store is what it was at the snapshot; all watches break; leases begin anew, as in etcd. */
  restore(snapshot: MemorySnapshot): void {
    this.#history = new History(snapshot.history)
    this.#leases = new Map()
    for (const [id, { ttlSeconds }] of snapshot.leases) {
      this.#leases.set(id, { ttlSeconds, endsAtMs: this.#now() + ttlSeconds * 1000 })
    }
    for (const connection of this.#connections.values()) connection.generation++
    this.#wake()
  }

  #connectionOf(client: Store): Connection {
    const connection = this.#connections.get(client)
    if (connection === undefined) throw new Error('not a client of this memory cluster')
    return connection
  }

  async #call<T>(connection: Connection, work: () => T): Promise<T> {
    if (connection.cut) throw unreachable()
    this.tick()
    const answer = work()
    if (connection.answersToLose > 0) {
      connection.answersToLose--
      throw unreachable()
    }
    return answer
  }

  #txn(transaction: Transaction): TransactionResult {
    checkTransaction(transaction)
    for (const operations of [transaction.success, transaction.failure ?? []])
      this.#check(operations)
    const succeeded = (transaction.compare ?? []).every((compare) => this.#holds(compare))
    const operations = succeeded ? transaction.success : (transaction.failure ?? [])
    const change = this.#history.begin()
    const results = operations.map((operation): OperationResult => {
      if (operation.kind === 'put') {
        change.put(operation.key, operation.value, operation.lease ?? '0')
        return { kind: 'put' }
      }
      if (operation.kind === 'delete') {
        return { kind: 'delete', deleted: change.delete(operation.range) }
      }
      return { kind: 'range', ...this.#history.range(operation.range, operation.options) }
    })
    if (change.commit()) this.#wake()
    const { revision } = this.#history
    return { succeeded, revision, results: results.map((result) => atRevision(result, revision)) }
  }

  /** What must be refused before anything is written. */
  #check(operations: readonly Operation[]): void {
    const written = new Set<string>()
    for (const operation of operations) {
      if (operation.kind === 'range') {
        this.#history.range(operation.range, { ...operation.options, countOnly: true })
      }
      if (operation.kind !== 'put') continue
      const { key, lease = '0' } = operation
      if (lease !== '0' && !this.#leases.has(lease)) {
        throw refusal('lease-not-found', `Cannot put "${key}" on lease ${lease}: no such lease`)
      }
      if (written.has(key) || operations.some(deletes(key))) {
        throw refusal('duplicate-key', `Cannot change "${key}" twice in one transaction`)
      }
      written.add(key)
    }
  }

  #holds(compare: Compare): boolean {
    const { items } = this.#history.range(compare.range)
    // an absent key compares as one of zeros, and its value as different from everything
    if (items.length === 0) return compare.target !== 'value' && compareHolds(ABSENT, compare)
    return items.every((item) => compareHolds(item, compare))
  }

  #grant(ttlSeconds: number): Lease {
    const id = String(++this.#lastLease)
    this.#leases.set(id, { ttlSeconds, endsAtMs: this.#now() + ttlSeconds * 1000 })
    return { id, ttlSeconds }
  }

  #keepAlive(id: string): number | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    this.#leases.set(id, { ...lease, endsAtMs: this.#now() + lease.ttlSeconds * 1000 })
    return lease.ttlSeconds
  }

  #revoke(id: string): void {
    if (!this.#leases.has(id)) {
      throw refusal('lease-not-found', `Cannot revoke lease ${id}: no such lease`)
    }
    this.#endLease(id)
  }

  #endLease(id: string): void {
    if (!this.#leases.delete(id)) return
    const change = this.#history.begin()
    for (const key of this.#history.keysOfLease(id)) change.delete({ key })
    if (change.commit()) this.#wake()
  }

  #compact(revision: number): void {
    this.#history.compact(revision)
    this.#wake()
  }

  #watch(connection: Connection, options: WatchOptions): AsyncIterable<WatchBatch> {
    return this.#batches(connection, connection.generation, this.revision, options)
  }

  async *#batches(
    connection: Connection,
    generation: number,
    now: number,
    { range, fromRevision, signal }: WatchOptions,
  ): AsyncGenerator<WatchBatch> {
    let next = fromRevision ?? now + 1
    let progressTold = this.#progressAsked
    let woken = Promise.withResolvers<void>()
    const wake = (): void => woken.resolve()
    this.#waiters.add(wake)
    signal.addEventListener('abort', wake)
    try {
      if (fromRevision === undefined) yield { kind: 'progress', revision: now }
      for (;;) {
        signal.throwIfAborted()
        if (connection.cut || connection.generation !== generation) throw unreachable()
        const { compactRevision } = this.#history
        if (next < compactRevision) {
          yield { kind: 'compacted', compactRevision }
          return
        }
        if (next <= this.#history.revision) {
          const revision = next++
          const events = this.#history
            .eventsOf(revision)
            .filter((event) => inRange(event.kind === 'put' ? event.item.key : event.key, range))
          const deaf = connection.deaf.some(({ from, to }) => from <= revision && revision <= to)
          if (events.length > 0 && !deaf) yield { kind: 'events', revision, events }
        } else if (progressTold !== this.#progressAsked) {
          progressTold = this.#progressAsked
          yield { kind: 'progress', revision: this.#history.revision }
        } else {
          await woken.promise
          woken = Promise.withResolvers<void>()
        }
      }
    } finally {
      this.#waiters.delete(wake)
      signal.removeEventListener('abort', wake)
    }
  }

  #wake(): void {
    for (const wake of this.#waiters) wake()
  }
}

const ABSENT: KeyValue = {
  key: '',
  value: '',
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: '0',
}

/** What a transaction reads carries the transaction's own revision. */
function atRevision(result: OperationResult, revision: number): OperationResult {
  return result.kind === 'range' ? { ...result, revision } : result
}

function compareHolds(item: KeyValue, { target, is, value }: Compare): boolean {
  const [have, want] =
    target === 'value' ? [item.value, String(value)] : [Number(item[target]), Number(value)]
  if (is === '=') return have === want
  if (is === '!=') return have !== want
  return is === '<' ? have < want : have > want
}

function deletes(key: string): (operation: Operation) => boolean {
  return (operation) => operation.kind === 'delete' && inRange(key, operation.range)
}

function unreachable(): NetworkError {
  return new NetworkError('unavailable', 'Cannot reach the store: cut off')
}
