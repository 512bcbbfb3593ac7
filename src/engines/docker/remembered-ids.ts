/** A set of ids that survives the daemon. */

export interface Memory {
  get(name: string): string | undefined
  set(name: string, value: string): void
}

export class RememberedIds {
  readonly #memory: Memory
  readonly #name: string
  readonly #ids: Set<string>

  /** `name`: under which the memory keeps them. */
  constructor(memory: Memory, name: string) {
    this.#memory = memory
    this.#name = name
    this.#ids = new Set(memory.get(name)?.split(' ').filter(Boolean))
  }

  get all(): ReadonlySet<string> {
    return this.#ids
  }

  add(id: string): void {
    if (this.#ids.has(id)) return
    this.#ids.add(id)
    this.#write()
  }

  delete(id: string): void {
    if (this.#ids.delete(id)) this.#write()
  }

  #write(): void {
    this.#memory.set(this.#name, [...this.#ids].join(' '))
  }
}
