/**
 * STATUS: whether an ADD could be served now, from what this host knows by itself. It must not depend on other hosts
 * or the shared store: runtimes that hear "not ready" start nothing, and where they refuse DEL too, nothing ends.
 */

import { messageOf, NetworkError } from '../../lib/errors.ts'
import { type CniCall, type CniDeps, delegatedCall, networkOf } from './call.ts'
import { CNI_CODE, cniError } from './errors.ts'

export async function status(deps: CniDeps, call: CniCall): Promise<void> {
  try {
    const network = networkOf(deps, call)
    const obstacle = deps.control.obstacle(network)
    if (obstacle !== undefined) {
      throw new NetworkError('exhausted', `Cannot attach: ${obstacle}`, {
        hint: `carrick status; where addresses are used up: carrick network set ${network.name} --add-subnet PREFIX`,
      })
    }
    const { delegate } = call.config
    if (delegate !== undefined) {
      await deps.delegates.tell(delegatedCall(call, delegate, 'STATUS'))
    }
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    const { hint } = error
    throw cniError(CNI_CODE.NOT_READY, messageOf(error), hint === undefined ? {} : { hint })
  }
}
