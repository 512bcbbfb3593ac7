/**
 * A kind of thing that is an entry of one BPF map. Entries are compared as bytes: what the program would
 * read against what the plan wants it to read.
 */

import { Fields } from '../../hoststate/layout.ts'
import type { MapLayout } from '../../hoststate/maps.ts'
import type { Kind, Wanted } from '../../hoststate/state.ts'
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
  /** The key where it follows without the devices that the entry names, which may be gone. */
  keyOf?(want: W): Uint8Array
  /** True when the map is an array: its rows cannot be deleted, only zeroed. */
  readonly array?: boolean
}

interface Bytes {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** So few entries are made one by one, to know which of them are new. */
const FEW = 16

/** True while the program has left its bit in the value alone: what the bit says holds since the entry was made. */
export function isUntouched({ value: layout, untouched = 0 }: Flagged, value: Uint8Array): boolean {
  return (flagsOf(layout, value) & untouched) !== 0
}

type Flagged = Pick<MapLayout<never>, 'value' | 'untouched'>

function flagsOf(layout: MapLayout<never>['value'], value: Uint8Array): number {
  return new Fields(layout, value).number('flags')
}

/** A thing and the entry it was read from. */
type Read<W> = W & { readonly bytes: Bytes }

/** The resource of a map whose entries are all ours. */
export function mapResource<W extends Wanted, Entry>(
  table: MapTable<W, Entry>,
): Resource<W, Read<W>> {
  const { layout, map } = table

  const bytesOf = (want: W): Bytes => {
    const entry = table.entryOf(want)
    return { key: layout.keyOf(entry), value: layout.valueOf(entry) }
  }

  return {
    kind: table.kind,
    listsAlone: true,
    equal(want, have) {
      const bytes = bytesOrNothing(want)
      return (
        bytes !== undefined &&
        Buffer.compare(bytes.value, have.bytes.value) === 0 &&
        Buffer.compare(bytes.key, have.bytes.key) === 0
      )
    },
    *list(wanted, whole) {
      for (const found of whole ? map.entries() : entriesAt(wanted)) {
        const bytes = { key: found.key, value: withBit(found.value, false) }
        const entry = layout.entryOf(bytes.key, bytes.value)
        const thing = entry === undefined ? undefined : table.wantedOf(entry)
        if (thing !== undefined) yield Object.assign(thing, { bytes })
        else if (table.array !== true) map.delete(bytes.key)
      }
    },
    put: (want) => write(bytesOf(want)),
    putMany(wants) {
      if (wants.length > FEW) map.updateMany(wants.map(bytesOf))
      else for (const want of wants) write(bytesOf(want))
    },
    remove(have) {
      // What was put and never read again has no bytes.
      const key = (have as W & Partial<Pick<Read<W>, 'bytes'>>).bytes?.key ?? keyOrNothing(have)
      if (key === undefined) return
      if (table.array === true) map.update(key, new Uint8Array(map.slotBytes))
      else map.delete(key)
    },
  }

  /** What stood there already may have been seen by the program: then nothing is said of it. */
  function write({ key, value }: Bytes): void {
    const fresh = layout.untouched !== undefined && map.create(key, withBit(value, true))
    if (!fresh) map.update(key, value)
  }

  function withBit(value: Uint8Array, stands: boolean): Uint8Array {
    if (layout.untouched === undefined) return value
    const others = flagsOf(layout.value, value) & ~layout.untouched
    const flags = stands ? others | layout.untouched : others
    return new Fields(layout.value, value.slice()).setNumber('flags', flags).bytes
  }

  function* entriesAt(wanted: readonly W[]): Generator<Bytes> {
    for (const want of wanted) {
      const key = keyOrNothing(want)
      const value = key === undefined ? undefined : map.lookup(key)
      if (key !== undefined && value !== undefined) yield { key, value }
    }
  }

  function keyOrNothing(want: W): Uint8Array | undefined {
    return table.keyOf === undefined ? bytesOrNothing(want)?.key : table.keyOf(want)
  }

  /** Nothing while a device that the entry names is missing. */
  function bytesOrNothing(want: W): Bytes | undefined {
    try {
      return bytesOf(want)
    } catch (error) {
      if (isNetworkError(error, 'not-found')) return undefined
      throw error
    }
  }
}
