/**
 * That a container engine of a host has a network of ours, under its own id and name. Written by that host,
 * only, so that every host knows where a network is to be found.
 */

import type { IP } from '../net/ip.ts'
import type { Prefix } from '../net/prefix.ts'

export interface EngineNetwork {
  readonly schema: 1
  /** The engine's id: 64 hexadecimal digits, or 25 of `[0-9a-z]` for swarm's, which several hosts share. */
  readonly id: string
  readonly networkId: string
  readonly hostId: string
  readonly engine: 'docker'
  /** The engine's name, verbatim; absent while it is not known. */
  readonly name?: string
  /** What the network was made with (`-o`). */
  readonly options: Readonly<Record<string, string>>
  readonly internal: boolean
  readonly pools: readonly EnginePool[]
  /** True when this program made it on the engine; false when a user did. */
  readonly madeByUs: boolean
  readonly createdAt: string
}

/** A range of addresses as an engine asks for it by `poolId`. */
export interface EnginePool {
  /** `<space>/<prefix>[/<range>]`: the same for the same request, for ever. */
  readonly poolId: string
  readonly prefix: Prefix
  /** Addresses are chosen inside this part of `prefix` only. */
  readonly range?: Prefix
  readonly gateway?: IP
  /** Addresses the user set aside, by the names given to them. */
  readonly aux: Readonly<Record<string, IP>>
}

/** True for an id that swarm gave: the network is every node's, and a manager's word ends it. */
export function isSwarmId(engineNetworkId: string): boolean {
  return engineNetworkId.length === 25
}

/** How a network is to appear on the engine of every host that is a member. */
export interface DockerSide {
  /** Docker's name, verbatim. */
  readonly name: string
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** Addresses are chosen inside these only, at most one per prefix of the network. */
  readonly ranges: readonly Prefix[]
  /** Addresses that a user set aside, by the names given to them. */
  readonly aux?: Readonly<Record<string, IP>>
  /** True when an engine only took up a network that was there: it stays when the engines let go of it. */
  readonly takenUp?: true
}

/** Labels of endpoints that only this program sets. */
export const ENGINE_LABELS = {
  /** Docker's id of the endpoint. */
  endpoint: 'carrick/docker-endpoint',
  /** Id of the pool that a held address was asked of. */
  pool: 'carrick/docker-pool',
  /** Name of an auxiliary address: it is held for nobody, and no endpoint takes it over. */
  aux: 'carrick/docker-aux',
  container: 'carrick/docker-container',
  image: 'carrick/docker-image',
  /** Names that resolve to the endpoint, separated by commas. */
  names: 'carrick/dns-names',
  /** Of an endpoint that gives its container the way to the resolver: the engine's name of that container's namespace. */
  sandbox: 'carrick/docker-sandbox',
  /** Link-local addresses that a user gave to the container in this network, separated by commas. */
  linkLocal: 'carrick/link-local',
} as const

/** Labels of networks of ours that came to be by an engine. */
export const NETWORK_LABELS = {
  /** Made by `docker network create`: the first engine's id of it. */
  made: 'com.docker.network.id',
  /** Exists for the addresses of another driver's network: the pool's id. */
  pool: 'com.docker.network.pool',
} as const
