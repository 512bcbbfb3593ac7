/** Taking away networks of ours that stood for an engine's network and that nobody needs any more. */

import type { Clock } from '../../lib/clock.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Network } from '../../model/network.ts'
import type { EngineControl } from './engine-control.ts'
import { Late } from './late.ts'

export interface UnusedDeps {
  readonly control: EngineControl
  readonly clock: Clock
  readonly log: Log
}

/** How long an engine waits for it. */
const REMOVE_MS = 2_000
/** What has just gone may still stand in the shared store. */
const RETRY_MS = 20
/** Such pauses are too short to be broken off. */
const NEVER = new AbortController().signal

/** Two engines that give a network up at once each still see the other's; later one of them sees neither. */
const LOOK_AGAIN_MS = [500, 2_000, 8_000]

/**
 * Removes the network unless an endpoint or an engine's network that a user made uses it; one that is used then is
 * looked at again a few times, when nobody waits any more. Never rejects: a network that stays is told of in the log.
 */
export async function removeUnused(deps: UnusedDeps, network: Network): Promise<void> {
  await removeIfUnused(deps, network)
  if (deps.control.listNetworks().some(({ id }) => id === network.id)) void lookAgain(deps, network)
}

async function lookAgain(deps: UnusedDeps, network: Network): Promise<void> {
  for (const pauseMs of LOOK_AGAIN_MS) {
    await deps.clock.sleep(pauseMs, NEVER)
    await removeIfUnused(deps, network)
  }
}

async function removeIfUnused(
  { control, clock, log }: UnusedDeps,
  network: Network,
): Promise<void> {
  const isThere = (): boolean => control.listNetworks().some(({ id }) => id === network.id)
  const isUsed = (): boolean =>
    control.listEngineNetworks({ network: network.id }).some(({ madeByUs }) => !madeByUs) ||
    control.listEndpoints({ network: network.id }).length > 0
  const deadline = clock.monotonicMs() + REMOVE_MS
  using late = new Late(clock, REMOVE_MS)
  while (isThere() && !isUsed()) {
    try {
      return await Promise.race([control.removeNetwork(network.id), late.passed])
    } catch (error) {
      if (isNetworkError(error, 'not-found')) return
      if (!isNetworkError(error, 'conflict') || clock.monotonicMs() > deadline) {
        return log.info('network of an engine stays', { network: network.name, error })
      }
      await clock.sleep(RETRY_MS, NEVER)
    }
  }
}
