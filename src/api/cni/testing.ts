/** A host that CNI runtimes call, in a test: the use cases on a kernel that agrees with everything, and IPAM plug-ins. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { Scene } from '../../agent/scene.ts'
import type { CniReply } from '../../cni/exchange.ts'
import { drive, Member } from '../../control/member.ts'
import { type CniApi, createCniApi } from './api.ts'
import { Delegates } from './delegate.ts'
import type { PluginOutput, PluginRun, Plugins } from './delegate-process.ts'
import { CNI_CODE, cniError } from './errors.ts'
import type { JsonObject } from './fields.ts'
import { Underway } from './underway.ts'

/** Plug-ins that answer what a test says, and remember what they were asked. */
export class FakePlugins implements Plugins {
  readonly runs: PluginRun[] = []
  /** What is answered, by verb; nothing and success unless told. */
  readonly answers = new Map<string, PluginOutput | (() => Promise<PluginOutput>)>()
  versions: readonly string[] = ['0.4.0', '1.0.0', '1.1.0']

  find(type: string, path: readonly string[]) {
    if (path.length === 0) throw cniError(CNI_CODE.DELEGATE, `Cannot run IPAM plug-in ${type}`)
    return { file: `${path[0]}/${type}`, edition: type }
  }

  async run(run: PluginRun): Promise<PluginOutput> {
    const verb = run.environment['CNI_COMMAND'] ?? ''
    if (verb === 'VERSION') return said({ supportedVersions: this.versions })
    this.runs.push(run)
    const answer = this.answers.get(verb) ?? { exit: 0, stdout: '', stderr: '' }
    return typeof answer === 'function' ? answer() : answer
  }

  /** Verbs in the order in which they came. */
  get verbs(): readonly string[] {
    return this.runs.map(({ environment }) => environment['CNI_COMMAND'] ?? '')
  }
}

/** What a plug-in that is content writes. */
export function said(object: JsonObject): PluginOutput {
  return { exit: 0, stdout: JSON.stringify(object), stderr: '' }
}

export interface Call {
  readonly container?: string
  readonly ifname?: string
  readonly netns?: string
  readonly args?: string
  /** Besides name, type and version; undefined takes one of these away. */
  readonly config?: JsonObject
  readonly gone?: AbortSignal
}

/** The one JSON object of an answer, or undefined where it is silent. */
export type Answer = { readonly exit: number; readonly said: JsonObject | undefined }

export class CniScene {
  readonly scene = new Scene()
  readonly plugins = new FakePlugins()
  spooled: () => Promise<void> = async () => {}
  #member: Member | undefined
  #api: CniApi | undefined
  #ending = new AbortController()

  static async start(): Promise<CniScene> {
    const own = new CniScene()
    await own.restart()
    return own
  }

  /** Another run of the daemon. */
  async restart(): Promise<void> {
    await this.#end()
    this.#ending = new AbortController()
    this.#member = await Member.start(this.scene, { state: 'a' })
    const { log, clock } = this.scene
    this.#api = createCniApi({
      control: this.#member.control,
      delegates: new Delegates(this.plugins, log),
      underway: new Underway(join(this.scene.directory, 'adds')),
      replaySpool: () => this.spooled(),
      ...{ log, clock, signal: this.#ending.signal },
    })
  }

  async #end(): Promise<void> {
    this.#ending.abort(new Error('over'))
    await this.#member?.stop()
  }

  async stop(): Promise<void> {
    await this.#end()
    this.scene[Symbol.dispose]()
  }

  get member(): Member {
    if (this.#member === undefined) throw new Error('it was not started')
    return this.#member
  }

  get api(): CniApi {
    if (this.#api === undefined) throw new Error('it was not started')
    return this.#api
  }

  request(verb: string, { container = 'c1', ifname = 'eth0', ...call }: Call = {}) {
    const whole = { name: 'cknet', type: 'carrick', cniVersion: '1.1.0', network: 'blue' }
    const attached = !['GC', 'STATUS'].includes(verb)
    return {
      version: 1,
      environment: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: attached ? container : '',
        CNI_IFNAME: attached ? ifname : '',
        CNI_NETNS: attached ? (call.netns ?? `/run/netns/${container}`) : '',
        CNI_ARGS: call.args ?? '',
        CNI_PATH: '/opt/cni/bin',
      },
      stdin: JSON.stringify({ ...whole, ...call.config }),
    } as const
  }

  async call(verb: string, call: Call = {}): Promise<Answer> {
    const gone = call.gone ?? new AbortController().signal
    const reply: CniReply = await drive(this.scene, this.api.answer(this.request(verb, call), gone))
    const { stdout, exit } = reply
    return { exit, said: stdout === '' ? undefined : (JSON.parse(stdout) as JsonObject) }
  }
}

/** A result of 0.3.0 and newer. */
export interface Result {
  readonly cniVersion: string
  readonly interfaces: readonly { name: string; mac: string; sandbox?: string; mtu?: number }[]
  readonly ips: readonly {
    address: string
    gateway?: string
    interface: number
    version?: string
  }[]
  readonly routes?: readonly { dst: string; gw?: string; priority?: number }[]
  readonly dns: { nameservers?: readonly string[] }
}

/** What an ADD answers; throws when it is refused. */
export async function addedBy(host: CniScene, call: Call = {}): Promise<Result> {
  const { exit, said } = await host.call('ADD', call)
  assert.equal(exit, 0, JSON.stringify(said))
  return said as unknown as Result // what a runtime would read it as
}

/** Fails unless the answer is an error of this code with this text. */
export function refused({ exit, said }: Answer, code: number, text: RegExp): void {
  assert.equal(exit, 1, JSON.stringify(said))
  assert.equal(said?.['code'], code, JSON.stringify(said))
  assert.match(`${said?.['msg']}; ${said?.['details']}`, text)
}

/** Fails unless it succeeded without a word. */
export function silent({ exit, said }: Answer): void {
  assert.equal(exit, 0, JSON.stringify(said))
  assert.equal(said, undefined)
}
