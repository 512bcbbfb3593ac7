/**
 * Records of one kind as short texts, for keeping many: the names of the fields and values that repeat (the
 * host, the network, the labels) are written once and referred to by number.
 */

/** Values that repeat are remembered up to this many; later ones stand in their records. */
const MOST_SHARED = 10_000

export class RecordPacker<R extends object> {
  readonly #repeating: ReadonlySet<string>
  readonly #shapes = new Numbered<readonly string[]>()
  readonly #shared = new Numbered<unknown>()

  /** `repeating`: fields that have the same few texts or objects, never numbers, in many records. */
  constructor(repeating: readonly (keyof R & string)[]) {
    this.#repeating = new Set(repeating)
  }

  /** Equal records, with their fields in the same order, have equal texts. */
  pack(record: R): string {
    const names = Object.keys(record)
    const packed: unknown[] = [this.#shapes.of(names)]
    for (const name of names) {
      const value: unknown = record[name as keyof R]
      packed.push(this.#repeating.has(name) ? this.#refer(value) : value)
    }
    return JSON.stringify(packed)
  }

  unpack(text: string): R {
    const [shape, ...values] = JSON.parse(text) as [number, ...unknown[]] // written by pack()
    const record: Record<string, unknown> = {}
    const names = this.#shapes.at(shape) ?? []
    for (let i = 0; i < names.length; i++) {
      const [name = '', value] = [names[i], values[i]]
      const referred = this.#repeating.has(name) && typeof value === 'number'
      record[name] = referred ? this.#shared.at(value) : value
    }
    return record as R // the fields that pack() was given
  }

  /** The number of a value that was seen before, else the value. */
  #refer(value: unknown): unknown {
    return this.#shared.size < MOST_SHARED
      ? this.#shared.of(value)
      : (this.#shared.find(value) ?? value)
  }
}

/** Values by number, in the order in which they were first seen. */
export class Numbered<T> {
  readonly #values: T[] = []
  readonly #numbers = new Map<string, number>()

  get size(): number {
    return this.#values.length
  }

  at(number: number): T | undefined {
    return this.#values[number]
  }

  find(value: T): number | undefined {
    return this.#numbers.get(JSON.stringify(value))
  }

  /** The number of a value, a new one if need be. */
  of(value: T): number {
    const known = this.find(value)
    if (known !== undefined) return known
    this.#numbers.set(JSON.stringify(value), this.#values.length)
    return this.#values.push(value) - 1
  }
}
