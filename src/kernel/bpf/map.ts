/**
 * One BPF map as bytes in, bytes out. What the bytes mean is hoststate/maps.ts's business. Values of per-CPU
 * maps are those of all CPUs, one after the other, each rounded up to 8 bytes.
 */

import { closeSync } from 'node:fs'
import { NetworkError } from '../../lib/errors.ts'
import { bpfError, cString, type Libbpf } from './libbpf.ts'

/** linux/bpf.h enum bpf_map_type, as far as this program has them. */
export const MAP_TYPE = {
  HASH: 1,
  ARRAY: 2,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  LPM_TRIE: 11,
  RINGBUF: 27,
} as const

const PER_CPU: readonly number[] = [
  MAP_TYPE.PERCPU_HASH,
  MAP_TYPE.PERCPU_ARRAY,
  MAP_TYPE.LRU_PERCPU_HASH,
]

const ENOENT = -2
const EEXIST = -17
const ENOSPC = -28

/** linux/bpf.h: bpf_map_update_elem() makes an entry and replaces none. */
const BPF_NOEXIST = 1n

/** Entries that one batch call moves. */
const BATCH = 4096

/** Shape of a map, as the kernel has it. */
export interface MapShape {
  readonly name: string
  readonly type: number
  readonly keyBytes: number
  /** Of one value on one CPU. */
  readonly valueBytes: number
  readonly maxEntries: number
}

export interface RawEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** A map by its descriptor. Closing is its owner's: the object's, or of what `openPinnedMap` gave. */
export class BpfMap {
  readonly fd: number
  readonly shape: MapShape
  /** Bytes of a value as user space sees it: all CPUs of a per-CPU map. */
  readonly slotBytes: number
  readonly #bpf: Libbpf

  constructor(bpf: Libbpf, fd: number, shape: MapShape) {
    this.#bpf = bpf
    this.fd = fd
    this.shape = shape
    this.slotBytes = PER_CPU.includes(shape.type)
      ? ((shape.valueBytes + 7) & ~7) * bpf.libbpf_num_possible_cpus()
      : shape.valueBytes
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#check('key', key, this.shape.keyBytes)
    const value = new Uint8Array(this.slotBytes)
    const result = this.#bpf.bpf_map_lookup_elem(this.fd, key, value)
    if (result === ENOENT) return undefined
    if (result < 0) throw this.#error('look up in', result)
    return value
  }

  /** Creates or replaces the entry; `exhausted` when the map is full. */
  update(key: Uint8Array, value: Uint8Array): void {
    this.#check('key', key, this.shape.keyBytes)
    this.#check('value', value, this.slotBytes)
    const result = this.#bpf.bpf_map_update_elem(this.fd, key, value, 0)
    if (result < 0) throw this.#error('write', result)
  }

  /** Creates the entry; false when there is one, which stays. `exhausted` when the map is full. */
  create(key: Uint8Array, value: Uint8Array): boolean {
    this.#check('key', key, this.shape.keyBytes)
    this.#check('value', value, this.slotBytes)
    const result = this.#bpf.bpf_map_update_elem(this.fd, key, value, BPF_NOEXIST)
    if (result === EEXIST) return false
    if (result < 0) throw this.#error('write', result)
    return true
  }

  /** Writes many entries with few system calls. On failure those before the failing one are written. */
  updateMany(entries: readonly RawEntry[]): void {
    for (let from = 0; from < entries.length; from += BATCH) {
      const part = entries.slice(from, from + BATCH)
      const keys = new Uint8Array(part.length * this.shape.keyBytes)
      const values = new Uint8Array(part.length * this.slotBytes)
      for (const [i, { key, value }] of part.entries()) {
        this.#check('key', key, this.shape.keyBytes)
        this.#check('value', value, this.slotBytes)
        keys.set(key, i * this.shape.keyBytes)
        values.set(value, i * this.slotBytes)
      }
      const count = Uint32Array.of(part.length)
      const result = this.#bpf.bpf_map_update_batch(this.fd, keys, values, count, null)
      if (result < 0) throw this.#error(`write entry ${from + (count[0] ?? 0)} of`, result)
    }
  }

  /** True when there was such an entry. Rows of arrays cannot be deleted: write zeros. */
  delete(key: Uint8Array): boolean {
    this.#check('key', key, this.shape.keyBytes)
    const result = this.#bpf.bpf_map_delete_elem(this.fd, key)
    if (result === ENOENT) return false
    if (result < 0) throw this.#error('delete from', result)
    return true
  }

  /** All entries, as they were one after the other: not a picture of one moment. */
  *entries(): Generator<RawEntry> {
    const { keyBytes } = this.shape
    let room = Math.min(BATCH, this.shape.maxEntries)
    let cursor: Uint8Array | null = null // 4 bytes for hash tables, a key for tries
    for (;;) {
      const next = new Uint8Array(Math.max(keyBytes, 4))
      const keys = new Uint8Array(room * keyBytes)
      const values = new Uint8Array(room * this.slotBytes)
      const count = Uint32Array.of(room)
      const result = this.#bpf.bpf_map_lookup_batch(
        this.fd,
        cursor,
        next,
        keys,
        values,
        count,
        null,
      )
      if (result === ENOSPC) {
        room *= 2 // one bucket of the table holds more than fits
        continue
      }
      if (result < 0 && result !== ENOENT) throw this.#error('read', result)
      for (let i = 0; i < (count[0] ?? 0); i++) {
        yield {
          key: keys.slice(i * keyBytes, (i + 1) * keyBytes),
          value: values.slice(i * this.slotBytes, (i + 1) * this.slotBytes),
        }
      }
      if (result === ENOENT) return
      cursor = next
    }
  }

  #check(what: string, bytes: Uint8Array, size: number): void {
    if (bytes.length === size) return
    throw new Error(`${what} of map ${this.shape.name} has ${size} bytes, not ${bytes.length}`)
  }

  #error(verb: string, result: number): NetworkError {
    const details = { map: this.shape.name }
    return result === -7 || result === ENOSPC // E2BIG: a hash table is full; ENOSPC: a trie
      ? new NetworkError('exhausted', `Cannot ${verb} map ${this.shape.name}: it is full`, {
          details: { ...details, maxEntries: this.shape.maxEntries },
        })
      : bpfError(`${verb} map ${this.shape.name}`, result, { details })
  }
}

/** A pinned map, or undefined when nothing is pinned there. The caller disposes of it. */
export function openPinnedMap(
  bpf: Libbpf,
  path: string,
): ({ readonly map: BpfMap } & Disposable) | undefined {
  const fd = bpf.bpf_obj_get(cString(path))
  if (fd === ENOENT) return undefined
  if (fd < 0) throw bpfError(`open pinned map ${path}`, fd)
  // linux/bpf.h struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags, name[16]
  const info = new Uint8Array(88)
  const result = bpf.bpf_obj_get_info_by_fd(fd, info, Uint32Array.of(info.length))
  if (result < 0) {
    closeSync(fd)
    throw bpfError(`ask about pinned map ${path}`, result)
  }
  const [type = 0, , keyBytes = 0, valueBytes = 0, maxEntries = 0] = new Uint32Array(
    info.buffer,
    0,
    6,
  )
  const end = info.indexOf(0, 24)
  const name = new TextDecoder().decode(info.subarray(24, Math.min(end, 40)))
  const map = new BpfMap(bpf, fd, { name, type, keyBytes, valueBytes, maxEntries })
  return { map, [Symbol.dispose]: () => closeSync(fd) }
}
