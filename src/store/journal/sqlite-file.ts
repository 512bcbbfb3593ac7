/**
 * The file under the journal: opened for one daemon alone, checked, brought to the present schema. A file
 * of a newer schema, a damaged or a foreign one is refused and left as it is.
 * WAL with synchronous=NORMAL: a commit does not wait for the disk, a crash of the daemon loses nothing, a
 * loss of power may lose the last commits, and then the containers are gone as well (R27).
 */

import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type ErrorCode, isNetworkError, messageOf, NetworkError } from '../../lib/errors.ts'

/** Number of the schema this version writes. */
export const SCHEMA = 1

/** 'CarJ' in the file's header says whose file it is: sqlite.org/fileformat2.html §1.3.21. */
const APPLICATION_ID = 0x4361724a

const TABLES = `
  CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT, sequence INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX records_by_sequence ON records (sequence);
  CREATE INDEX records_removed ON records (sequence) WHERE value IS NULL;
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE cache (key TEXT PRIMARY KEY, value TEXT NOT NULL, mod_revision INTEGER NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE state (sequence INTEGER NOT NULL, cache_revision INTEGER);
  INSERT INTO state VALUES (0, NULL);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA};`

/** Result codes that mean something to a user: sqlite.org/rescode.html. */
const SQLITE: Readonly<Record<number, { readonly code: ErrorCode; readonly found: string }>> = {
  5: { code: 'conflict', found: 'a second daemon uses the same state directory' }, // BUSY
  8: { code: 'forbidden', found: 'the file may not be written' }, // READONLY
  11: { code: 'invalid', found: 'the file is damaged' }, // CORRUPT
  13: { code: 'exhausted', found: 'the disk is full' }, // FULL
  14: { code: 'forbidden', found: 'the file cannot be opened or made' }, // CANTOPEN
  26: { code: 'invalid', found: 'the file is damaged or not a journal' }, // NOTADB
}

/**
 * Opens or makes the file at `path` and holds it against every other process until closed. Throws
 * `conflict` (a second daemon), `unsupported` (newer schema), `invalid` (damaged), `exhausted`, `forbidden`.
 */
export function openFile(path: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const db = explained(`open the journal ${path}`, () => new DatabaseSync(path))
  try {
    explained(`open the journal ${path}`, () => prepare(db, path))
    chmodSync(path, 0o600)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * Puts the file aside as `<path>.old`, so that the next start begins with nothing: the machine gives up its
 * identity. A damaged file too; content when there is none. Throws `conflict` while a daemon holds it.
 */
export function discardFile(path: string): void {
  if (!existsSync(path)) return
  try {
    openFile(path).close()
  } catch (error) {
    if (!isNetworkError(error) || error.code === 'conflict') throw error
  }
  renameSync(path, `${path}.old`)
  for (const rest of ['-wal', '-shm']) rmSync(path + rest, { force: true })
}

/** Runs `work` and turns what SQLite throws into an error that a user understands. */
export function explained<T>(attempt: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (isNetworkError(cause)) throw cause
    const known = SQLITE[resultCode(cause) & 0xff]
    if (known === undefined) {
      throw new NetworkError('kernel', `Cannot ${attempt}: ${messageOf(cause)}`, { cause })
    }
    throw new NetworkError(known.code, `Cannot ${attempt}: ${known.found}`, { cause })
  }
}

function prepare(db: DatabaseSync, path: string): void {
  // with locking_mode=EXCLUSIVE the locks taken by the first transaction stay until the file is closed
  db.exec('PRAGMA locking_mode = EXCLUSIVE')
  db.exec('PRAGMA journal_mode = WAL')
  db.exec('PRAGMA synchronous = NORMAL')
  // What is read often is in memory anyway, in a shape of our own.
  db.exec('PRAGMA cache_size = -512')
  const schema = numberOf(db, 'user_version')
  const owner = numberOf(db, 'application_id')
  db.exec('BEGIN EXCLUSIVE')
  try {
    if (owner === 0 && schema === 0 && isEmpty(db)) db.exec(TABLES)
    else check(db, path, schema, owner)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function check(db: DatabaseSync, path: string, schema: number, owner: number): void {
  if (owner !== APPLICATION_ID) {
    throw new NetworkError(
      'invalid',
      `Cannot open the journal ${path}: it is another program's file`,
    )
  }
  if (schema > SCHEMA) {
    throw new NetworkError(
      'unsupported',
      `Cannot open the journal ${path}: its schema is ${schema}, this version knows up to ${SCHEMA}`,
      { details: { path, schema }, hint: 'Start the version that wrote it, or a newer one' },
    )
  }
  const [found] = db.prepare('PRAGMA quick_check(1)').all()
  if (found?.['quick_check'] !== 'ok') {
    throw new NetworkError(
      'invalid',
      `Cannot open the journal ${path}: the file is damaged: ${String(found?.['quick_check'])}`,
    )
  }
}

function isEmpty(db: DatabaseSync): boolean {
  return db.prepare('SELECT name FROM sqlite_schema LIMIT 1').get() === undefined
}

function numberOf(db: DatabaseSync, pragma: 'user_version' | 'application_id'): number {
  return Number(db.prepare(`PRAGMA ${pragma}`).get()?.[pragma] ?? 0)
}

/** The extended result code that node:sqlite puts on its errors; 0 when it is none of SQLite's. */
function resultCode(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
}
