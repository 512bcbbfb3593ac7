/** What the journal has of this host's container engine: its endpoints, the addresses it holds, its networks. */

import type { Endpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS, type EngineNetwork } from '../model/engine-network.ts'
import { parseKey, ROOT } from '../model/keys.ts'
import type { IP } from '../net/ip.ts'
import type { Journal, JournalRecord } from '../store/journal/journal.ts'
import type { EndpointChange, OwnEndpoints } from './own-endpoints.ts'

export class EngineIndex implements Disposable {
  readonly #hostId: string
  readonly #endpoints = new Map<string, Endpoint>()
  /** Ids of held endpoints, by network and address. */
  readonly #held = new Map<string, string>()
  /** Ids of endpoints, by the engine's ids of them. */
  readonly #plugged = new Map<string, string>()
  readonly #networks = new Map<string, EngineNetwork>()
  readonly #stop: readonly (() => void)[]

  constructor(journal: Journal, own: OwnEndpoints, hostId: string) {
    this.#hostId = hostId
    this.#networksChanged(journal.list(`${ROOT}engine-networks/`))
    this.#stop = [
      journal.subscribe((records) => this.#networksChanged(records)),
      own.follow((change) => this.#endpointChanged(change)),
    ]
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop) stop()
  }

  endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values()
  }

  held(networkId: string, address: IP): Endpoint | undefined {
    return this.#endpoints.get(this.#held.get(`${networkId} ${address}`) ?? '')
  }

  plugged(engineEndpointId: string): Endpoint | undefined {
    return this.#endpoints.get(this.#plugged.get(engineEndpointId) ?? '')
  }

  network(engineNetworkId: string): EngineNetwork | undefined {
    return this.#networks.get(engineNetworkId)
  }

  /** One that was bound to another network is deleted there in the same commit, before or after. */
  #networksChanged(records: readonly JournalRecord[]): void {
    for (const { key, value } of records) {
      const parsed = parseKey(key)
      if (parsed?.kind !== 'engine-network' || parsed.hostId !== this.#hostId) continue
      const { id, networkId } = parsed
      if (value !== undefined) this.#networks.set(id, JSON.parse(value))
      else if (this.#networks.get(id)?.networkId === networkId) this.#networks.delete(id)
    }
  }

  #endpointChanged({ before, after }: EndpointChange): void {
    if (before !== undefined) this.#forget(before)
    if (after?.attachment === undefined) return
    const { id, networkId, addresses, attachment, labels } = after
    this.#endpoints.set(id, after)
    const engineId = labels[ENGINE_LABELS.endpoint]
    if (attachment === 'engine' && engineId !== undefined) this.#plugged.set(engineId, id)
    if (attachment !== 'held') return
    for (const address of addresses) this.#held.set(`${networkId} ${address}`, id)
  }

  #forget({ id, networkId, addresses, labels }: Endpoint): void {
    this.#endpoints.delete(id)
    const engineId = labels[ENGINE_LABELS.endpoint]
    if (engineId !== undefined && this.#plugged.get(engineId) === id) this.#plugged.delete(engineId)
    for (const address of addresses) {
      const place = `${networkId} ${address}`
      if (this.#held.get(place) === id) this.#held.delete(place)
    }
  }
}
