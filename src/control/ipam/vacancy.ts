/**
 * Empties a subnet that is to go: this host gives back what nobody uses of it, other hosts are asked to do the
 * same. Only the owner of a block can tell that it is empty, so a removal waits until the store shows none.
 */

import type { Network } from '../../model/network.ts'
import { type Prefix, prefixContains } from '../../net/prefix.ts'
import type { Asker } from './asker.ts'
import type { Claimer } from './claimer.ts'
import type { Territory } from './territory.ts'

export interface VacancyDeps {
  readonly territory: Territory
  readonly claimer: Claimer
  readonly asker: Asker
  /** Is told that no spare block of the network is to be claimed for a while. */
  readonly scarce: (networkId: string) => void
  /** How long hosts have to give back what is empty, in milliseconds. */
  readonly answerMs: number
}

export class Vacancy {
  readonly #deps: VacancyDeps

  constructor(deps: VacancyDeps) {
    this.#deps = deps
  }

  /**
   * Empties the prefixes and makes the attempt until it succeeds, at most for the time hosts have to answer;
   * false when it never did.
   */
  async vacate(
    network: Network,
    prefixes: readonly Prefix[],
    attempt: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { territory, asker, scarce, answerMs } = this.#deps
    const emptied = async (): Promise<boolean> => {
      await this.#giveBack(network, prefixes)
      return attempt()
    }
    scarce(network.id)
    if (await emptied()) return true
    const changed = (): Promise<void> => territory.changed()
    return asker.withBlockRequest(network, answerMs, emptied, changed, signal)
  }

  async #giveBack(network: Network, prefixes: readonly Prefix[]): Promise<void> {
    const { territory, claimer } = this.#deps
    const pool = territory.pool(network)
    for (const block of prefixes.flatMap((prefix) => pool.emptyBlocksIn(prefix))) {
      await claimer.giveBack(network.id, block)
    }
    for (const address of [...territory.holding(network.id).addresses.keys()]) {
      const leaves = prefixes.some((prefix) => prefixContains(prefix, address))
      if (leaves && pool.holderOf(address) === undefined) {
        await claimer.giveBack(network.id, address)
      }
    }
  }
}
