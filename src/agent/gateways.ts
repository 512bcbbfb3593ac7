/**
 * Which networks have a gateway on this host, and under which index: those of which it has a block or an
 * endpoint. Kept as the replica changes, so that one change plans only the networks that it concerns.
 */

import type { Network } from '../model/network.ts'
import { wantsGateway } from '../plan/gateway.ts'
import { gatewayIndexes } from '../plan/gateway-index.ts'
import { resolverPorts } from '../plan/resolver.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'

export class Gateways {
  readonly #replica: Replica
  readonly #used = new Set<string>()
  /** Those of which this host has a block: endpoints do not matter to them. */
  readonly #held = new Set<string>()
  readonly #namesServed: boolean
  #indexes: ReadonlyMap<string, number> = new Map()
  #ports: ReadonlyMap<string, number> = new Map()

  /** `namesServed`: internal networks have a gateway too, by which their containers ask for names. */
  constructor(replica: Replica, namesServed: boolean) {
    this.#replica = replica
    this.#namesServed = namesServed
    this.#lookAtAll()
  }

  /** By network id; networks without a gateway here are absent. */
  get indexes(): ReadonlyMap<string, number> {
    return this.#indexes
  }

  /** Where the network's containers ask for names, by network id. */
  get resolverPorts(): ReadonlyMap<string, number> {
    return this.#ports
  }

  /** Takes the change over and gives the networks whose place on this host is another than before. */
  changed(change: ReplicaChange): readonly string[] {
    const { hostId } = this.#replica
    switch (change.kind) {
      case 'all':
        return this.#lookAtAll()
      case 'network':
        return this.#lookAt(change.id)
      case 'block':
        return this.#lookAt(change.networkId)
      case 'endpoint':
        if (change.hostId !== hostId) return []
        if (this.#held.has(change.networkId)) return []
        // The first endpoint and the last one matter; most are neither.
        return this.#used.has(change.networkId) &&
          this.#replica.ownEndpoint(change.id) !== undefined
          ? []
          : this.#lookAt(change.networkId)
      default:
        return []
    }
  }

  #lookAtAll(): readonly string[] {
    for (const network of this.#replica.networks()) this.#use(network.id)
    return this.#number()
  }

  #lookAt(networkId: string): readonly string[] {
    this.#use(networkId)
    return this.#number()
  }

  #use(networkId: string): void {
    const { hostId } = this.#replica
    const blocks = Iterator.from(this.#replica.blocks(networkId))
    const held = blocks.some((block) => block.hostId === hostId)
    const endpoints = Iterator.from(this.#replica.ownEndpoints())
    const used = held || endpoints.some((endpoint) => endpoint.networkId === networkId)
    choose(this.#held, networkId, held)
    choose(this.#used, networkId, used)
  }

  #number(): readonly string[] {
    const networks = [...this.#used].flatMap((id): readonly Network[] => {
      const network = this.#replica.network(id)
      return network !== undefined && wantsGateway(network, this.#namesServed) ? [network] : []
    })
    const [before, portsBefore] = [this.#indexes, this.#ports]
    this.#indexes = gatewayIndexes(networks)
    this.#ports = resolverPorts(networks)
    const ids = new Set([...before.keys(), ...this.#indexes.keys()])
    return [...ids].filter(
      (id) =>
        before.get(id) !== this.#indexes.get(id) || portsBefore.get(id) !== this.#ports.get(id),
    )
  }
}

function choose(among: Set<string>, id: string, chosen: boolean): void {
  if (chosen) among.add(id)
  else among.delete(id)
}
