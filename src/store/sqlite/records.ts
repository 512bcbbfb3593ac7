/**
 * The multi-version records in SQL. A put ends the standing row of its key and adds a new one; a delete
 * ends it and adds a tombstone that never stands. So the state at revision r are the rows with
 * revision <= r that had not ended by then, and the rows by revision are the history for watches.
 * Compaction to r removes what had ended by r; what stands at r, and the changes of r itself, stay.
 */

import type { Interval } from '../interval.ts'
import type { Database, SqlValue } from './database.ts'
import type { Change, Commit, Entry, RangeAnswer, RangeQuery, SortTarget } from './mvcc.ts'

type Row = Readonly<Record<string, unknown>>

const COLUMNS = 'key, created, revision, version, lease'
const SORT_COLUMNS: Readonly<Record<SortTarget, string>> = {
  key: 'key',
  version: 'version',
  createRevision: 'created',
  modRevision: 'revision',
  value: 'value',
}
const NO_BYTES = new Uint8Array(0)

/** A piece of a WHERE clause with its values. */
interface Clause {
  readonly sql: string
  readonly values: readonly SqlValue[]
}

/** Answers a range query at `revision`, which the caller has checked; `undefined` is the present. */
export function rangeRecords(
  db: Database,
  query: RangeQuery,
  revision: number | undefined,
): RangeAnswer {
  const scope = allOf(within(query.interval), standingAt(revision))
  const limit = query.limit ?? 0
  const filters = filtersOf(query)
  if (query.countOnly === true) return { entries: [], count: countRecords(db, scope), more: false }
  const where = allOf(scope, ...filters)
  const value = query.keysOnly === true ? '' : ', value'
  const sql = `SELECT ${COLUMNS}${value} FROM record WHERE ${where.sql} ORDER BY ${orderOf(query)}`
  const limited = limit > 0
  const rows = limited
    ? db.all(`${sql} LIMIT ?`, ...where.values, limit + 1)
    : db.all(sql, ...where.values)
  const more = limited && rows.length > limit
  const entries = (more ? rows.slice(0, limit) : rows).map(entryOf)
  const complete = !more && filters.length === 0
  return { entries, count: complete ? entries.length : countRecords(db, scope), more }
}

/** The entry that stands under this key now. */
export function standingRecord(db: Database, key: Uint8Array): Entry | undefined {
  const row = db.get(`SELECT ${COLUMNS}, value FROM record WHERE key = ? AND until = 0`, key)
  return row === undefined ? undefined : entryOf(row)
}

/** Keys that stand now and hang on this lease. */
export function keysOfLease(db: Database, lease: string): readonly Uint8Array[] {
  const sql = "SELECT key FROM record WHERE lease = ? AND lease <> '0' AND until = 0 ORDER BY key"
  return db.all(sql, lease).map((row) => bytes(row['key']))
}

/** Writes one change that belongs to `entry.modRevision`. */
export function writeChange(db: Database, change: Change): void {
  const { entry, kind } = change
  if (change.previous !== undefined) {
    db.run('UPDATE record SET until = ? WHERE key = ? AND until = 0', entry.modRevision, entry.key)
  }
  const gone = kind === 'delete'
  db.run(
    `INSERT INTO record (revision, until, key, created, version, lease, deleted, value)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    entry.modRevision,
    gone ? entry.modRevision : 0,
    entry.key,
    entry.createRevision,
    entry.version,
    entry.lease,
    gone ? 1 : 0,
    entry.value,
  )
}

/**
 * The commits from `first` to `last` that touch the interval, whole and in order, but not many more than
 * `limit` changes of them; `through` is the revision up to which the answer is complete.
 */
export function readHistory(
  db: Database,
  interval: Interval,
  first: number,
  last: number,
  limit: number,
): { readonly commits: readonly Commit[]; readonly through: number } {
  const where = allOf(within(interval), { sql: 'revision BETWEEN ? AND ?', values: [first, last] })
  const sql = `SELECT ${COLUMNS}, value, deleted FROM record INDEXED BY record_revision
    WHERE ${where.sql} ORDER BY revision, id`
  let rows = db.all(`${sql} LIMIT ?`, ...where.values, limit)
  let through = last
  if (rows.length === limit) {
    through = number(rows.at(-1)?.['revision'])
    rows = db.all(sql, ...where.values.slice(0, -2), first, through)
  }
  const commits: { revision: number; changes: Change[] }[] = []
  for (const row of rows) {
    const entry = entryOf(row)
    const revision = entry.modRevision
    const change: Change = {
      kind: row['deleted'] === 1 ? 'delete' : 'put',
      entry,
      previous: endedBy(db, entry.key, revision),
    }
    const current = commits.at(-1)
    if (current?.revision === revision) current.changes.push(change)
    else commits.push({ revision, changes: [change] })
  }
  return { commits, through }
}

/** Forgets what had ended by `revision`. */
export function compactRecords(db: Database, revision: number): void {
  db.run('DELETE FROM record WHERE until > 0 AND until <= ? AND revision < ?', revision, revision)
}

export function readMeta(db: Database, name: string): string | undefined {
  const value = db.get('SELECT value FROM meta WHERE name = ?', name)?.['value']
  return value === undefined ? undefined : String(value)
}

export function writeMeta(db: Database, name: string, value: string): void {
  db.run(
    'INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    name,
    value,
  )
}

function endedBy(db: Database, key: Uint8Array, revision: number): Entry | undefined {
  const row = db.get(
    `SELECT ${COLUMNS}, value FROM record WHERE key = ? AND until = ? AND deleted = 0`,
    key,
    revision,
  )
  return row === undefined ? undefined : entryOf(row)
}

function countRecords(db: Database, scope: Clause): number {
  return number(
    db.get(`SELECT count(*) AS n FROM record WHERE ${scope.sql}`, ...scope.values)?.['n'],
  )
}

function within(interval: Interval): Clause {
  return interval.to === undefined
    ? { sql: 'key >= ?', values: [interval.from] }
    : { sql: 'key >= ? AND key < ?', values: [interval.from, interval.to] }
}

function standingAt(revision: number | undefined): Clause {
  return revision === undefined
    ? { sql: 'until = 0', values: [] }
    : { sql: 'revision <= ? AND (until = 0 OR until > ?)', values: [revision, revision] }
}

function filtersOf(query: RangeQuery): readonly Clause[] {
  const bounds: readonly (readonly [string, number | undefined])[] = [
    ['revision >= ?', query.minModRevision],
    ['revision <= ?', query.maxModRevision],
    ['created >= ?', query.minCreateRevision],
    ['created <= ?', query.maxCreateRevision],
  ]
  return bounds.flatMap(([sql, bound]) =>
    bound === undefined || bound === 0 ? [] : [{ sql, values: [bound] }],
  )
}

function orderOf(query: RangeQuery): string {
  const { by, descending } = query.sort ?? { by: 'key', descending: false }
  const direction = descending ? ' DESC' : ''
  return by === 'key' ? `key${direction}` : `${SORT_COLUMNS[by]}${direction}, key`
}

function allOf(...clauses: readonly Clause[]): Clause {
  return {
    sql: clauses.map((clause) => clause.sql).join(' AND '),
    values: clauses.flatMap((clause) => clause.values),
  }
}

function entryOf(row: Row): Entry {
  return {
    key: bytes(row['key']),
    value: row['value'] === undefined ? NO_BYTES : bytes(row['value']),
    createRevision: number(row['created']),
    modRevision: number(row['revision']),
    version: number(row['version']),
    lease: String(row['lease']),
  }
}

function bytes(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : NO_BYTES
}

function number(value: unknown): number {
  return Number(value ?? 0)
}
