/**
 * Standard input of a call: the plug-in's object of the list with what the runtime put into it. Here is what every
 * verb reads of it, in the order of the reference plug-ins; what an ADD asks for besides is in `attach-config.ts`.
 * What is not known is let through.
 */

import type { CniVersion } from '../../cni/exchange.ts'
import type { NetworkError } from '../../lib/errors.ts'
import type { Verb } from './environment.ts'
import { CNI_CODE, cniError } from './errors.ts'
import { Fields, isJsonObject, type JsonObject, wrongType } from './fields.ts'
import type { CniResult } from './result.ts'
import { readResult } from './result-read.ts'
import { checkVerbAt, readVersion } from './versions.ts'

export interface CniConfig {
  readonly cniVersion: CniVersion
  /** Name of the CNI network: with container and interface it makes the attachment. */
  readonly name: string
  /** Name or id of ours: key `network`, else the CNI network's name. */
  readonly network: string
  /** The IPAM plug-in that gives the addresses; absent: we do. */
  readonly delegate: string | undefined
  /** The whole object as it came. */
  readonly object: JsonObject
}

/** One of the attachments that GC must keep. */
export interface Attachment {
  readonly containerId: string
  readonly ifname: string
}

/** Spec 1.1.0 "Network configuration format", key `name`. */
const NETWORK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
/** A file's name, without a way to it. */
const PLUGIN_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
/** In ipam.type: addresses are ours to give. */
const OWN_IPAM = 'carrick'

/** Reads standard input; throws codes 6, 7, 6 and 1, in this order. */
export function readConfig(stdin: string, verb: Verb): CniConfig {
  const object = parseObject(stdin)
  const fields = new Fields(object)
  const name = fields.text('name') ?? ''
  if (!NETWORK_NAME.test(name)) {
    const found = name === '' ? 'name is missing' : `name is "${name}"`
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      `Cannot take the network configuration: ${found}; letters and digits, and behind the first also _ . -`,
      { hint: 'name the network in its list: "name": "blue"' },
    )
  }
  const cniVersion = readVersion(fields.text('cniVersion') ?? '', 'cniVersion')
  checkVerbAt(verb, cniVersion)
  return {
    cniVersion,
    name,
    network: fields.text('network') ?? name,
    delegate: readDelegate(fields),
    object,
  }
}

/** The result of the chain so far, or of the whole chain (CHECK, DEL); throws codes 1, 6 and 7. */
export function readPrevious({ object, cniVersion }: CniConfig): CniResult | undefined {
  const fields = new Fields(object)
  return fields.value('prevResult') === undefined
    ? undefined
    : readResult(fields.object('prevResult'), cniVersion)
}

/**
 * What a GC must keep. Throws code 7 when nothing is said: an omission must not destroy anything. The older of both
 * keys stood in the first print of 1.1.0.
 */
export function readValidAttachments({ object }: CniConfig): readonly Attachment[] {
  const key = ['cni.dev/valid-attachments', 'cni.dev/attachments'].find((one) =>
    Object.hasOwn(object, one),
  )
  if (key === undefined) {
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      'Cannot collect garbage: cni.dev/valid-attachments is missing, which says what is to be kept',
      { hint: 'an empty list there means that nothing is kept' },
    )
  }
  return new Fields(object).objects(key).map((fields) => {
    const containerId = fields.text('containerID')
    const ifname = fields.text('ifname')
    if (containerId === undefined) throw wrongType(fields.wayTo('containerID'), 'text')
    if (ifname === undefined) throw wrongType(fields.wayTo('ifname'), 'text')
    return { containerId, ifname }
  })
}

function parseObject(stdin: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(stdin)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const found = stdin.trim() === '' ? 'it is empty' : 'it is no JSON, or not all of it'
    throw undecodable(found)
  }
  if (!isJsonObject(value)) throw undecodable('it is no JSON object')
  return value
}

function undecodable(found: string): NetworkError {
  return cniError(
    CNI_CODE.DECODING_FAILURE,
    `Cannot read the network configuration on standard input: ${found}`,
    { hint: 'a CNI runtime writes it there; by hand: cnitool' },
  )
}

function readDelegate(fields: Fields): string | undefined {
  const name = fields.object('ipam').text('type')
  if (name === undefined || name === OWN_IPAM || name === fields.text('type')) return undefined
  if (PLUGIN_NAME.test(name)) return name
  throw cniError(
    CNI_CODE.INVALID_CONFIG,
    `Cannot take ipam.type "${name}": the name of a plug-in in CNI_PATH is needed`,
    { hint: 'leave ipam out, and the network gives the addresses' },
  )
}
