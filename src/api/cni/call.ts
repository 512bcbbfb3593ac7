/** One call under way: what came, read, and what its verb works with. */

import type { CniRequest } from '../../cni/exchange.ts'
import type { CniAttachment, CniControl } from '../../control/cni-control.ts'
import type { Control } from '../../control/control.ts'
import type { Log } from '../../lib/log.ts'
import type { Network } from '../../model/network.ts'
import type { CniConfig } from './config.ts'
import type { DelegatedCall, Delegates } from './delegate.ts'
import type { CniEnvironment } from './environment.ts'
import { CNI_CODE, cniError } from './errors.ts'
import type { Underway } from './underway.ts'

/** The use cases that calls need. */
export type CniUses = CniControl & Pick<Control, 'getNetwork' | 'publicationsOf'>

export interface CniDeps {
  readonly control: CniUses
  readonly delegates: Delegates
  readonly underway: Pick<Underway, 'begin'>
  /** Does now what was spooled while the daemon was away. */
  readonly replaySpool: () => Promise<void>
  readonly log: Log
}

export interface CniCall {
  readonly request: CniRequest
  readonly environment: CniEnvironment
  readonly config: CniConfig
  /** Aborts when nobody waits for the answer any more. */
  readonly gone: AbortSignal
}

export function attachmentIn({ environment, config }: CniCall): CniAttachment {
  const { containerId: container, ifname } = environment
  return { network: config.name, container, ifname }
}

/** The same call for an IPAM plug-in. */
export function delegatedCall(call: CniCall, type: string, verb: string): DelegatedCall {
  const { request, environment, config } = call
  return {
    ...{ type, verb, path: environment.path, stdin: request.stdin },
    ...{ environment: request.environment, cniVersion: config.cniVersion },
  }
}

/** The network of ours that is meant; throws code 7. */
export function networkOf({ control }: CniDeps, { config }: CniCall): Network {
  try {
    return control.getNetwork(config.network)
  } catch (error) {
    throw cniError(
      CNI_CODE.INVALID_CONFIG,
      `Cannot use network "${config.network}": there is none of this name`,
      {
        hint: `carrick network create ${config.network}   # or name another: "network": "blue"`,
        cause: error,
      },
    )
  }
}

/** An error about the namespace that CNI_NETNS names. */
export function netnsError(netns: string, found: string): Error {
  return cniError(CNI_CODE.INVALID_NETNS, `Cannot use CNI_NETNS "${netns}": ${found}`, {
    hint: 'a runtime makes a namespace for each container and names it there',
  })
}
