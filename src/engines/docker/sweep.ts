/** Takes away what is left of what the engine has forgotten. */

import { isNetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { ENGINE_LABELS, NETWORK_LABELS } from '../../model/engine-network.ts'
import type { FollowerControl } from './engine-control.ts'
import type { Orphans } from './orphans.ts'

export interface SweepDeps {
  readonly control: FollowerControl
  readonly log: Log
}

/** True when nothing is left. */
export async function sweep(orphans: Orphans, { control, log }: SweepDeps): Promise<boolean> {
  const work = [
    ...orphans.endpoints.map(async ({ id, labels, addresses }) => {
      await control.unplug(labels[ENGINE_LABELS.endpoint] ?? '')
      log.info('endpoint removed: the engine has forgotten it', {
        endpoint: id,
        address: addresses.join(' '),
      })
    }),
    ...orphans.held.map(async ({ networkId, addresses }) => {
      for (const address of addresses) await control.releaseHeld(networkId, address)
      log.info('address released: the engine has forgotten it', { address: addresses.join(' ') })
    }),
    ...orphans.pools.map(async ({ poolId }) => {
      control.dropPendingPool(poolId)
      const network = control
        .listNetworks()
        .find(({ labels }) => labels[NETWORK_LABELS.pool] === poolId)
      if (network !== undefined) await control.removeNetwork(network.id)
      log.info('pool dropped: the engine made no network of it', { prefix: poolId })
    }),
  ]
  let done = true
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'fulfilled') continue
    const error: unknown = result.reason
    if (!isNetworkError(error)) throw error
    done = false
    log.warn('what the engine has forgotten stays for now', { error: error.message })
  }
  return done
}
