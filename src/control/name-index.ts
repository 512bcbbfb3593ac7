/** Which endpoint has which name in which network, for all the replica knows: one look-up per attach. */

import { NetworkError } from '../lib/errors.ts'
import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import type { Network } from '../model/network.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'

type Named = Endpoint | PublishedEndpoint

export class NameIndex implements Disposable {
  readonly #replica: Replica
  /** Network id and name to endpoint. The records are the replica's: an entry costs little more than its place. */
  readonly #byName = new Map<string, Map<string, Named>>()
  readonly #byId = new Map<string, Named>()
  /** Names of attaches under way. */
  readonly #claimed = new Set<string>()
  readonly #stop: () => void

  constructor(replica: Replica) {
    this.#replica = replica
    this.#readAll()
    this.#stop = replica.subscribe((changes) => this.#changed(changes))
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  find(networkId: string, name: string): string | undefined {
    return this.#byName.get(networkId)?.get(name)?.id
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

  #readAll(): void {
    this.#byName.clear()
    this.#byId.clear()
    for (const { id } of this.#replica.endpoints()) this.#read(id)
  }

  #changed(changes: readonly ReplicaChange[]): void {
    for (const change of changes) {
      if (change.kind === 'all') this.#readAll()
      else if (change.kind === 'endpoint') this.#read(change.id)
    }
  }

  #read(id: string): void {
    const before = this.#byId.get(id)
    if (before?.name !== undefined) {
      this.#byId.delete(id)
      const names = this.#byName.get(before.networkId)
      if (names?.get(before.name)?.id === id) names.delete(before.name)
    }
    const endpoint = this.#replica.endpoint(id)
    if (endpoint?.name === undefined) return
    const names = this.#byName.get(endpoint.networkId) ?? new Map<string, Named>()
    this.#byName.set(endpoint.networkId, names.set(endpoint.name, endpoint))
    this.#byId.set(id, endpoint)
  }
}
