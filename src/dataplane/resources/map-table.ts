/**
 * A kind of thing that is an entry of one BPF map. Entries are compared as bytes: what the program would
 * read against what the plan wants it to read.
 */

import type { MapLayout } from '../../hoststate/maps.ts'
import type { Kind, Wanted } from '../../hoststate/state.ts'
import { keyOf } from '../../hoststate/state.ts'
import type { BpfMap } from '../../kernel/bpf/map.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Resource } from '../resource.ts'

export interface MapTable<W extends Wanted, Entry> {
  readonly kind: W['kind'] & Kind
  readonly layout: MapLayout<Entry>
  readonly map: BpfMap
  /** The entry that `want` asks for; throws `not-found` while a device it names is missing. */
  entryOf(want: W): Entry
  /** The thing that an entry stands for; undefined for rows that hold nothing. */
  wantedOf(entry: Entry): W | undefined
  /** True when the map is an array: its rows cannot be deleted, only zeroed. */
  readonly array?: boolean
}

interface Bytes {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** The resource of a map whose entries are all ours. */
export function mapResource<W extends Wanted, Entry>(table: MapTable<W, Entry>): Resource<W, W> {
  const { layout, map } = table
  /** What `list` read last, for `equal` and `remove`. */
  const read = new Map<string, Bytes>()

  const bytesOf = (want: W): Bytes => {
    const entry = table.entryOf(want)
    return { key: layout.keyOf(entry), value: layout.valueOf(entry) }
  }

  return {
    kind: table.kind,
    equal(want, have) {
      const bytes = read.get(keyOf(have))
      if (bytes === undefined) return false
      try {
        return same(bytesOf(want).value, bytes.value) && same(bytesOf(want).key, bytes.key)
      } catch (error) {
        if (isNetworkError(error, 'not-found')) return false
        throw error
      }
    },
    *list() {
      read.clear()
      for (const { key, value } of map.entries()) {
        const entry = layout.entryOf(key, value)
        const wanted = entry === undefined ? undefined : table.wantedOf(entry)
        if (wanted === undefined) {
          if (table.array !== true) map.delete(key)
          continue
        }
        read.set(keyOf(wanted), { key, value })
        yield wanted
      }
    },
    put(want) {
      const { key, value } = bytesOf(want)
      map.update(key, value)
    },
    putMany(wants) {
      map.updateMany(wants.map(bytesOf))
    },
    remove(have) {
      const key = read.get(keyOf(have))?.key ?? keyBytes(have)
      if (key === undefined) return
      if (table.array === true) map.update(key, new Uint8Array(map.slotBytes))
      else map.delete(key)
    },
  }

  /** Nothing when the entry's key is a device that is gone: the program never asks for it again. */
  function keyBytes(have: W): Uint8Array | undefined {
    try {
      return layout.keyOf(table.entryOf(have))
    } catch (error) {
      if (isNetworkError(error, 'not-found')) return undefined
      throw error
    }
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
