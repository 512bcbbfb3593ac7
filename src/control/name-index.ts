/** Which endpoint has which name in which network, for all the replica knows: one look-up per attach. */

import { NetworkError } from '../lib/errors.ts'
import type { Network } from '../model/network.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'

export class NameIndex implements Disposable {
  readonly #replica: Replica
  /** `<network> <name>` to endpoint id. */
  readonly #byName = new Map<string, string>()
  /** Endpoint id to its entry above. */
  readonly #entries = new Map<string, string>()
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
    return this.#byName.get(`${networkId} ${name}`)
  }

  /** Keeps the name for an attach; disposing lets it go. Throws `already-exists` when it is taken. */
  claim(network: Network, name: string | undefined): Disposable {
    if (name === undefined) return { [Symbol.dispose]() {} }
    const entry = `${network.id} ${name}`
    const holder = this.#byName.get(entry)
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
    this.#entries.clear()
    for (const { id } of this.#replica.endpoints()) this.#read(id)
  }

  #changed(changes: readonly ReplicaChange[]): void {
    for (const change of changes) {
      if (change.kind === 'all') this.#readAll()
      else if (change.kind === 'endpoint') this.#read(change.id)
    }
  }

  #read(id: string): void {
    const before = this.#entries.get(id)
    if (before !== undefined) {
      this.#entries.delete(id)
      if (this.#byName.get(before) === id) this.#byName.delete(before)
    }
    const endpoint = this.#replica.endpoint(id)
    if (endpoint?.name === undefined) return
    const entry = `${endpoint.networkId} ${endpoint.name}`
    this.#entries.set(id, entry)
    this.#byName.set(entry, id)
  }
}
