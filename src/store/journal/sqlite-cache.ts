/** The replica's copy of the shared store in the journal's file, so that a restart needs no store. */

import type { DatabaseSync } from 'node:sqlite'
import type { ReplicaCache } from './journal.ts'

export interface CacheOptions {
  readonly db: DatabaseSync
  /** Runs `work` in one transaction that is written whole or not at all. */
  readonly transaction: (work: () => void) => void
}

export function sqliteCache({ db, transaction }: CacheOptions): ReplicaCache {
  const put = db.prepare(
    'INSERT INTO cache VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, mod_revision = excluded.mod_revision',
  )
  const remove = db.prepare('DELETE FROM cache WHERE key = ?')
  const removeAll = db.prepare('DELETE FROM cache')
  const setRevision = db.prepare('UPDATE state SET cache_revision = ?')
  const getRevision = db.prepare('SELECT cache_revision AS revision FROM state')
  const all = db.prepare('SELECT key, value, mod_revision FROM cache ORDER BY key')
  return {
    get revision() {
      const revision = getRevision.get()?.['revision']
      return typeof revision === 'number' ? revision : undefined
    },
    *load() {
      for (const row of all.iterate()) {
        yield {
          key: String(row['key']),
          value: String(row['value']),
          modRevision: Number(row['mod_revision']),
        }
      }
    },
    replace(items, revision) {
      transaction(() => {
        removeAll.run()
        for (const { key, value, modRevision } of items) put.run(key, value, modRevision)
        setRevision.run(revision)
      })
    },
    apply(changes, revision) {
      transaction(() => {
        for (const { key, value, modRevision } of changes) {
          if (value === undefined) remove.run(key)
          else put.run(key, value, modRevision)
        }
        setRevision.run(revision)
      })
    },
  }
}
