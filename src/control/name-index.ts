/** Names of endpoints: who has one in a network, for all the replica knows, and which an attach is taking. */

import { NetworkError } from '../lib/errors.ts'
import type { Network } from '../model/network.ts'
import type { Replica } from '../store/replica/replica.ts'

export class NameIndex {
  readonly #replica: Replica
  /** Names of attaches under way. */
  readonly #claimed = new Set<string>()

  constructor(replica: Replica) {
    this.#replica = replica
  }

  find(networkId: string, name: string): string | undefined {
    return this.#replica.endpointNamed(networkId, name)
  }

  /** True when nobody has the name, nor is getting it. */
  isFree(networkId: string, name: string): boolean {
    return this.find(networkId, name) === undefined && !this.#claimed.has(`${networkId} ${name}`)
  }

  /** Keeps the name for an attach; disposing lets it go. Throws `already-exists` when it is taken. */
  claim(network: Network, name: string | undefined): Disposable {
    if (name === undefined) return { [Symbol.dispose]() {} }
    const entry = `${network.id} ${name}`
    const holder = this.find(network.id, name)
    if (holder !== undefined || this.#claimed.has(entry)) {
      const endpoint = holder === undefined ? undefined : this.#replica.endpoint(holder)
      const host = endpoint === undefined ? undefined : this.#replica.host(endpoint.hostId)?.name
      throw new NetworkError(
        'already-exists',
        `Cannot attach to network ${network.name}: the name "${name}" belongs to ` +
          (holder === undefined
            ? 'an endpoint being attached'
            : `endpoint ${holder} on host ${host ?? endpoint?.hostId}`),
        { details: { network: network.name, endpoint: holder ?? name } },
      )
    }
    this.#claimed.add(entry)
    return { [Symbol.dispose]: () => void this.#claimed.delete(entry) }
  }
}
