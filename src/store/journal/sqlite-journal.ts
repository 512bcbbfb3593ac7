/**
 * The journal in a SQLite file. A commit is one transaction with prepared statements, some hundredths of a
 * millisecond; whoever subscribed is told before it returns, so that the replica shows it in the same turn.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Journal, JournalChange, JournalRecord, ReplicaCache } from './journal.ts'
import { sqliteCache } from './sqlite-cache.ts'
import { discardFile, explained, openFile } from './sqlite-file.ts'

/** Comes after every key that begins with the same prefix: the last code point there is. */
const LAST = '\u{10ffff}'

export interface JournalOptions {
  readonly path: string
  /** The file may not grow beyond this many pages of 4 KiB; absent: the disk is the limit. */
  readonly maxPages?: number
}

/**
 * Opens or makes the journal and holds it until disposed. Throws `conflict` when another daemon holds it,
 * `unsupported` when a newer version wrote it, `invalid` when it is damaged, `exhausted` on a full disk.
 */
export function openJournal(options: JournalOptions): Journal {
  return new SqliteJournal(options)
}

/** Gives up what the journal at `path` holds; the file is kept as `<path>.old`. */
export function discardJournal(path: string): void {
  discardFile(path)
}

class SqliteJournal implements Journal {
  readonly settings: Journal['settings']
  readonly cache: ReplicaCache
  readonly #path: string
  readonly #db: DatabaseSync
  readonly #statements: Readonly<Record<StatementName, StatementSync>>
  readonly #listeners = new Set<(records: readonly JournalRecord[]) => void>()
  #sequence: number

  constructor({ path, maxPages }: JournalOptions) {
    this.#path = path
    this.#db = openFile(path)
    if (maxPages !== undefined) this.#db.exec(`PRAGMA max_page_count = ${maxPages}`)
    this.#statements = prepareAll(this.#db)
    this.#sequence = Number(this.#statements.getSequence.get()?.['sequence'] ?? 0)
    const transaction = (work: () => void): void => this.#transaction(work)
    this.cache = sqliteCache({ db: this.#db, transaction })
    this.settings = {
      get: (name) => {
        const value = this.#statements.getSetting.get(name)?.['value']
        return typeof value === 'string' ? value : undefined
      },
      set: (name, value) => transaction(() => void this.#statements.setSetting.run(name, value)),
    }
  }

  get sequence(): number {
    return this.#sequence
  }

  commit(changes: readonly JournalChange[], atLeast = 0): number {
    const sequence = Math.max(this.#sequence + 1, atLeast)
    const records = changes.map(
      (change): JournalRecord => ({
        key: change.key,
        value: change.kind === 'put' ? change.value : undefined,
        sequence,
      }),
    )
    this.#transaction(() => {
      for (const { key, value } of records) {
        this.#statements.putRecord.run(key, value ?? null, sequence)
      }
      this.#statements.setSequence.run(sequence)
    })
    this.#sequence = sequence
    for (const listener of this.#listeners) listener(records)
    return sequence
  }

  get(key: string): string | undefined {
    const value = this.#statements.getRecord.get(key)?.['value']
    return typeof value === 'string' ? value : undefined
  }

  list(prefix: string): readonly JournalRecord[] {
    return this.#statements.listRecords.all(prefix, prefix + LAST).map(recordOf)
  }

  changedSince(sequence: number): readonly JournalRecord[] {
    return this.#statements.changedSince.all(sequence).map(recordOf)
  }

  forgetRemoved(sequence: number): void {
    this.#transaction(() => void this.#statements.forgetRemoved.run(sequence))
  }

  subscribe(listener: (records: readonly JournalRecord[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  [Symbol.dispose](): void {
    this.#listeners.clear()
    if (this.#db.isOpen) this.#db.close()
  }

  #transaction(work: () => void): void {
    explained(`write the journal ${this.#path}`, () => {
      this.#statements.begin.run()
      try {
        work()
        this.#statements.commit.run()
      } catch (error) {
        // a full disk makes SQLite roll back by itself
        if (this.#db.isTransaction) this.#statements.rollback.run()
        throw error
      }
    })
  }
}

const SQL = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  getSequence: 'SELECT sequence FROM state',
  setSequence: 'UPDATE state SET sequence = ?',
  getRecord: 'SELECT value FROM records WHERE key = ?',
  putRecord:
    'INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, sequence = excluded.sequence',
  listRecords:
    'SELECT key, value, sequence FROM records WHERE key >= ? AND key < ? AND value IS NOT NULL ORDER BY key',
  changedSince:
    'SELECT key, value, sequence FROM records WHERE sequence > ? ORDER BY sequence, key',
  forgetRemoved: 'DELETE FROM records WHERE value IS NULL AND sequence <= ?',
  getSetting: 'SELECT value FROM settings WHERE name = ?',
  setSetting:
    'INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
} as const
type StatementName = keyof typeof SQL

function prepareAll(db: DatabaseSync): Readonly<Record<StatementName, StatementSync>> {
  const entries = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)])
  return Object.fromEntries(entries) as Record<StatementName, StatementSync> // the names are SQL's
}

function recordOf(row: Readonly<Record<string, unknown>>): JournalRecord {
  const value = row['value']
  return {
    key: String(row['key']),
    value: typeof value === 'string' ? value : undefined,
    sequence: Number(row['sequence']),
  }
}
