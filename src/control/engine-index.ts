/** What the journal has of this host's container engine: its endpoints, the addresses it holds, its networks. */

import type { Endpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS, type EngineNetwork } from '../model/engine-network.ts'
import { HOST_RECORD_ROOTS, parseHostRecordKey } from '../model/keys.ts'
import type { IP } from '../net/ip.ts'
import type { Journal, JournalRecord } from '../store/journal/journal.ts'

export class EngineIndex implements Disposable {
  readonly #hostId: string
  readonly #endpoints = new Map<string, Endpoint>()
  /** Ids of held endpoints, by network and address. */
  readonly #held = new Map<string, string>()
  /** Ids of endpoints, by the engine's ids of them. */
  readonly #plugged = new Map<string, string>()
  readonly #networks = new Map<string, EngineNetwork>()
  readonly #stop: () => void

  constructor(journal: Journal, hostId: string) {
    this.#hostId = hostId
    for (const root of HOST_RECORD_ROOTS) this.#changed(journal.list(root))
    this.#stop = journal.subscribe((records) => this.#changed(records))
  }

  [Symbol.dispose](): void {
    this.#stop()
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

  #changed(records: readonly JournalRecord[]): void {
    for (const { key, value } of records) {
      const parsed = parseHostRecordKey(key)
      if (parsed?.hostId !== this.#hostId) continue
      if (parsed.kind === 'engine-network') this.#networkChanged(parsed.id, parsed.networkId, value)
      if (parsed.kind === 'endpoint') this.#endpointChanged(parsed.id, value)
    }
  }

  /** One that was bound to another network is deleted there in the same commit, before or after. */
  #networkChanged(id: string, networkId: string, value: string | undefined): void {
    if (value !== undefined) this.#networks.set(id, JSON.parse(value))
    else if (this.#networks.get(id)?.networkId === networkId) this.#networks.delete(id)
  }

  #endpointChanged(id: string, value: string | undefined): void {
    const before = this.#endpoints.get(id)
    if (before !== undefined) this.#forget(before)
    const endpoint: Endpoint | undefined = value === undefined ? undefined : JSON.parse(value)
    if (endpoint?.attachment === undefined) return
    this.#endpoints.set(id, endpoint)
    const engineId = endpoint.labels[ENGINE_LABELS.endpoint]
    if (endpoint.attachment === 'engine' && engineId !== undefined) this.#plugged.set(engineId, id)
    if (endpoint.attachment !== 'held') return
    for (const address of endpoint.addresses) {
      this.#held.set(`${endpoint.networkId} ${address}`, id)
    }
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
