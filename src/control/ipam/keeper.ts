/**
 * The background work of address management, level-triggered: one spare block per network in use (R38),
 * single addresses nobody uses any more given back, unfinished returns and grants finished. Whatever it does
 * not get done because the store is away, it does when the store is back.
 */

import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Network } from '../../model/network.ts'
import { type Prefix, prefixFamily } from '../../net/prefix.ts'
import type { Replica } from '../../store/replica/replica.ts'
import type { Fence } from '../fence.ts'
import { areasOf } from './areas.ts'
import type { Claimer } from './claimer.ts'
import type { Granter } from './granter.ts'
import type { Recovery } from './recovery.ts'
import type { Territory } from './territory.ts'

const PERIOD_MS = 30_000
const RETRY_MS = 1_000

export interface KeeperDeps {
  readonly replica: Replica
  readonly territory: Territory
  readonly claimer: Claimer
  readonly granter: Granter
  readonly recovery: Recovery
  readonly fence: Fence
  readonly clock: Clock
  readonly log: Log
  /** How long no spare is claimed after somebody lacked blocks, or none was free. */
  readonly spareHoldMs: number
}

export class Keeper {
  readonly #deps: KeeperDeps
  readonly #dirty = new Set<string>()
  readonly #noSpareUntil = new Map<string, number>()
  #wake = Promise.withResolvers<void>()
  /** Runs from the first pause until it is over. */
  #period: Promise<void> | undefined
  #periodOver = false
  #woken = true
  #told = false

  constructor(deps: KeeperDeps) {
    this.#deps = deps
  }

  /** Looks after the network soon. */
  touch(networkId: string): void {
    this.#dirty.add(networkId)
    this.wake()
  }

  /** Makes a pass soon. */
  wake(): void {
    this.#woken = true
    this.#wake.resolve()
  }

  /** Looks after everything soon. */
  touchAll(): void {
    for (const network of this.#deps.replica.networks()) this.#dirty.add(network.id)
    this.wake()
  }

  /** No spare for the network for a while. */
  scarce(networkId: string): void {
    const until = this.#deps.clock.monotonicMs() + this.#deps.spareHoldMs
    this.#noSpareUntil.set(networkId, until)
  }

  /** Works until the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const finished = await this.#round(signal)
      if (finished && this.#woken) continue
      // After a failure only time helps; otherwise any change does.
      if (!finished) await this.#deps.clock.sleep(RETRY_MS, signal).catch(() => undefined)
      if (!finished || !(await this.#pause(signal))) continue
      this.#deps.recovery.suspect()
      for (const id of this.#deps.territory.networksInUse()) this.#dirty.add(id)
    }
  }

  /** Until something is to be done; true when that is because the period is over. Wakes do not prolong it. */
  async #pause(signal: AbortSignal): Promise<boolean> {
    this.#period ??= this.#deps.clock.sleep(PERIOD_MS, signal).then(
      () => {
        this.#periodOver = true
        this.#wake.resolve()
      },
      () => this.#wake.resolve(),
    )
    // It may have ended before the last round, which waits for wakes that come after its beginning.
    if (!this.#periodOver) await this.#wake.promise
    if (!this.#periodOver) return false
    this.#period = undefined
    this.#periodOver = false
    return true
  }

  /** One pass over what is to be done; false when the store did not let it finish. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { fence, replica, log } = this.#deps
    if (fence.reason !== undefined || !replica.complete) {
      this.#dirty.clear()
      this.#woken = false
      this.#wake = Promise.withResolvers<void>()
      return true
    }
    this.#woken = false
    this.#wake = Promise.withResolvers<void>()
    try {
      await this.#work(signal)
      this.#told = false
      return true
    } catch (error) {
      // Told once until it works again: the store's absence is the replica's news.
      if (!this.#told && !isNetworkError(error, 'unavailable')) {
        this.#told = true
        log.warn('addresses not looked after', { error: messageOf(error) })
      }
      return false
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { claimer, granter, recovery, replica } = this.#deps
    await claimer.settleReturns()
    await recovery.review(signal)
    // Until every host has said what it has, a missing claim proves nothing.
    if (!recovery.inProgress) await granter.reviewGrants()
    for (const id of [...this.#dirty]) {
      this.#dirty.delete(id)
      const network = replica.network(id)
      if (network === undefined) continue
      try {
        await this.#releaseIdle(network)
        await this.#claimSpare(network)
      } catch (error) {
        this.#dirty.add(id)
        throw error
      }
    }
  }

  /** Gives back single addresses that no endpoint of this host has or is about to have. */
  async #releaseIdle(network: Network): Promise<void> {
    const { territory, claimer } = this.#deps
    const claimed = [...territory.holding(network.id).addresses.keys()]
    if (claimed.length === 0) return
    const pool = territory.pool(network)
    for (const address of claimed) {
      if (pool.holderOf(address) === undefined) await claimer.giveBack(network.id, address)
    }
  }

  async #claimSpare(network: Network): Promise<void> {
    const { territory, clock } = this.#deps
    if ((this.#noSpareUntil.get(network.id) ?? 0) > clock.monotonicMs()) return
    const pool = territory.pool(network)
    if (!pool.inUse) return
    for (const family of new Set(network.prefixes.map(prefixFamily))) {
      const ranges = network.docker?.ranges.filter((range) => prefixFamily(range) === family) ?? []
      const areas = areasOf(network, family, ranges.length === 0 ? undefined : ranges)
      if (areas.some((area) => pool.emptyBlocksIn(area).length > 0)) continue
      if (!(await this.#claimOne(network, areas))) this.scarce(network.id)
    }
  }

  async #claimOne(network: Network, areas: readonly Prefix[]): Promise<boolean> {
    for (const area of areas) {
      if (await this.#deps.claimer.claimBlock(network, area)) return true
    }
    return false
  }
}
