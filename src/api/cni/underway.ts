/**
 * Which ADDs have no answer yet: a file for each, where files go with the machine. A daemon that dies leaves them, and
 * with them the only knowledge that nobody has the answer: what those ADDs made is taken back at the next start.
 */

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CniAttachment } from '../../control/cni-control.ts'

export class Underway {
  readonly #directory: string

  /** Makes the directory. */
  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /** From now until disposed the ADD is under way. */
  begin(attachment: CniAttachment): Disposable {
    const { file, text } = this.#noteOf(attachment)
    writeFileSync(file, text)
    return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
  }

  /** Those of an earlier run, until they are forgotten. */
  interrupted(): readonly CniAttachment[] {
    return readdirSync(this.#directory).flatMap((name) => {
      return readAttachment(readFileSync(join(this.#directory, name), 'utf8')) ?? []
    })
  }

  forget(attachment: CniAttachment): void {
    rmSync(this.#noteOf(attachment).file, { force: true })
  }

  #noteOf({ network, container, ifname }: CniAttachment): { file: string; text: string } {
    const text = JSON.stringify({ network, container, ifname })
    const name = createHash('sha256').update(text).digest('hex')
    return { file: join(this.#directory, name), text }
  }
}

/** Undefined for a file that was not written to its end: its ADD had not begun. */
function readAttachment(text: string): CniAttachment | undefined {
  try {
    const { network, container, ifname } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (typeof network !== 'string' || typeof container !== 'string') return undefined
    return typeof ifname === 'string' ? { network, container, ifname } : undefined
  } catch {
    return undefined // JSON.parse throws nothing but SyntaxError
  }
}
