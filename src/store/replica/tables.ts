/**
 * The replica's memory: one table per kind of record, what a host has in a network also by network and by
 * host. Every change goes through `put` and `remove`, which say what is different afterwards, or that nothing is.
 */

import type { AddressClaim, Block } from '../../model/block.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import type { EngineNetwork } from '../../model/engine-network.ts'
import type { Alive, Host, HostFacts, HostStatus } from '../../model/host.ts'
import { keys, type ParsedKey, parseHostRecordKey } from '../../model/keys.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import type { Reservation } from '../../model/reservation.ts'
import { EndpointTable } from './endpoint-table.ts'
import { Bundles, Groups } from './groups.ts'
import { type Item, sameRecord } from './records.ts'
import type { ReplicaChange } from './replica.ts'

type AnyEndpoint = Endpoint | PublishedEndpoint

export class Tables {
  readonly networks = new Map<string, Network>()
  readonly networkIds = new Map<string, string>()
  readonly hosts = new Map<string, Host>()
  readonly alive = new Map<string, Alive>()
  readonly facts = new Map<string, HostFacts>()
  readonly status = new Map<string, HostStatus>()
  readonly endpoints = new EndpointTable()
  readonly publications = new HostRecords<Publication>()
  readonly publicationsByEndpoint = new Bundles<Publication>()
  readonly engineNetworks = new Groups<EngineNetwork>()
  readonly blocks = new Groups<Block>()
  readonly addresses = new Groups<AddressClaim>()
  readonly reservations = new Groups<Reservation>()

  /** True when the record stands there already, word for word. */
  has(key: string, item: Item): boolean {
    if (item.kind === 'endpoint') return this.endpoints.has(item.record)
    return sameRecord(this.#get(key, item), item.record)
  }

  /** Takes the record in; the change to tell, or undefined when nothing others look at is different. */
  put(key: string, item: Item): ReplicaChange | undefined {
    if (this.has(key, item)) return undefined
    switch (item.kind) {
      case 'network':
        this.#forgetName(item.id)
        this.networks.set(item.id, item.record)
        this.networkIds.set(item.record.name, item.id)
        return { kind: item.kind, id: item.id }
      case 'host':
        return this.putHost(item.record) ? { kind: item.kind, id: item.id } : undefined
      case 'alive':
        this.alive.set(item.id, item.record)
        return { kind: item.kind, id: item.id }
      case 'facts':
        this.facts.set(item.id, item.record)
        return { kind: item.kind, id: item.id }
      case 'status':
        this.status.set(item.id, item.record)
        return { kind: item.kind, id: item.id }
      case 'endpoint':
        return this.putEndpoint(item.record)
      case 'publication':
        return this.putPublication(item.record)
      case 'engine-network':
        return this.putEngineNetwork(item.record)
      case 'block':
        this.blocks.put(item.networkId, key, item.record)
        return { kind: item.kind, networkId: item.networkId }
      case 'address':
        this.addresses.put(item.networkId, key, item.record)
        return { kind: item.kind, networkId: item.networkId }
      case 'reservation':
        this.reservations.put(item.networkId, key, item.record)
        return { kind: item.kind, networkId: item.networkId }
      default:
        return item satisfies never
    }
  }

  /** Takes the record at the key away; the change to tell, or undefined when there was none. */
  remove(key: string, parsed: ParsedKey): ReplicaChange | undefined {
    switch (parsed.kind) {
      case 'network':
        this.#forgetName(parsed.networkId)
        return gone(this.networks.delete(parsed.networkId), 'network', parsed.networkId)
      case 'host':
        return gone(this.hosts.delete(parsed.hostId), 'host', parsed.hostId)
      case 'alive':
        return gone(this.alive.delete(parsed.hostId), 'alive', parsed.hostId)
      case 'facts':
        return gone(this.facts.delete(parsed.hostId), 'facts', parsed.hostId)
      case 'status':
        return gone(this.status.delete(parsed.hostId), 'status', parsed.hostId)
      case 'endpoint':
        return this.removeEndpoint(parsed.id)
      case 'publication':
        // One that moved to another network stands there by now, in whichever order that is told.
        if (this.publications.get(parsed.id)?.networkId !== parsed.networkId) return undefined
        return this.removePublication(parsed.id)
      case 'engine-network':
        return this.removeEngineNetwork(key)
      case 'block':
        return goneFrom(this.blocks, key, parsed)
      case 'address':
        return goneFrom(this.addresses, key, parsed)
      case 'reservation':
        return goneFrom(this.reservations, key, parsed)
      default:
        return parsed satisfies never
    }
  }

  /** True when the host differs in more than how far it has published. */
  putHost(host: Host): boolean {
    const before = this.hosts.get(host.id)
    this.hosts.set(host.id, host)
    if (before === undefined) return true
    return !sameRecord({ ...before, publishedSequence: host.publishedSequence }, host)
  }

  putEndpoint(endpoint: AnyEndpoint): ReplicaChange | undefined {
    if (!this.endpoints.put(endpoint)) return undefined
    const { id, networkId, hostId } = endpoint
    return { kind: 'endpoint', id, networkId, hostId }
  }

  removeEndpoint(id: string): ReplicaChange | undefined {
    const before = this.endpoints.remove(id)
    return before && { kind: 'endpoint', id, networkId: before.networkId, hostId: before.hostId }
  }

  putPublication(publication: Publication): ReplicaChange | undefined {
    const { id, networkId, hostId, endpointId } = publication
    const before = this.publications.get(id)
    if (!this.publications.put(publication)) return undefined
    if (before !== undefined) this.publicationsByEndpoint.remove(before.endpointId, before)
    this.publicationsByEndpoint.add(endpointId, publication)
    return { kind: 'publication', id, networkId, hostId, endpointId }
  }

  removePublication(id: string): ReplicaChange | undefined {
    const before = this.publications.remove(id)
    if (before === undefined) return undefined
    const { networkId, hostId, endpointId } = before
    this.publicationsByEndpoint.remove(endpointId, before)
    return { kind: 'publication', id, networkId, hostId, endpointId }
  }

  putEngineNetwork(network: EngineNetwork): ReplicaChange | undefined {
    const { id, networkId, hostId } = network
    const key = keys.engineNetwork(networkId, hostId, id)
    if (sameRecord(this.engineNetworks.get(networkId, key), network)) return undefined
    this.engineNetworks.put(networkId, key, network)
    return { kind: 'engine-network', id, networkId, hostId }
  }

  removeEngineNetwork(key: string): ReplicaChange | undefined {
    const parsed = parseHostRecordKey(key)
    if (parsed === undefined || !this.engineNetworks.remove(parsed.networkId, key)) return undefined
    const { id, networkId, hostId } = parsed
    return { kind: 'engine-network', id, networkId, hostId }
  }

  /** Keys of everything here, except what `ownHostId` has in networks: that is not the store's. */
  *storeKeys(ownHostId: string): Iterable<string> {
    for (const id of this.networks.keys()) yield keys.network(id)
    for (const id of this.hosts.keys()) yield keys.host(id)
    for (const id of this.alive.keys()) yield keys.alive(id)
    for (const id of this.facts.keys()) yield keys.facts(id)
    for (const id of this.status.keys()) yield keys.status(id)
    for (const { id, networkId, hostId } of this.endpoints.values()) {
      if (hostId !== ownHostId) yield keys.endpoint(networkId, hostId, id)
    }
    for (const { id, networkId, hostId } of this.publications.values()) {
      if (hostId !== ownHostId) yield keys.publication(networkId, hostId, id)
    }
    for (const key of this.engineNetworks.keys()) {
      if (parseHostRecordKey(key)?.hostId !== ownHostId) yield key
    }
    yield* this.blocks.keys()
    yield* this.addresses.keys()
    yield* this.reservations.keys()
  }

  #get(key: string, item: Item): Item['record'] | undefined {
    switch (item.kind) {
      case 'network':
        return this.networks.get(item.id)
      case 'endpoint':
        return this.endpoints.get(item.id)
      case 'publication':
        return this.publications.get(item.id)
      case 'engine-network':
        return this.engineNetworks.get(item.networkId, key)
      case 'block':
        return this.blocks.get(item.networkId, key)
      case 'address':
        return this.addresses.get(item.networkId, key)
      case 'reservation':
        return this.reservations.get(item.networkId, key)
      case 'host':
        return this.hosts.get(item.id)
      case 'alive':
        return this.alive.get(item.id)
      case 'facts':
        return this.facts.get(item.id)
      case 'status':
        return this.status.get(item.id)
      default:
        return item satisfies never
    }
  }

  #forgetName(networkId: string): void {
    const name = this.networks.get(networkId)?.name
    // the name may by now be another network's
    if (name !== undefined && this.networkIds.get(name) === networkId) this.networkIds.delete(name)
  }
}

interface HostRecord {
  readonly id: string
  readonly networkId: string
  readonly hostId: string
}

/** One kind of what hosts have in networks: by id, by network and by host. */
class HostRecords<T extends HostRecord> {
  readonly byNetwork = new Bundles<T>()
  readonly byHost = new Bundles<T>()
  readonly #byId = new Map<string, T>()

  get(id: string): T | undefined {
    return this.#byId.get(id)
  }

  values(): Iterable<T> {
    return this.#byId.values()
  }

  /** False when the record stands there already, word for word. */
  put(record: T): boolean {
    if (sameRecord(this.#byId.get(record.id), record)) return false
    this.remove(record.id)
    this.#byId.set(record.id, record)
    this.byNetwork.add(record.networkId, record)
    this.byHost.add(record.hostId, record)
    return true
  }

  /** The record that was there. */
  remove(id: string): T | undefined {
    const before = this.#byId.get(id)
    if (before === undefined) return undefined
    this.#byId.delete(id)
    this.byNetwork.remove(before.networkId, before)
    this.byHost.remove(before.hostId, before)
    return before
  }
}

function goneFrom<T>(
  group: Groups<T>,
  key: string,
  { kind, networkId }: ParsedKey & { readonly kind: 'block' | 'address' | 'reservation' },
): ReplicaChange | undefined {
  return group.remove(networkId, key) ? { kind, networkId } : undefined
}

function gone(
  removed: boolean,
  kind: 'network' | 'host' | 'alive' | 'facts' | 'status',
  id: string,
): ReplicaChange | undefined {
  return removed ? { kind, id } : undefined
}
