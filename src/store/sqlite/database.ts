/**
 * The SQLite file of the embedded store: made under another name and renamed, so that what is found under
 * its own name is always whole; examined before it is opened, so that a damaged, foreign or newer file is
 * refused and left as it is; locked, so that one process has it. A commit is on the disk when it returns.
 *
 * Error codes: `conflict` (damaged, foreign or held by another process), `unsupported` (newer schema),
 * `unavailable` (disk full, not permitted, failing).
 */

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { messageOf, NetworkError } from '../../lib/errors.ts'
import { refusal } from '../reasons.ts'

/** Raised when the tables change; an older program refuses the file then. */
export const SCHEMA = 1
/** Stands in the file's header so that no other program's database is mistaken for ours: "Crck". */
const APPLICATION_ID = 0x4372_636b

const TABLES = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  -- every change of every key; until is the revision that ended it, 0 while it stands
  CREATE TABLE record (
    id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, until INTEGER NOT NULL, key BLOB NOT NULL,
    created INTEGER NOT NULL, version INTEGER NOT NULL, lease TEXT NOT NULL, deleted INTEGER NOT NULL,
    value BLOB NOT NULL);
  CREATE INDEX record_key ON record (key, until, revision);
  CREATE INDEX record_revision ON record (revision);
  CREATE INDEX record_ended ON record (until) WHERE until > 0;
  CREATE INDEX record_lease ON record (lease) WHERE lease <> '0' AND until = 0;
  CREATE TABLE lease (id TEXT PRIMARY KEY, ttl INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('revision', '1'), ('compacted', '0');
`

const PRAGMAS = `
  PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  PRAGMA cache_size = -2048; PRAGMA wal_autocheckpoint = 1000; PRAGMA temp_store = MEMORY;
`

/** A value SQLite takes. */
export type SqlValue = number | string | Uint8Array | null

/** An open database with its statements, each prepared once. */
export class Database implements Disposable {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(path: string, db: DatabaseSync) {
    this.path = path
    this.#db = db
  }

  all(sql: string, ...values: SqlValue[]): readonly Readonly<Record<string, unknown>>[] {
    return this.#prepared(sql).all(...values) as Record<string, unknown>[] // rows of named columns
  }

  get(sql: string, ...values: SqlValue[]): Readonly<Record<string, unknown>> | undefined {
    return (this.#prepared(sql).get(...values) ?? undefined) as Record<string, unknown> | undefined
  }

  run(sql: string, ...values: SqlValue[]): number {
    return Number(this.#prepared(sql).run(...values).changes)
  }

  exec(sql: string): void {
    this.#db.exec(sql)
  }

  /** Runs `work` as one transaction; throws with nothing done. */
  transaction<T>(work: () => T): T {
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      try {
        this.#db.exec('ROLLBACK')
      } catch {
        // SQLite has already rolled back after a full disk or a failed write
      }
      throw databaseError('write', this.path, error)
    }
  }

  [Symbol.dispose](): void {
    this.#statements.clear()
    this.#db.close()
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

/** Opens the database at `path`, or makes a new one when there is no file. */
export function openDatabase(path: string): Database {
  const found = statSync(path, { throwIfNoEntry: false })
  try {
    if (found === undefined) createFile(path)
    else examineFile(path, found.size)
    const db = new DatabaseSync(path)
    try {
      db.exec(PRAGMAS)
      checkSchema(path, Number(db.prepare('PRAGMA user_version').get()?.['user_version']))
      const verdict = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
      if (verdict !== 'ok') throw damaged(path, String(verdict))
    } catch (error) {
      db.close()
      throw error
    }
    return new Database(path, db)
  } catch (error) {
    throw databaseError('open', path, error)
  }
}

function createFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = `${path}.new`
  rmSync(temporary, { force: true })
  closeSync(openSync(temporary, 'wx', 0o600))
  const db = new DatabaseSync(temporary)
  try {
    db.exec('PRAGMA synchronous = FULL; BEGIN')
    db.exec(TABLES)
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA}; COMMIT`)
  } finally {
    db.close()
  }
  renameSync(temporary, path)
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

/** Reads the 100-byte header without touching the file. sqlite.org/fileformat2.html §1.3 */
function examineFile(path: string, size: number): void {
  const header = Buffer.alloc(100)
  const fd = openSync(path, 'r')
  try {
    if (readSync(fd, header, 0, 100, 0) < 100) throw damaged(path, `it has ${size} bytes only`)
  } finally {
    closeSync(fd)
  }
  if (header.toString('latin1', 0, 16) !== 'SQLite format 3\0') {
    throw damaged(path, 'it does not begin as an SQLite database')
  }
  if (header.readUInt32BE(68) !== APPLICATION_ID) {
    throw new NetworkError('conflict', `Cannot open the store ${path}: the file is not a store`)
  }
  checkSchema(path, header.readUInt32BE(60))
  const stored = header.readUInt16BE(16)
  const pageBytes = stored === 1 ? 65_536 : stored
  const wanted = pageBytes * header.readUInt32BE(28)
  // a crash while the log was copied into the file leaves it short; the log makes it whole again
  const logBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  if (size < wanted && logBytes === 0)
    throw damaged(path, `it has ${size} bytes and should have ${wanted}`)
}

function checkSchema(path: string, schema: number): void {
  if (schema <= SCHEMA) return
  throw new NetworkError(
    'unsupported',
    `Cannot open the store ${path}: its schema is ${schema}, this program knows ${SCHEMA}`,
    { details: { path, schema, known: SCHEMA }, hint: 'Install the newer version again' },
  )
}

function damaged(path: string, found: string): NetworkError {
  return new NetworkError(
    'conflict',
    `Cannot open the store ${path}: the file is damaged: ${found}`,
    {
      details: { path },
      hint: 'Put a backup in its place',
    },
  )
}

/** Result codes of SQLite. sqlite.org/rescode.html */
const SQLITE = { BUSY: 5, READONLY: 8, IOERR: 10, CORRUPT: 11, FULL: 13, CANTOPEN: 14, NOTADB: 26 }

/** Tells errors of SQLite and of the file system in our words; leaves all others as they are. */
function databaseError(attempt: 'open' | 'write', path: string, error: unknown): unknown {
  if (error instanceof NetworkError || !(error instanceof Error)) return error
  const options = { details: { path }, cause: error }
  if ('errcode' in error && typeof error.errcode === 'number') {
    const text = `Cannot ${attempt} the store ${path}: `
    switch (error.errcode & 0xff) {
      case SQLITE.BUSY:
        return new NetworkError('conflict', `${text}another process has it open`, options)
      case SQLITE.CORRUPT:
      case SQLITE.NOTADB:
        return new NetworkError('conflict', `${text}the file is damaged: ${error.message}`, options)
      case SQLITE.FULL:
        return refusal('no-space', `${text}the disk is full`, options)
      case SQLITE.READONLY:
      case SQLITE.IOERR:
      case SQLITE.CANTOPEN:
        return new NetworkError('unavailable', `${text}${error.message}`, options)
      default:
        return error
    }
  }
  if ('syscall' in error) {
    return new NetworkError(
      'unavailable',
      `Cannot ${attempt} the store ${path}: ${messageOf(error)}`,
      options,
    )
  }
  return error
}
