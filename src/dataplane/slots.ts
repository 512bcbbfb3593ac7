/**
 * What the comparison remembers of the things of one kind. A slot at rest, claimed by one object and applied, is
 * kept packed: of those there are tens of thousands. Whatever else may be true of a slot is rare, or passes, and
 * is kept as it is.
 */

import type { ObjectKey, Wanted } from '../hoststate/state.ts'
import { PackedMap } from '../lib/packed-map.ts'

export interface Claim {
  readonly object: ObjectKey
  readonly want: Wanted
}

/** One `(kind, key)`. */
export interface Slot {
  /** The claim of the greatest object key; undefined when nobody claims it any more. */
  readonly claim: Claim | undefined
  /** The claims of the others. */
  readonly others: readonly Claim[]
  /** What was last put and is believed to be there. */
  readonly applied: Wanted | undefined
  /** Where nothing is believed to be there: what may be all the same, because a put of it, or over it, failed. */
  readonly doubted?: Wanted
}

/** Begins a packed slot: whether its claim was applied. */
const APPLIED = '+'
const UNAPPLIED = '-'

/** Slots by key. They are values: one that was changed is set again. */
export class Slots {
  readonly #resting = new PackedMap()
  readonly #others = new Map<string, Slot>()

  get size(): number {
    return this.#resting.size + this.#others.size
  }

  get(key: string): Slot | undefined {
    const packed = this.#resting.get(key)
    return packed === undefined ? this.#others.get(key) : unpack(packed)
  }

  set(key: string, slot: Slot): void {
    this.#keep(key, slot, slot.applied === undefined ? undefined : pack(slot))
  }

  /** The same for one of many that will only be applied later. */
  announce(key: string, slot: Slot): void {
    this.#keep(key, slot, pack(slot))
  }

  #keep(key: string, slot: Slot, packed: string | undefined): void {
    if (packed === undefined) {
      this.#resting.delete(key)
      this.#others.set(key, slot)
    } else {
      this.#others.delete(key)
      this.#resting.set(key, packed)
    }
  }

  delete(key: string): void {
    this.#resting.delete(key)
    this.#others.delete(key)
  }

  *keys(): Generator<string> {
    yield* this.#resting.keys()
    yield* this.#others.keys()
  }
}

/** Plain data written by the same planner: equal fields in the same order. */
export function sameData(a: Wanted, b: Wanted): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

function pack({ claim, others, applied }: Slot): string | undefined {
  if (claim === undefined || others.length > 0) return undefined
  const { object, want } = claim
  if (applied === undefined) return `${UNAPPLIED}${object}\n${JSON.stringify(want)}`
  return sameData(want, applied) ? `${APPLIED}${object}\n${JSON.stringify(want)}` : undefined
}

function unpack(packed: string): Slot {
  const end = packed.indexOf('\n')
  const want = JSON.parse(packed.slice(end + 1)) as Wanted // written by pack()
  const claim = { object: packed.slice(1, end), want }
  return { claim, others: [], applied: packed.startsWith(APPLIED) ? want : undefined }
}
