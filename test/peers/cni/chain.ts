/**
 * A list of CNI programs called as libcni does: ADD from the front, each given the result of the one before; DEL from
 * the back and CHECK from the front, all given the last result. libcni, AddNetworkList and its kin.
 */

import assert from 'node:assert/strict'
import type { RunResult } from '../../../src/lab/processes.ts'
import { assertSilent, type CallOptions, call, type Result, resultOf, type Who } from './plugin.ts'
import { HOST, type Stage } from './stage.ts'

export interface Link {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

export interface ChainOptions extends CallOptions {
  readonly version: string
  readonly name: string
  /** Capability arguments: each program gets those that it declares. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>
}

export class Chain {
  readonly #stage: Stage
  readonly #links: readonly Link[]
  readonly #options: ChainOptions

  constructor(stage: Stage, links: readonly Link[], options: ChainOptions) {
    this.#stage = stage
    this.#links = links
    this.#options = options
  }

  /** Throws what the program that failed said; the caller gives back what stands until there. */
  async add(who: Who): Promise<Result> {
    let previous: Result | undefined
    for (const link of this.#links) {
      previous = resultOf(await this.#call('ADD', link, who, previous), `ADD ${link.type}`)
      assert.equal(previous.cniVersion, this.#options.version, link.type)
    }
    if (previous === undefined) throw new Error('a chain has a program')
    return previous
  }

  /** `but`: not asked of this program. */
  async check(who: Who, result: Result, but?: string): Promise<void> {
    for (const link of this.#links.filter(({ type }) => type !== but)) {
      assertSilent(await this.#call('CHECK', link, who, result), `CHECK ${link.type}`)
    }
  }

  /** Without a result as after a restart of the machine, and for versions that have none. */
  async del(who: Who, result?: Result): Promise<void> {
    for (const link of this.#links.toReversed()) {
      assertSilent(await this.#call('DEL', link, who, result), `DEL ${link.type}`)
    }
  }

  #call(verb: string, link: Link, who: Who, prevResult: Result | undefined): Promise<RunResult> {
    const { version, name, runtimeConfig = {}, ...options } = this.#options
    const asked = Object.entries(runtimeConfig).filter(([key]) => link.capabilities?.[key] === true)
    const stdin = JSON.stringify({
      ...link,
      cniVersion: version,
      name,
      ...(asked.length === 0 ? {} : { runtimeConfig: Object.fromEntries(asked) }),
      ...(prevResult === undefined ? {} : { prevResult }),
    })
    const { lab } = this.#stage.cluster
    if (verb === 'ADD') this.#stage.remember(who)
    return call(lab, HOST, verb, who, stdin, { ...options, type: link.type })
  }
}
