/**
 * Prefixes that a host has chosen for a network which it will make in a moment: an engine asks for a pool first
 * and makes the network of it afterwards. Until then the choice stands in the shared store, so that no other
 * host chooses the same; it ends by itself if no network comes of it.
 */

import { NetworkError } from '../lib/errors.ts'
import type { Random } from '../lib/ids.ts'
import type { Network } from '../model/network.ts'
import type { Prefix } from '../net/prefix.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Store } from '../store/store.ts'
import { unchanged } from './ipam/claims.ts'
import { CHOSEN, chosenIn, FLAT_GUARD, NETWORKS, readTogether } from './prefix-keys.ts'
import { type SuggestSpec, suggestPrefixes } from './suggest.ts'

/** An engine makes its network within a second or never. */
const LEASE_SECONDS = 60
const ATTEMPTS = 20

export interface ChoiceSpec extends Pick<SuggestSpec, 'family' | 'length'> {
  /** Prefixes that it must not overlap besides all that the cluster knows of. */
  readonly avoid: Iterable<Prefix>
}

export interface ChoiceDeps {
  readonly store: Store
  readonly replica: Replica
  readonly random: Random
}

export class ChosenPrefixes {
  readonly #deps: ChoiceDeps
  /** The choice under way: this host makes one at a time, for each asks whether anything has changed meanwhile. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(deps: ChoiceDeps) {
    this.#deps = deps
  }

  /**
   * A free prefix that nobody else gets to choose for a minute; throws `exhausted` when none is left, `unavailable`
   * when the store does not answer.
   */
  choose(spec: ChoiceSpec): Promise<Prefix> {
    const choice = this.#last.then(() => this.#choose(spec))
    this.#last = choice.catch(() => undefined)
    return choice
  }

  async #choose({ avoid, ...spec }: ChoiceSpec): Promise<Prefix> {
    const { store, replica, random } = this.#deps
    const { id: lease } = await store.grantLease(LEASE_SECONDS)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const [guards = [], networks = [], chosen = []] = await readTogether(store, [
        { key: FLAT_GUARD },
        { prefix: NETWORKS },
        { prefix: CHOSEN },
      ])
      const surroundings = {
        networks: networks.map(({ value }): Network => JSON.parse(value)),
        hosts: replica.hosts(),
        facts: replica.facts,
        chosen: [...avoid, ...chosenIn(chosen)],
      }
      const [prefix] = suggestPrefixes(spec, surroundings, random)
      if (prefix === undefined) break
      const { succeeded } = await store.txn({
        compare: [unchanged(FLAT_GUARD, guards[0]?.modRevision ?? 0)],
        success: [
          { kind: 'put', key: `${CHOSEN}${prefix}`, value: prefix, lease },
          { kind: 'put', key: FLAT_GUARD, value: prefix },
        ],
      })
      if (succeeded) return prefix
    }
    throw new NetworkError(
      'unavailable',
      'Cannot choose a subnet: too many changes at once; try again',
    )
  }
}
