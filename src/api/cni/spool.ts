/**
 * DELs that came while the daemon was away: files that the plug-in's process left, done when the daemon is back, and
 * when it hears of one more. What cannot be done is tried again; what makes no sense is put out of the way.
 */

import { type FSWatcher, mkdirSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { SpooledDelete } from '../../cni/exchange.ts'
import type { Log } from '../../lib/log.ts'
import { CNI_CODE, cniCodeOf } from './errors.ts'

export interface SpoolOptions {
  readonly directory: string
  readonly replay: (spooled: SpooledDelete) => Promise<void>
  readonly log: Log
}

/** A call that failed is made again after this long. */
const RETRY_MS = 30_000
/** What a second attempt would not change. */
const HOPELESS: ReadonlySet<number> = new Set([
  CNI_CODE.INCOMPATIBLE_VERSION,
  CNI_CODE.UNSUPPORTED_FIELD,
  CNI_CODE.INVALID_ENVIRONMENT,
  CNI_CODE.DECODING_FAILURE,
  CNI_CODE.INVALID_CONFIG,
])

export class Spool implements Disposable {
  readonly #options: SpoolOptions
  readonly #stop: () => void
  #draining: Promise<void> | undefined
  #again = false

  /** Makes the directory, and watches it until disposed. */
  constructor(options: SpoolOptions) {
    this.#options = options
    mkdirSync(options.directory, { recursive: true, mode: 0o700 })
    const watcher = this.#watch()
    const timer = setInterval(() => void this.drain(), RETRY_MS)
    this.#stop = () => {
      watcher?.close()
      clearInterval(timer)
    }
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  /** Undefined where the host has no watches left: then each look finds what came since the last one. */
  #watch(): FSWatcher | undefined {
    const { directory, log } = this.#options
    try {
      const watcher = watch(directory, () => void this.drain())
      return watcher.on('error', (error) => log.warn('spool is not watched', { error }))
    } catch (error) {
      log.warn('spool is not watched', { error })
      return undefined
    }
  }

  /** Does all that is there now; never rejects. */
  async drain(): Promise<void> {
    if (this.#draining !== undefined) {
      this.#again = true
      return this.#draining
    }
    this.#draining = this.#drain().finally(() => {
      this.#draining = undefined
    })
    return this.#draining
  }

  async #drain(): Promise<void> {
    do {
      this.#again = false
      for (const name of this.#names()) await this.#do(join(this.#options.directory, name))
    } while (this.#again)
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#options.directory).filter((name) => name.endsWith('.json'))
    } catch (error) {
      this.#options.log.error('spool is not readable', { error })
      return []
    }
  }

  async #do(file: string): Promise<void> {
    const { replay, log } = this.#options
    try {
      const text = readFileSync(file, 'utf8')
      const spooled = readSpooled(text)
      if (spooled === undefined) log.warn('spooled delete makes no sense', { file })
      else await replay(spooled)
      // Unless the same attachment was deleted once more meanwhile.
      if (readFileSync(file, 'utf8') === text) rmSync(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      if (HOPELESS.has(cniCodeOf(error))) rmSync(file, { force: true })
      log.warn('spooled delete not done', { file, error })
    }
  }
}

/** Undefined for what was not written by the plug-in's process, or not to its end. */
function readSpooled(text: string): SpooledDelete | undefined {
  try {
    const spooled = JSON.parse(text) as Readonly<Record<string, unknown>> | null
    const { version, environment, stdin, spooledAt } = spooled ?? {}
    if (version !== 1 || typeof stdin !== 'string' || typeof spooledAt !== 'string')
      return undefined
    if (Number.isNaN(Date.parse(spooledAt))) return undefined
    if (typeof environment !== 'object' || environment === null) return undefined
    const variables = Object.entries(environment)
    if (!variables.every(([, value]) => typeof value === 'string')) return undefined
    return { version, stdin, spooledAt, environment: Object.fromEntries(variables) }
  } catch {
    return undefined // JSON.parse throws nothing but SyntaxError
  }
}
