/**
 * The use cases of a container engine's driver. What an endpoint needs (`holdAddress`, `plug`, `unplug`) is
 * answered from local state wherever this host has a block to give from, and is one commit of the journal.
 */

import type { Endpoint } from '../model/endpoint.ts'
import type { DockerSide, EngineNetwork, EnginePool } from '../model/engine-network.ts'
import type { Network } from '../model/network.ts'
import type { Family, IP } from '../net/ip.ts'
import type { Prefix } from '../net/prefix.ts'
import type { ChoiceSpec } from './chosen-prefixes.ts'

export interface HoldSpec {
  /** Name or id of the network. */
  readonly network: string
  /** This address; absent: one is chosen. */
  readonly address?: string
  /** Addresses are chosen inside this part of the network only; one that was asked for need not be. */
  readonly within?: Prefix
  /** Of the chosen address, when `within` does not say it; default: that of the network's first prefix. */
  readonly family?: Family
  /** Gets what is reserved for this name. */
  readonly name?: string
  /** Who holds it: who asks again for the same address with the same labels gets it again. */
  readonly labels: Readonly<Record<string, string>>
}

export interface HeldAddress {
  readonly address: IP
  /** The network's prefix that has it. */
  readonly prefix: Prefix
  /** Id of the endpoint of attachment `held` that stands for it. */
  readonly endpointId: string
}

export interface PlugSpec {
  /** Name or id of the network. */
  readonly network: string
  /** At most one per family; those that this host holds are taken over in the same commit. */
  readonly addresses: readonly string[]
  /** Families of which an address is chosen when `addresses` has none; default: none. */
  readonly choose?: readonly Family[]
  /** Part of the network in which addresses are chosen. */
  readonly within?: readonly Prefix[]
  readonly mac?: string
  readonly name?: string
  /** With `carrick/docker-endpoint` a second request gets the endpoint that the first one made. */
  readonly labels: Readonly<Record<string, string>>
}

export interface PluggedEndpoint {
  /** `device` is the host's end of its pair, `ifname` the container's, both in the host's namespace. */
  readonly endpoint: Endpoint
  /** Journal sequence at which it was settled. */
  readonly revision: number
}

/** A network on this host's engine. */
export type EngineNetworkSpec = Omit<EngineNetwork, 'schema' | 'hostId' | 'engine' | 'createdAt'>

/** A pool that an engine has asked for and that is no network's yet; known to this host only. */
export interface PendingPool extends EnginePool {
  /** The address space it was asked of. */
  readonly space: string
  /** True when the engine left the choice of the prefix to us. */
  readonly automatic: boolean
  readonly createdAt: string
}

export interface DockerControl {
  /**
   * Takes an address for whoever will plug an endpoint with it, or for nobody (an auxiliary address).
   * Throws `already-exists` when somebody has it, `exhausted` when none is left, `unavailable` when the
   * store or another host would have to agree and does not answer.
   */
  holdAddress(spec: HoldSpec): Promise<HeldAddress>
  /** Lets a held address go; content when it is not held here. Never takes an endpoint's address away. */
  releaseHeld(network: string, address: string): Promise<void>
  /** Held addresses and plugged endpoints of this host. */
  listEngineEndpoints(): readonly Endpoint[]

  /** Makes an endpoint of attachment `engine`, and waits until both ends of its pair are there. */
  plug(spec: PlugSpec): Promise<PluggedEndpoint>
  /** The endpoint of this host that carries the label `carrick/docker-endpoint` with this value. */
  plugged(engineEndpointId: string): Endpoint | undefined
  /**
   * Takes it away, wherever its container's end is; content when there is none. A detach by our own id does
   * the same.
   */
  unplug(engineEndpointId: string): Promise<void>
  /** Replaces all labels of an own endpoint but those of its engine's ids (`ENGINE_LABELS.endpoint`, `pool`). */
  labelEndpoint(endpointId: string, labels: Readonly<Record<string, string>>): Endpoint

  /** Notes that this host's engine has the network; replaces what was noted under the same engine's id. */
  bindEngineNetwork(network: EngineNetworkSpec): EngineNetwork
  /** Content when nothing is noted under this id of this host's engine. */
  unbindEngineNetwork(engineNetworkId: string): void
  /** This host's, by the engine's id. */
  engineNetwork(engineNetworkId: string): EngineNetwork | undefined
  /** Of all hosts, or of those named. */
  listEngineNetworks(filter?: {
    readonly network?: string
    readonly host?: string
  }): readonly EngineNetwork[]
  /** How the network is to appear on the engines of all members; undefined: on none. */
  setNetworkDocker(reference: string, docker: DockerSide | undefined): Promise<Network>
  /** Gives a network another name of our own; `already-exists` when it is taken. */
  renameNetwork(reference: string, name: string): Promise<Network>
  /** A name of our own for a network that an engine calls `name`: free, as far as this host knows. */
  networkNameFor(name: string): string

  /** Until it is disposed of, an engine's network with exactly these subnets is this one: we are making it there. */
  expectNetwork(networkId: string): Disposable
  /** The network that is expected with these subnets, in any order. */
  expectedNetwork(prefixes: readonly Prefix[]): Network | undefined
  /** A free prefix for a network that is made next: no other host chooses it meanwhile. */
  choosePrefix(spec: ChoiceSpec): Promise<Prefix>
  /** Pools that are no network's yet; they survive a restart of the daemon. */
  pendingPools(): readonly PendingPool[]
  /** Replaces the pool of the same id. */
  keepPendingPool(pool: PendingPool): void
  /** Content when there is none. */
  dropPendingPool(poolId: string): void
}
