/** Collections by group, as the replica's tables need them: small while there is little, and cheap to change. */

/** Values by group and by their own key; a group without values takes no room. */
export class Groups<T> {
  readonly #groups = new Map<string, Map<string, T>>()

  get(group: string, key: string): T | undefined {
    return this.#groups.get(group)?.get(key)
  }

  /** Those of one group, or of all. */
  of(group?: string): Iterable<T> {
    return group === undefined ? this.#values() : (this.#groups.get(group)?.values() ?? [])
  }

  put(group: string, key: string, value: T): void {
    const found = this.#groups.get(group)
    if (found === undefined) this.#groups.set(group, new Map([[key, value]]))
    else found.set(key, value)
  }

  remove(group: string, key: string): boolean {
    const found = this.#groups.get(group)
    if (found?.delete(key) !== true) return false
    if (found.size === 0) this.#groups.delete(group)
    return true
  }

  *keys(): Iterable<string> {
    for (const group of this.#groups.values()) yield* group.keys()
  }

  *#values(): Iterable<T> {
    for (const group of this.#groups.values()) yield* group.values()
  }
}

/**
 * Values by group, in no order. An array takes 8 bytes per value where a Map takes 160, which counts with
 * twenty thousand endpoints; in exchange a removal looks through its group (some microseconds).
 */
export class Bundles<T> {
  readonly #bundles = new Map<string, T[]>()

  /** The values at this moment. */
  of(group: string): readonly T[] {
    return this.#bundles.get(group)?.slice() ?? []
  }

  add(group: string, value: T): void {
    const bundle = this.#bundles.get(group)
    if (bundle === undefined) this.#bundles.set(group, [value])
    else bundle.push(value)
  }

  remove(group: string, value: T): void {
    const bundle = this.#bundles.get(group) ?? []
    const place = bundle.lastIndexOf(value)
    const last = bundle.at(-1)
    if (place < 0 || last === undefined) return
    bundle[place] = last
    bundle.pop()
    if (bundle.length === 0) this.#bundles.delete(group)
  }
}
