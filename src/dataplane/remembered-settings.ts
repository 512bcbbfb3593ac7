/**
 * Kernel settings that we changed and what they were before, in a file that ends with the boot, as the
 * settings themselves do: what was opened by us can be closed again, by this run of the daemon or a later one.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Sysctl } from '../kernel/settings.ts'

type Path = readonly string[]

export class RememberedSettings {
  readonly #file: string
  readonly #sysctl: Sysctl
  /** Path with slashes → the value before ours. */
  readonly #before: Map<string, string>

  /** `file` need not exist; its directory must once something is set. */
  constructor(file: string, sysctl: Sysctl) {
    this.#file = file
    this.#sysctl = sysctl
    this.#before = readMap(file)
  }

  /** The settings that are as they are because of us. */
  get paths(): readonly Path[] {
    return Array.from(this.#before.keys(), (path) => path.split('/'))
  }

  has(path: Path): boolean {
    return this.#before.has(path.join('/'))
  }

  /** Sets it, remembering first what it was. False when there is no such setting. */
  set(path: Path, value: string): boolean {
    const have = this.#sysctl.read(path)
    if (have === undefined) return false
    if (have === value) return true
    if (!this.has(path)) this.#remember(path, have)
    this.#sysctl.write(path, value)
    return true
  }

  /** Sets it back to what it was before, if it is there and was ours. */
  restore(path: Path): void {
    const before = this.#before.get(path.join('/'))
    if (before === undefined) return
    const have = this.#sysctl.read(path)
    if (have !== undefined && have !== before) this.#sysctl.write(path, before)
    this.forget(path)
  }

  /** Leaves it as it is: it is somebody else's now. */
  forget(path: Path): void {
    if (this.#before.delete(path.join('/'))) this.#save()
  }

  #remember(path: Path, value: string): void {
    this.#before.set(path.join('/'), value)
    this.#save()
  }

  #save(): void {
    if (this.#before.size === 0) {
      rmSync(this.#file, { force: true })
      return
    }
    writeFileSync(`${this.#file}.new`, JSON.stringify(Object.fromEntries(this.#before)))
    renameSync(`${this.#file}.new`, this.#file)
  }
}

function readMap(file: string): Map<string, string> {
  try {
    const read = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>
    return new Map(Object.entries(read))
  } catch (error) {
    if (error instanceof SyntaxError || (error as { code?: string }).code === 'ENOENT') {
      return new Map()
    }
    throw error
  }
}
