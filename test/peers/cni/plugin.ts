/**
 * A CNI program called as the specification says: parameters in an otherwise empty environment, one object on
 * standard input, one answer on standard output.
 */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import type { Lab } from '../../../src/lab/lab.ts'
import { collect, type RunResult } from '../../../src/lab/processes.ts'

/** The name under which the one executable is a CNI program. */
export const TYPE = 'carrick'
/** Where it is linked on every host of a test; links there are the host's own. */
export const PLUGINS = '/opt/cni/bin'
/** Debian's reference programs. */
export const REFERENCE = '/usr/lib/cni'
export const NEWEST = '1.1.0'

/** What a call is about; all empty for GC and STATUS. */
export interface Who {
  readonly id: string
  readonly netns: string
  readonly ifname: string
}

export const NOBODY: Who = { id: '', netns: '', ifname: '' }

export interface CallOptions {
  /** CNI_ARGS. */
  readonly args?: string
  readonly type?: string
  /** Variables in addition, or instead. */
  readonly env?: Readonly<Record<string, string>>
}

/** Results of 0.3.0 and newer. */
export interface Result {
  readonly cniVersion: string
  readonly interfaces: readonly {
    readonly name: string
    readonly mac?: string
    readonly mtu?: number
    readonly sandbox?: string
  }[]
  readonly ips: readonly {
    readonly address: string
    readonly gateway?: string
    readonly interface?: number
    readonly version?: string
  }[]
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[]
  readonly dns?: {
    readonly nameservers?: readonly string[]
    readonly search?: readonly string[]
    readonly options?: readonly string[]
  }
}

/** Starts a program without waiting for it; its standard input is open. */
export function startCall(
  lab: Lab,
  host: string,
  verb: string,
  { id, netns, ifname }: Who,
  { args = 'IgnoreUnknown=1', type = TYPE, env = {} }: CallOptions = {},
): ChildProcess {
  const directory = type === TYPE ? PLUGINS : REFERENCE
  const variables = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_COMMAND: verb,
    CNI_CONTAINERID: id,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_ARGS: args,
    CNI_PATH: `${PLUGINS}:${REFERENCE}`,
    ...env,
  }
  const assignments = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  return lab.spawn(host, ['env', '-i', ...assignments, `${directory}/${type}`])
}

export function call(
  lab: Lab,
  host: string,
  verb: string,
  who: Who,
  stdin: string,
  options: CallOptions = {},
): Promise<RunResult> {
  return collect(startCall(lab, host, verb, who, options), { input: stdin })
}

/** Fails unless it succeeded without a word. */
export function assertSilent(answer: RunResult, what: string): void {
  assert.equal(answer.exitCode, 0, `${what}: ${answer.stdout}${answer.stderr}`)
  assert.equal(answer.stdout, '', what)
}

/** The result of an ADD that succeeded, as text too: what a runtime hands on is exactly that. */
export function resultOf(answer: RunResult, what: string): Result {
  assert.equal(answer.exitCode, 0, `${what}: ${answer.stdout}${answer.stderr}`)
  return JSON.parse(answer.stdout) as Result
}

/** Codes that are the program's own. */
export const OWN = 'its own'

/** Fails unless it was refused with one of the codes, by one object with these words in it. */
export function assertRefused(
  answer: RunResult,
  codes: readonly (number | typeof OWN)[],
  ...words: readonly (string | RegExp)[]
): void {
  const said = `exit ${answer.exitCode}: ${answer.stdout}${answer.stderr}`
  assert.equal(answer.exitCode, 1, said)
  const {
    code,
    msg,
    details = '',
  } = JSON.parse(answer.stdout) as {
    readonly code: number
    readonly msg: string
    readonly details?: string
  }
  const fits = codes.some((wanted) =>
    wanted === OWN ? code >= 100 && code < 999 : wanted === code,
  )
  assert.ok(fits, `code ${code} is not ${codes.join(' or ')}: ${said}`)
  assert.ok(msg.length > 0, said)
  for (const word of words) {
    const text = `${msg}; ${details}`
    if (typeof word === 'string') assert.ok(text.includes(word), `no "${word}" in ${said}`)
    else assert.match(text, word)
  }
  // A runtime takes a DEL that fails with these words for a success. go-cni, Remove
  assert.doesNotMatch(answer.stdout, /not found|no such file or directory/)
}

/** What every runtime relies on: indexes that exist, MACs that parse, no interface of the host's named alike. */
export function assertSound(result: Result, { netns, ifname }: Who): void {
  for (const ip of result.ips) {
    const found = result.interfaces[ip.interface ?? -1]
    assert.ok(found !== undefined, `index ${ip.interface} of ${JSON.stringify(result)}`)
    assert.match(ip.address, /^[0-9a-f.:]+\/\d+$/)
  }
  const own = result.interfaces.filter(({ name }) => name === ifname)
  assert.deepEqual(
    own.map(({ sandbox }) => sandbox),
    [netns],
    JSON.stringify(result),
  )
  for (const { mac, sandbox } of result.interfaces) {
    if (sandbox !== undefined && sandbox !== '')
      assert.match(mac ?? '', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
  }
}

/** Addresses of the attachment without their prefix lengths. */
export function addressesOf({ ips }: Result): readonly string[] {
  return ips.map(({ address }) => address.split('/')[0] ?? '')
}
