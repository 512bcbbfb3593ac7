/**
 * Addresses that swarm's managers give to tasks before anybody knows where those run. Each is reserved in the
 * cluster, under a name made of itself, until a manager lets it go, whoever that is by then. The node that starts
 * the task asks for the address by that name, and gets it whichever host's block it lies in.
 */

import { isNetworkError } from '../../lib/errors.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import { prefixFamily } from '../../net/prefix.ts'
import type { EngineControl } from './engine-control.ts'
import { type PoolName, poolIdOf } from './pool-id.ts'

/** Somebody else may take what was chosen, before it is reserved. */
const ATTEMPTS = 8

export class SwarmAddresses {
  readonly #control: EngineControl

  constructor(control: EngineControl) {
    this.#control = control
  }

  /** The wanted address, again when it is reserved already; else a free one. */
  async take(network: Network, pool: PoolName, wanted: IP | undefined): Promise<IP> {
    for (let attempt = 1; ; attempt++) {
      const address = wanted ?? (await this.#choose(network, pool))
      if (wanted !== undefined && this.#has(network, address)) return address
      try {
        const name = taskName(address)
        await this.#control.reserve({ network: network.id, name, addresses: [address] })
        return address
      } catch (error) {
        if (!isNetworkError(error, 'already-exists')) throw error
        if (wanted !== undefined && this.#has(network, address)) return address
        if (wanted !== undefined || attempt === ATTEMPTS) throw error
      }
    }
  }

  /** Content when it is nobody's. */
  async release(network: Network, address: IP): Promise<void> {
    if (!this.#has(network, address)) return
    try {
      await this.#control.unreserve(network.id, taskName(address))
    } catch (error) {
      if (!isNetworkError(error, 'not-found')) throw error
    }
  }

  #has(network: Network, address: IP): boolean {
    const name = taskName(address)
    return this.#control
      .listReservations(network.id)
      .some(({ reservation }) => reservation.name === name)
  }

  /** One that this host could give to an endpoint of its own now, and will not choose again for a while. */
  async #choose(network: Network, pool: PoolName): Promise<IP> {
    const { address } = await this.#control.holdAddress({
      network: network.id,
      within: pool.range ?? pool.prefix,
      family: prefixFamily(pool.prefix),
      labels: { [ENGINE_LABELS.pool]: poolIdOf(pool) },
    })
    await this.#control.releaseHeld(network.id, address)
    return address
  }
}

/** Who an address is reserved for until its task is there: `swarm-10-91-0-5`. */
export function taskName(address: IP): string {
  return `swarm-${address.replace(/[.:]/g, '-')}`
}
