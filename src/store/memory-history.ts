/**
 * The versions of every key of the memory store, by revision: what etcd's mvcc package keeps in its tree.
 * Keys are held in byte order; every revision has its list of events; compaction forgets the old ones.
 */

import { refusal } from './reasons.ts'
import type { KeyRange, KeyValue, RangeOptions, RangeResult, WatchEvent } from './store.ts'

/** State of one key from `revision` on; `item` undefined: it was deleted. */
interface Version {
  readonly revision: number
  readonly item: KeyValue | undefined
}

export interface HistorySnapshot {
  readonly revision: number
  readonly compactRevision: number
  readonly keys: readonly string[]
  readonly versions: ReadonlyMap<string, readonly Version[]>
  readonly events: ReadonlyMap<number, readonly WatchEvent[]>
}

/** Writes that will share one revision. */
export interface Change {
  put(key: string, value: string, lease: string): void
  delete(range: KeyRange): number
  /** Takes the revision if anything was written; true when it was. */
  commit(): boolean
}

export class History {
  #revision: number
  #compactRevision: number
  #keys: string[]
  readonly #versions: Map<string, Version[]>
  readonly #events: Map<number, readonly WatchEvent[]>

  constructor(from?: HistorySnapshot) {
    this.#revision = from?.revision ?? 1 // an empty etcd is at revision 1
    this.#compactRevision = from?.compactRevision ?? 0
    this.#keys = [...(from?.keys ?? [])]
    this.#versions = new Map()
    for (const [key, versions] of from?.versions ?? []) this.#versions.set(key, [...versions])
    this.#events = new Map(from?.events ?? [])
  }

  get revision(): number {
    return this.#revision
  }

  get compactRevision(): number {
    return this.#compactRevision
  }

  snapshot(): HistorySnapshot {
    return {
      revision: this.#revision,
      compactRevision: this.#compactRevision,
      keys: [...this.#keys],
      versions: new Map([...this.#versions].map(([key, versions]) => [key, [...versions]])),
      events: new Map(this.#events),
    }
  }

  eventsOf(revision: number): readonly WatchEvent[] {
    return this.#events.get(revision) ?? []
  }

  keysOfLease(lease: string): string[] {
    return this.#keys.filter((key) => this.#versions.get(key)?.at(-1)?.item?.lease === lease)
  }

  range(range: KeyRange, options: RangeOptions = {}): RangeResult {
    const at = options.revision ?? 0
    if (at > this.#revision) {
      throw refusal('future-revision', `Cannot read at revision ${at}: it is in the future`)
    }
    if (at > 0 && at < this.#compactRevision) {
      throw refusal('compacted', `Cannot read at revision ${at}: it was compacted`)
    }
    const found: KeyValue[] = []
    for (const key of this.#keysIn(range)) {
      const item = this.#itemAt(key, at)
      if (item !== undefined) found.push(options.keysOnly ? { ...item, value: '' } : item)
    }
    const limit = options.countOnly ? 0 : (options.limit ?? 0) || found.length
    const items = found.slice(0, limit)
    return {
      revision: this.#revision,
      items,
      count: found.length,
      more: found.length > limit,
    }
  }

  begin(): Change {
    const revision = this.#revision + 1
    const events: WatchEvent[] = []
    return {
      put: (key, value, lease) => {
        const before = this.#versions.get(key)?.at(-1)?.item
        const item: KeyValue = {
          key,
          value,
          lease,
          createRevision: before?.createRevision ?? revision,
          modRevision: revision,
          version: (before?.version ?? 0) + 1,
        }
        this.#add(key, { revision, item })
        events.push({ kind: 'put', item })
      },
      delete: (range) => {
        const keys = this.#keysIn(range).filter((key) => this.#itemAt(key, 0) !== undefined)
        for (const key of keys) {
          this.#add(key, { revision, item: undefined })
          events.push({ kind: 'delete', key, modRevision: revision })
        }
        return keys.length
      },
      commit: () => {
        if (events.length === 0) return false
        this.#revision = revision
        this.#events.set(revision, events)
        return true
      },
    }
  }

  compact(revision: number): void {
    if (revision > this.#revision) {
      throw refusal(
        'future-revision',
        `Cannot compact to revision ${revision}: it is in the future`,
      )
    }
    if (revision <= this.#compactRevision) {
      throw refusal('compacted', `Cannot compact to revision ${revision}: it was compacted`)
    }
    this.#compactRevision = revision
    for (const known of [...this.#events.keys()]) if (known < revision) this.#events.delete(known)
    for (const [key, versions] of this.#versions) {
      const current = versions.findLastIndex((version) => version.revision <= revision)
      const kept = versions.slice(Math.max(current, 0))
      if (kept.length === 1 && kept[0]?.item === undefined) this.#versions.delete(key)
      else this.#versions.set(key, kept)
    }
    this.#keys = this.#keys.filter((key) => this.#versions.has(key))
  }

  #itemAt(key: string, revision: number): KeyValue | undefined {
    const versions = this.#versions.get(key)
    if (revision === 0) return versions?.at(-1)?.item
    return versions?.findLast((version) => version.revision <= revision)?.item
  }

  #add(key: string, version: Version): void {
    const versions = this.#versions.get(key)
    if (versions !== undefined) {
      versions.push(version)
      return
    }
    this.#versions.set(key, [version])
    this.#keys.splice(this.#indexOf(key), 0, key)
  }

  #keysIn(range: KeyRange): string[] {
    if ('key' in range) return this.#versions.has(range.key) ? [range.key] : []
    const found: string[] = []
    for (let i = this.#indexOf(('prefix' in range) ? range.prefix : range.from); ; i++) {
      const key = this.#keys[i]
      if (key === undefined || !inRange(key, range)) return found
      found.push(key)
    }
  }

  /** Place of the first key that is not before `key`. */
  #indexOf(key: string): number {
    let [low, high] = [0, this.#keys.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareKeys(this.#keys[middle] ?? '', key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

export function inRange(key: string, range: KeyRange): boolean {
  if ('key' in range) return key === range.key
  if ('prefix' in range) return key.startsWith(range.prefix)
  return compareKeys(range.from, key) <= 0 && compareKeys(key, range.to) < 0
}

/** Order of the UTF-8 bytes, which differs from that of UTF-16 only where surrogates stand. */
function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  let i = 0
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++
  return i === length ? a.length - b.length : rank(a.charCodeAt(i)) - rank(b.charCodeAt(i))
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
