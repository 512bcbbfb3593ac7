/**
 * What this host knows of the cluster, in memory: the shared store as last seen, with this host's own
 * records taken from its journal instead. Reading it never waits. Control answers from it, the agent plans
 * from it.
 */

import type { AddressClaim, Block } from '../../model/block.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import type { EngineNetwork } from '../../model/engine-network.ts'
import type { Alive, Host, HostFacts, HostStatus } from '../../model/host.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import type { Reservation } from '../../model/reservation.ts'

export type ReplicaChange =
  | { readonly kind: 'network' | 'host' | 'alive' | 'facts' | 'status'; readonly id: string }
  | {
      readonly kind: 'endpoint'
      readonly id: string
      readonly networkId: string
      readonly hostId: string
    }
  | {
      readonly kind: 'publication'
      readonly id: string
      readonly networkId: string
      readonly hostId: string
      readonly endpointId: string
    }
  | {
      readonly kind: 'engine-network'
      readonly id: string
      readonly networkId: string
      readonly hostId: string
    }
  | { readonly kind: 'block' | 'address' | 'reservation'; readonly networkId: string }
  /** Anything may have changed: everything was listed anew. */
  | { readonly kind: 'all' }

export interface Replica {
  readonly hostId: string
  /** True once everything was seen: from the store, or from the copy an earlier run left. */
  readonly complete: boolean
  /** True while the watch on the shared store stands. */
  readonly connected: boolean
  /** Revision of the shared store that is reflected here. */
  readonly revision: number

  network(id: string): Network | undefined
  networkByName(name: string): Network | undefined
  networks(): Iterable<Network>
  host(id: string): Host | undefined
  hosts(): Iterable<Host>
  alive(hostId: string): Alive | undefined
  facts(hostId: string): HostFacts | undefined
  status(hostId: string): HostStatus | undefined
  /** Own endpoints come whole, those of other hosts as published. */
  endpoint(id: string): Endpoint | PublishedEndpoint | undefined
  /** The id of the endpoint that has the name in the network. */
  endpointNamed(networkId: string, name: string): string | undefined
  /** How many there are: of one host, of one network, or of all. */
  endpointCount(ownerId?: string): number
  /** Those of other hosts are unpacked as they are read: tens of milliseconds for twenty thousand. */
  endpoints(): Iterable<Endpoint | PublishedEndpoint>
  endpointsOf(networkId: string): Iterable<Endpoint | PublishedEndpoint>
  endpointsOfHost(hostId: string): Iterable<Endpoint | PublishedEndpoint>
  ownEndpoint(id: string): Endpoint | undefined
  ownEndpoints(): Iterable<Endpoint>
  publication(id: string): Publication | undefined
  publications(): Iterable<Publication>
  publicationsOf(networkId: string): Iterable<Publication>
  publicationsOfHost(hostId: string): Iterable<Publication>
  publicationsOfEndpoint(endpointId: string): Iterable<Publication>
  /** Of all hosts; of one network. */
  engineNetworks(networkId?: string): Iterable<EngineNetwork>
  blocks(networkId: string): Iterable<Block>
  addressClaims(networkId: string): Iterable<AddressClaim>
  reservations(networkId: string): Iterable<Reservation>

  /**
   * Is called in the same turn in which the replica changes, once for all changes of one revision; returns
   * the way to stop. A host that did no more than publish (`publishedSequence`) has not changed.
   */
  subscribe(listener: (changes: readonly ReplicaChange[]) => void): () => void
}

/** A replica that follows the store and the journal until it is disposed. */
export interface LiveReplica extends Replica, AsyncDisposable {
  /** Resolves when everything was seen once, from the store or from the copy. */
  readonly ready: Promise<void>
  /** Is called after every complete listing of the store: the connection is new, or five minutes passed. */
  onListed(listener: () => void): () => void
  /** Shows this host's facts at once; publishing them is somebody else's business. */
  setOwnFacts(facts: HostFacts): void
}
