/**
 * One transaction: its form is checked (bounds, no key changed twice), its conditions choose a path through
 * nested batches on the state before it, the path is checked whole, and only then carried out. So a refused
 * batch has changed nothing, and several batches may share one commit of the database.
 */

import { compareBytes, contains, type Interval, singleKey } from '../interval.ts'
import { refusal } from '../reasons.ts'
import type { Database } from './database.ts'
import type {
  Batch,
  BatchAnswer,
  Change,
  Condition,
  DeleteStep,
  Entry,
  Guard,
  PutStep,
  RangeAnswer,
  RangeQuery,
  Step,
  StepAnswer,
} from './mvcc.ts'
import { rangeRecords, standingRecord, writeChange } from './records.ts'

/** Most conditions, and most operations of one branch. etcd --max-txn-ops */
export const MAX_OPERATIONS = 128

/** Where a batch runs: the database inside a transaction, and the revision its changes will get. */
export interface BatchScope {
  readonly db: Database
  readonly revision: number
  readonly compactRevision: number
  readonly guard: Guard | undefined
  /** Changes made so far; the batch adds to them. */
  readonly changes: Change[]
}

/** Carries a batch out, or throws with nothing changed. */
export function runBatch(scope: BatchScope, batch: Batch): BatchAnswer {
  checkForm(batch)
  const path = choosePath(scope.db, batch)
  checkPath(scope, path)
  return follow(scope, path)
}

/** Refuses a revision that is forgotten or not yet there. */
export function checkRevision(
  revision: number | undefined,
  state: { readonly revision: number; readonly compactRevision: number },
): void {
  if (revision === undefined || revision <= 0) return
  if (revision > state.revision) {
    throw refusal(
      'future-revision',
      `Cannot read revision ${revision}: the store is at ${state.revision}`,
    )
  }
  if (revision < state.compactRevision) {
    throw refusal(
      'compacted',
      `Cannot read revision ${revision}: compacted up to ${state.compactRevision}`,
      { details: { compactRevision: state.compactRevision } },
    )
  }
}

/** The steps that will run, with the branches of nested batches already chosen. */
type PathStep = Exclude<Step, { kind: 'batch' }> | { readonly kind: 'batch'; readonly path: Path }
interface Path {
  readonly succeeded: boolean
  readonly steps: readonly PathStep[]
}

interface Touched {
  readonly puts: Uint8Array[]
  readonly deletes: Interval[]
}

function checkForm(batch: Batch): void {
  const most = Math.max(batch.conditions.length, batch.success.length, batch.failure.length)
  if (most > MAX_OPERATIONS) {
    throw refusal(
      'too-many-operations',
      `Cannot carry out a transaction with ${most} operations: at most ${MAX_OPERATIONS} are allowed`,
    )
  }
  for (const condition of batch.conditions) checkKey(condition.interval.from)
  touchedBy(batch.success)
  touchedBy(batch.failure)
}

/** The keys one branch changes; a key may be changed once, however deep the branch nests. */
function touchedBy(steps: readonly Step[]): Touched {
  const all: Touched = { puts: [], deletes: [] }
  for (const step of steps) {
    const own = touchedByStep(step)
    for (const key of own.puts) {
      const twice =
        all.puts.some((other) => compareBytes(other, key) === 0) ||
        all.deletes.some((interval) => contains(interval, key))
      if (twice) throw duplicate(key)
    }
    for (const interval of own.deletes) {
      const put = all.puts.find((key) => contains(interval, key))
      if (put !== undefined) throw duplicate(put)
    }
    all.puts.push(...own.puts)
    all.deletes.push(...own.deletes)
  }
  return all
}

function touchedByStep(step: Step): Touched {
  switch (step.kind) {
    case 'range':
      checkKey(step.query.interval.from)
      return { puts: [], deletes: [] }
    case 'put':
      checkPut(step)
      return { puts: [step.key], deletes: [] }
    case 'delete':
      checkKey(step.interval.from)
      return { puts: [], deletes: [step.interval] }
    case 'batch': {
      checkForm(step.batch)
      const success = touchedBy(step.batch.success)
      const failure = touchedBy(step.batch.failure)
      return {
        puts: [...success.puts, ...failure.puts],
        deletes: [...success.deletes, ...failure.deletes],
      }
    }
  }
}

function checkKey(key: Uint8Array): void {
  if (key.length === 0)
    throw refusal('empty-key', 'Cannot use an empty key: a key has a byte or more')
}

function checkPut(step: PutStep): void {
  checkKey(step.key)
  if (step.ignoreValue === true && step.value.length > 0) {
    throw refusal('value-given', 'Cannot keep the value of a key: a value is given as well')
  }
  if (step.ignoreLease === true && step.lease !== '0') {
    throw refusal('lease-given', 'Cannot keep the lease of a key: a lease is given as well')
  }
}

function duplicate(key: Uint8Array): Error {
  const text = Buffer.from(key).toString()
  return refusal('duplicate-key', `Cannot change "${text}" twice in one transaction`)
}

function choosePath(db: Database, batch: Batch): Path {
  const succeeded = batch.conditions.every((condition) => holds(db, condition))
  const steps = (succeeded ? batch.success : batch.failure).map((step): PathStep => {
    if (step.kind !== 'batch') return step
    return { kind: 'batch', path: choosePath(db, step.batch) }
  })
  return { succeeded, steps }
}

/**
 * A condition holds when it holds for every key of its interval; with no key there, when it holds for a
 * key that was never made (all numbers 0), which no condition on a value does. etcd applyCompare()
 */
function holds(db: Database, condition: Condition): boolean {
  const keysOnly = condition.target !== 'value'
  const absentOnly = condition.target === 'createRevision' && condition.value === 0
  const limit = absentOnly && condition.is === '=' ? 1 : 0
  const query = { interval: condition.interval, keysOnly, limit }
  const { entries } = rangeRecords(db, query, undefined)
  if (entries.length > 0) return entries.every((entry) => entryHolds(entry, condition))
  return condition.target !== 'value' && entryHolds(NEVER_MADE, condition)
}

const NEVER_MADE: Entry = {
  key: new Uint8Array(0),
  value: new Uint8Array(0),
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: '0',
}

function entryHolds(entry: Entry, condition: Condition): boolean {
  const order = orderOf(entry, condition)
  switch (condition.is) {
    case '=':
      return order === 0
    case '!=':
      return order !== 0
    case '<':
      return order < 0
    case '>':
      return order > 0
  }
}

function orderOf(entry: Entry, condition: Condition): number {
  switch (condition.target) {
    case 'value':
      return compareBytes(entry.value, condition.value)
    case 'lease': {
      const difference = BigInt(entry.lease) - BigInt(condition.value)
      return difference < 0n ? -1 : difference > 0n ? 1 : 0
    }
    default:
      return entry[condition.target] - condition.value
  }
}

function checkPath(scope: BatchScope, path: Path): void {
  for (const step of path.steps) {
    switch (step.kind) {
      case 'range':
        checkRevision(step.query.revision, { ...scope, revision: scope.revision - 1 })
        break
      case 'put':
        checkPutNow(scope, step)
        break
      case 'delete':
        checkDeleteNow(scope, step)
        break
      case 'batch':
        checkPath(scope, step.path)
        break
    }
  }
}

function checkPutNow(scope: BatchScope, step: PutStep): void {
  checkAllowed(scope.guard, step.key)
  const keeps = step.ignoreValue === true || step.ignoreLease === true
  if (keeps && standingRecord(scope.db, step.key) === undefined) {
    throw refusal('key-not-found', 'Cannot keep the value or lease of a key: there is no such key')
  }
  if (step.lease !== '0' && !leaseExists(scope.db, step.lease)) {
    throw refusal('lease-not-found', `Cannot put a key on lease ${step.lease}: no such lease`)
  }
}

function checkDeleteNow(scope: BatchScope, step: DeleteStep): void {
  if (scope.guard === undefined) return
  const query = { interval: step.interval, keysOnly: true }
  const { entries } = rangeRecords(scope.db, query, undefined)
  for (const entry of entries) checkAllowed(scope.guard, entry.key)
}

/** Refuses a key the guard does not allow. */
export function checkAllowed(guard: Guard | undefined, key: Uint8Array): void {
  if (guard === undefined || guard(key)) return
  const text = Buffer.from(key).toString()
  throw refusal('permission-denied', `Cannot change "${text}": it is not this member's to write`)
}

/** True when the lease was granted and not yet revoked; read inside the transaction. */
export function leaseExists(db: Database, id: string): boolean {
  return db.get('SELECT 1 FROM lease WHERE id = ?', id) !== undefined
}

function follow(scope: BatchScope, path: Path): BatchAnswer {
  return {
    succeeded: path.succeeded,
    answers: path.steps.map((step) => followStep(scope, step)),
  }
}

function followStep(scope: BatchScope, step: PathStep): StepAnswer {
  switch (step.kind) {
    case 'range':
      return { kind: 'range', ...rangeInside(scope, step.query) }
    case 'put':
      return { kind: 'put', previous: put(scope, step) }
    case 'delete': {
      const gone = deleteInterval(scope, step.interval)
      return { kind: 'delete', deleted: gone.length, previous: step.previous ? gone : [] }
    }
    case 'batch':
      return { kind: 'batch', answer: follow(scope, step.path) }
  }
}

/** A read inside a batch sees what the batch has changed before it. */
function rangeInside(scope: BatchScope, query: RangeQuery): RangeAnswer {
  const revision = query.revision !== undefined && query.revision > 0 ? query.revision : undefined
  return rangeRecords(scope.db, query, revision)
}

function put(scope: BatchScope, step: PutStep): Entry | undefined {
  const previous = standingRecord(scope.db, step.key)
  const entry: Entry = {
    key: step.key,
    value: step.ignoreValue === true ? (previous?.value ?? step.value) : step.value,
    createRevision: previous?.createRevision ?? scope.revision,
    modRevision: scope.revision,
    version: (previous?.version ?? 0) + 1,
    lease: step.ignoreLease === true ? (previous?.lease ?? '0') : step.lease,
  }
  record(scope, { kind: 'put', entry, previous })
  return step.previous === true ? previous : undefined
}

/** Deletes all standing keys of the interval and returns them as they stood. */
function deleteInterval(scope: BatchScope, interval: Interval): readonly Entry[] {
  const { entries } = rangeRecords(scope.db, { interval }, undefined)
  for (const previous of entries) deleteEntry(scope, previous)
  return entries
}

/** Deletes one key if it stands; for leases, whose keys are named one by one. */
export function deleteKey(scope: BatchScope, key: Uint8Array): void {
  deleteInterval(scope, singleKey(key))
}

function deleteEntry(scope: BatchScope, previous: Entry): void {
  const entry: Entry = { ...NEVER_MADE, key: previous.key, modRevision: scope.revision }
  record(scope, { kind: 'delete', entry, previous })
}

function record(scope: BatchScope, change: Change): void {
  writeChange(scope.db, change)
  scope.changes.push(change)
}
