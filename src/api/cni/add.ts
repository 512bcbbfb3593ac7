/**
 * ADD: addresses from the IPAM plug-in, if one is named; then one attach like any other; then the result behind that of
 * the chain so far. What fails leaves nothing behind, and what nobody waits for any more is taken back.
 */

import type { CniAttachment } from '../../control/cni-control.ts'
import type { AttachedEndpoint } from '../../control/control.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Delegate } from '../../model/cni.ts'
import type { Network } from '../../model/network.ts'
import { type AttachConfig, readAttachConfig } from './attach-config.ts'
import { attachSpecOf, refuseMtu } from './attach-spec.ts'
import { attachedResult } from './attached-result.ts'
import {
  attachmentIn,
  type CniCall,
  type CniDeps,
  delegatedCall,
  netnsError,
  networkOf,
} from './call.ts'
import { readPrevious } from './config.ts'
import { drop } from './del.ts'
import { delegateRecord } from './delegate.ts'
import { type Precedence, precedenceOf } from './precedence.ts'
import { type CniDns, type CniResult, chainResults, isEmptyDns } from './result.ts'

/** What every step of one ADD knows. */
interface Addition {
  readonly call: CniCall
  readonly asked: AttachConfig
  readonly network: Network
}

export async function add(deps: CniDeps, call: CniCall): Promise<CniResult> {
  const { control } = deps
  const { config, environment } = call
  const asked = readAttachConfig(config, environment.args)
  const previous = readPrevious(config)
  const network = networkOf(deps, call)
  if (control.inspector.isOwn(environment.netns)) {
    throw netnsError(environment.netns, 'the host itself lives in that namespace')
  }
  refuseMtu(asked.mtuBytes, control.shapes.shapeOf({}, network).mtuBytes, network)
  const attachment = attachmentIn(call)
  await clearTheWay(deps, call)
  const addition = { call, asked, network }
  let dns = asked.dns
  const { endpoint } = await control.attachCniWith(attachment, async (attach) => {
    const own = async (given?: CniResult, delegate?: Delegate): Promise<AttachedEndpoint> => {
      dns ??= namesOf(given)
      const spec = {
        ...specOf(deps, addition, given),
        ...podmansPrecedence(deps, addition),
        signal: call.gone,
      }
      return attach(delegate === undefined ? spec : { ...spec, delegate })
    }
    const { delegate } = config
    return await noted(deps, attachment, () =>
      delegate === undefined ? own() : withDelegate(deps, call, delegate, own),
    )
  })
  const ours = attachedResult(endpoint, network, control.shapes, {
    netns: environment.netns,
    dns,
  })
  return previous === undefined ? ours : chainResults(previous, ours)
}

/** Its DEL may have come while the daemon was away, or never will because its namespace went first. */
async function clearTheWay(deps: CniDeps, call: CniCall): Promise<void> {
  const { control } = deps
  const attachment = attachmentIn(call)
  const stands = control.cniEndpoint(attachment) !== undefined
  if (stands || call.config.delegate !== undefined) await deps.replaySpool()
  const before = control.cniEndpoint(attachment)
  if (before !== undefined && control.inspector.isLost(before)) await drop(deps, attachment)
}

/** While nobody has the answer there is a note of it; also afterwards, if the daemon ends before all is taken back. */
async function noted(
  { control, underway }: CniDeps,
  attachment: CniAttachment,
  make: () => Promise<AttachedEndpoint>,
): Promise<AttachedEndpoint> {
  const note = underway.begin(attachment)
  try {
    const attached = await make()
    note[Symbol.dispose]()
    return attached
  } catch (error) {
    if (control.cniEndpoint(attachment) === undefined) note[Symbol.dispose]()
    throw error
  }
}

/** What the IPAM plug-in gave goes back to it when anything fails. */
async function withDelegate(
  { delegates }: CniDeps,
  call: CniCall,
  type: string,
  attach: (given: CniResult, delegate: Delegate) => Promise<AttachedEndpoint>,
): Promise<AttachedEndpoint> {
  const { environment, config } = call
  try {
    const given = await delegates.add(delegatedCall(call, type, 'ADD'))
    return await attach(given, delegateRecord(type, environment.path, config, environment.args))
  } catch (error) {
    await delegates.release(delegatedCall(call, type, 'DEL'))
    throw error
  }
}

function specOf({ control }: CniDeps, { call, asked, network }: Addition, given?: CniResult) {
  const { environment, config } = call
  const { containerId } = environment
  const published =
    asked.portMappings.length === 0
      ? []
      : control.cniEndpointsOf(containerId).flatMap(({ id }) => control.publicationsOf(id))
  return attachSpecOf({ environment, config, asked, network, given, published })
}

/** Of others the order of their calls counts. */
function podmansPrecedence({ control }: CniDeps, { call, asked, network }: Addition): Precedence {
  const { name, namespace } = asked.pod
  const isPodmans = name !== undefined && namespace === undefined
  if (!isPodmans || asked.isDefaultGateway === false) return {}
  const { containerId, ifname } = call.environment
  return precedenceOf(control, containerId, ifname, network)
}

function namesOf(given: CniResult | undefined): CniDns | undefined {
  return given === undefined || isEmptyDns(given.dns) ? undefined : given.dns
}

/** What opening the namespace came to, in the words for runtimes; everything else as it is. */
export function asNetnsError(error: unknown, netns: string): unknown {
  const opened = isNetworkError(error, 'not-found') || isNetworkError(error, 'invalid')
  if (!opened || error.details['netns'] !== netns) return error
  const found = error.message.slice(error.message.indexOf(': ') + 2)
  return netnsError(netns, found)
}
