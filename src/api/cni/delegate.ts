/**
 * IPAM plug-ins that give addresses in our place: every verb goes on to them with what came, their ADD is undone by
 * their DEL when anything fails after it, and what they are told to take an address back is kept with the endpoint.
 * Spec 1.1.0 §4 "Plugin delegation".
 */

import type { CniVersion } from '../../cni/exchange.ts'
import type { Log } from '../../lib/log.ts'
import type { Delegate } from '../../model/cni.ts'
import type { CniConfig } from './config.ts'
import type { FoundPlugin, PluginOutput, Plugins } from './delegate-process.ts'
import { CNI_CODE, cniError } from './errors.ts'
import { Fields, isJsonObject, type JsonObject } from './fields.ts'
import type { CniResult } from './result.ts'
import { readResult } from './result-read.ts'

/** A call that is passed on. */
export interface DelegatedCall {
  readonly type: string
  readonly path: readonly string[]
  readonly verb: string
  /** All variables `CNI_*` of the call. */
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: string
  readonly cniVersion: CniVersion
}

/** Within what the client of the verb waits, so that its end can be told. */
const TIMEOUTS_MS: Readonly<Record<string, number>> = {
  ADD: 8_000,
  DEL: 4_000,
  CHECK: 4_000,
  GC: 20_000,
  STATUS: 800,
  VERSION: 2_000,
}
const OTHER_TIMEOUT_MS = 2_000
const MOST_SHOWN = 300
const MOST_PROVEN = 64

const MEND_LIST = 'see ipam in the network’s list; without ipam.type addresses are ours to give'

export class Delegates {
  readonly #plugins: Plugins
  readonly #log: Log
  /** Versions of what proved to be a CNI plug-in, by their editions. */
  readonly #proven = new Map<string, readonly string[]>()

  constructor(plugins: Plugins, log: Log) {
    this.#plugins = plugins
    this.#log = log
  }

  /** Addresses, routes and names that it gives; throws its error, or code 105. */
  async add(call: DelegatedCall): Promise<CniResult> {
    const output = await this.#call(call)
    const object = parseOutput(output.stdout)
    if (object === undefined) throw senseless(call, output)
    const result = readResult(new Fields(object, `${call.type}’s result`), call.cniVersion)
    if (result.ips.length > 0) return result
    throw cniError(CNI_CODE.DELEGATE, `Cannot attach: IPAM plug-in ${call.type} gave no address`, {
      hint: MEND_LIST,
    })
  }

  /** Every other verb: its output says nothing but whether it failed. */
  async tell(call: DelegatedCall): Promise<void> {
    await this.#call(call)
  }

  /** Has it take back what it gave, as far as that is known; an error is told to the log. */
  async release(call: DelegatedCall): Promise<void> {
    try {
      await this.tell(call)
    } catch (error) {
      this.#log.warn('addresses not given back to their plug-in', { plugin: call.type, error })
    }
  }

  async #call(call: DelegatedCall): Promise<PluginOutput> {
    const { type, path, verb, environment, stdin } = call
    const plugin = this.#plugins.find(type, path)
    const versions = await this.#versionsOf(plugin)
    if (!versions.includes(call.cniVersion)) {
      throw cniError(
        CNI_CODE.INCOMPATIBLE_VERSION,
        `Cannot do ${verb} by IPAM plug-in ${type}: it does not speak cniVersion ${call.cniVersion}, but ${versions.join(', ')}`,
        { hint: 'set cniVersion of the network’s list to one of these, or install a newer one' },
      )
    }
    const timeoutMs = TIMEOUTS_MS[verb] ?? OTHER_TIMEOUT_MS
    const output = await this.#plugins.run({
      ...{ file: plugin.file, stdin, timeoutMs },
      environment: { ...environment, CNI_COMMAND: verb },
    })
    if (output.exit === 0) return output
    throw failureOf(call, output, timeoutMs)
  }

  /** Throws code 105 for what is no CNI plug-in. */
  async #versionsOf({ file, edition }: FoundPlugin): Promise<readonly string[]> {
    const known = this.#proven.get(edition)
    if (known !== undefined) return known
    const timeoutMs = TIMEOUTS_MS['VERSION'] ?? OTHER_TIMEOUT_MS
    const output = await this.#plugins.run({
      ...{ file, timeoutMs, stdin: '{"cniVersion":"1.0.0"}' },
      // The Go library's words for what VERSION does not need.
      environment: {
        CNI_COMMAND: 'VERSION',
        CNI_CONTAINERID: '',
        CNI_NETNS: 'dummy',
        CNI_IFNAME: 'dummy',
        CNI_PATH: 'dummy',
      },
    })
    const versions = parseOutput(output.stdout)?.['supportedVersions']
    if (!Array.isArray(versions) || !versions.every((each) => typeof each === 'string')) {
      throw cniError(
        CNI_CODE.DELEGATE,
        `Cannot run ${file}: asked for its versions, it did not answer as a CNI plug-in`,
        { hint: 'install the plug-in that ipam.type names, or name another' },
      )
    }
    if (this.#proven.size >= MOST_PROVEN) this.#proven.clear()
    this.#proven.set(edition, versions)
    return versions
  }
}

/** What is kept to take addresses back without any call: the little that IPAM plug-ins know them by. */
export function delegateRecord(
  type: string,
  path: readonly string[],
  { name, cniVersion, object }: CniConfig,
  args: string,
): Delegate {
  const config = JSON.stringify({ name, cniVersion, type: object['type'], ipam: object['ipam'] })
  return { type, path, config, args }
}

function failureOf(call: DelegatedCall, output: PluginOutput, timeoutMs: number): Error {
  const { type, verb } = call
  if (output.exit === undefined) {
    return cniError(
      CNI_CODE.TRY_AGAIN,
      `Cannot do ${verb} by IPAM plug-in ${type}: it was ended, after ${timeoutMs / 1000} s at most`,
      { hint: 'see what it waits for: a DHCP server, a lock, a store of its own' },
    )
  }
  const { code, msg, details } = parseOutput(output.stdout) ?? {}
  if (typeof code !== 'number' || typeof msg !== 'string') return senseless(call, output)
  const more = typeof details === 'string' && details !== '' ? `; ${details}` : ''
  return cniError(
    code === CNI_CODE.TRY_AGAIN ? CNI_CODE.TRY_AGAIN : CNI_CODE.DELEGATE,
    `Cannot do ${verb} by IPAM plug-in ${type}: ${msg}${more}`,
    { details: { plugin: type, pluginCode: code }, hint: MEND_LIST },
  )
}

function senseless({ type, verb }: DelegatedCall, { exit, stdout, stderr }: PluginOutput): Error {
  const said = `${stderr.trim()} ${stdout.trim()}`.trim().slice(0, MOST_SHOWN)
  return cniError(
    CNI_CODE.DELEGATE,
    `Cannot do ${verb} by IPAM plug-in ${type}: it ended with ${exit} and said "${said}"`,
    { hint: MEND_LIST },
  )
}

function parseOutput(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined // JSON.parse throws nothing but SyntaxError
  }
}
