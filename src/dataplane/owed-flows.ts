/**
 * Connections that are still to be forgotten, noted in files that end with the boot. What led them is removed
 * before they are looked for, in another thread and a little later: should the process end between the two,
 * nothing in the kernel would tell the next run that they go to a container that is gone.
 */

import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StaleFlow } from './stale-flows.ts'

/** One that was noted, and in which file. */
export type OwedFlow = StaleFlow & { readonly note?: string }

export class OwedFlows {
  readonly #directory: string

  /** The directory need not exist; the one above it must once something is noted. */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Notes them in one file, before what led them is removed. */
  note(flows: readonly StaleFlow[]): readonly OwedFlow[] {
    if (flows.length === 0) return []
    const note = join(this.#directory, `${randomUUID()}.json`)
    try {
      mkdirSync(this.#directory, { recursive: true })
      writeFileSync(note, JSON.stringify(flows))
    } catch (error) {
      // Only a crash at the wrong moment would miss it: nothing that a full disk should stop.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
    return flows.map((flow) => ({ ...flow, note }))
  }

  /** What earlier runs noted and did not settle. A file that was not written to its end is removed. */
  read(): readonly OwedFlow[] {
    return this.#names().flatMap((name) => {
      const note = join(this.#directory, name)
      try {
        const flows = JSON.parse(readFileSync(note, 'utf8')) as readonly StaleFlow[]
        return flows.map((flow) => ({ ...flow, note }))
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error
        rmSync(note)
        return []
      }
    })
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }
}

/** They are forgotten: so are the files. Those of one file come together. */
export function settle(flows: readonly OwedFlow[]): void {
  const notes = new Set(flows.flatMap(({ note }) => note ?? []))
  for (const note of notes) rmSync(note, { force: true })
}
