/** The parameters of a call: the variables `CNI_*`, checked in the order of the reference plug-ins. */

import { interfaceNameProblem } from '../../model/names.ts'
import { CNI_CODE, cniError } from './errors.ts'

export const VERBS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const
export type Verb = (typeof VERBS)[number]

export interface CniEnvironment {
  readonly verb: Verb
  /** Empty for GC, STATUS and VERSION, as `netns` and `ifname` are. */
  readonly containerId: string
  /** Path of the network namespace, as given; a DEL may come without. */
  readonly netns: string
  readonly ifname: string
  /** CNI_ARGS as given: `arguments.ts` reads it. */
  readonly args: string
  /** Where delegates are looked for. */
  readonly path: readonly string[]
}

/** Variables that a verb cannot do without, in the order they are told. CNI_PATH only delegation needs. */
const NEEDED: Readonly<Record<Verb, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  GC: [],
  STATUS: [],
  VERSION: [],
}

/** Spec 1.1.0, "Parameters", and utils.ValidateContainerID of the Go library. */
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** Checks the variables; throws with code 4, naming all that are missing at once. */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
): CniEnvironment {
  const value = (name: string) => variables[name] ?? ''
  const verb = VERBS.find((known) => known === value('CNI_COMMAND'))
  if (verb === undefined) {
    throw wrong(
      `Cannot do CNI_COMMAND "${value('CNI_COMMAND')}": it is not one of ${VERBS.join(', ')}`,
    )
  }
  const missing = NEEDED[verb].filter((name) => value(name) === '')
  if (missing.length > 0) {
    throw wrong(`Cannot do ${verb}: without value are the variables ${missing.join(', ')}`)
  }
  const attachment = NEEDED[verb].length > 0
  if (attachment) checkAttachment(value('CNI_CONTAINERID'), value('CNI_IFNAME'))
  return {
    verb,
    containerId: attachment ? value('CNI_CONTAINERID') : '',
    netns: attachment ? value('CNI_NETNS') : '',
    ifname: attachment ? value('CNI_IFNAME') : '',
    args: value('CNI_ARGS'),
    path: value('CNI_PATH')
      .split(':')
      .filter((directory) => directory !== ''),
  }
}

/** Also what a list of attachments (GC) must hold; throws with code 4. */
function checkAttachment(containerId: string, ifname: string): void {
  if (!CONTAINER_ID.test(containerId)) {
    throw wrong(
      `Cannot take CNI_CONTAINERID "${containerId}": letters and digits, and behind the first also _ . -`,
    )
  }
  const problem = interfaceNameProblem(ifname)
  if (problem !== undefined) throw wrong(`Cannot take CNI_IFNAME "${ifname}": ${problem}`)
}

function wrong(message: string) {
  return cniError(CNI_CODE.INVALID_ENVIRONMENT, message, {
    hint: 'A CNI runtime sets these variables; see its log for what it ran',
  })
}
