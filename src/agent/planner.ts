/** Plans objects from what the replica shows at this moment: one that changed, or all of them. */

import type { ObjectChange } from '../dataplane/reconcile.ts'
import type { ObjectKey, Wanted } from '../hoststate/state.ts'
import type { Host } from '../model/host.ts'
import type { IP } from '../net/ip.ts'
import { type PathLimits, sumsInSoftware } from '../plan/paths.ts'
import {
  networkMtuBytes,
  planBase,
  planEndpoint,
  planGateways,
  planHost,
  planNetwork,
  planObjects,
} from '../plan/plan.ts'
import { planProbes } from '../plan/probes.ts'
import { planPublication } from '../plan/publication.ts'
import { resolverOf } from '../plan/resolver.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Gateways } from './gateways.ts'

export interface PlannerOptions {
  readonly replica: Replica
  /** This host's record and the devices of its underlay; read anew at every call. */
  readonly self: () => Host
  readonly underlayDevices: () => readonly string[]
  /** What probes found of the ways to other hosts; as the record, read anew at every call. */
  readonly paths: () => PathLimits
  /** Our bits of the packet mark. */
  readonly packetMarkMask: number
  /** Where names are asked for, at most one per family; empty: they are not served. */
  readonly resolvers: readonly IP[]
}

export class Planner {
  readonly #options: PlannerOptions
  readonly #gateways: Pick<Gateways, 'indexes' | 'resolverPorts'>

  /** `gateways`: read anew at every call. */
  constructor(options: PlannerOptions, gateways: Pick<Gateways, 'indexes' | 'resolverPorts'>) {
    this.#options = options
    this.#gateways = gateways
  }

  /** Every object, one after the other. */
  *everything(): Generator<ObjectChange> {
    const { replica, self, underlayDevices, paths, packetMarkMask, resolvers } = this.#options
    const snapshot = {
      self: self(),
      underlayDevices: underlayDevices(),
      networks: byId(replica.networks()),
      hosts: byId(replica.hosts()),
      endpoints: {
        get: replica.endpoint,
        values: replica.endpoints,
        ofHost: replica.endpointsOfHost,
      },
      publications: byId(replica.publicationsOfHost(replica.hostId)),
      paths: paths(),
      blocks: new Map(Array.from(replica.networks(), ({ id }) => [id, [...replica.blocks(id)]])),
      packetMarkMask,
      resolvers,
    }
    for (const [object, wanted] of planObjects(snapshot)) yield { object, wanted }
  }

  /** These objects; what is gone wants nothing. */
  changes(objects: Iterable<ObjectKey>): readonly ObjectChange[] {
    const limits = this.#options.paths()
    return Array.from(objects, (object) => ({ object, wanted: this.#plan(object, limits) }))
  }

  #plan(object: ObjectKey, limits: PathLimits): readonly Wanted[] {
    const { replica, self, underlayDevices, packetMarkMask, resolvers } = this.#options
    const [kind = '', id = ''] = object.split('/')
    switch (kind) {
      case 'base':
        return planBase(self(), underlayDevices(), replica.networks(), {
          packetMarkMask,
          resolvers,
          indexes: this.#gateways.indexes,
        })
      case 'gateways':
        return planGateways(byId(replica.networks()), this.#gateways.indexes)
      case 'probes':
        return planProbes(self(), replica.hosts(), replica.networks(), packetMarkMask)
      case 'network':
        return this.#planNetwork(id, limits)
      case 'publication':
        return this.#planPublication(id)
      case 'host': {
        const host = replica.host(id)
        return host === undefined ? [] : planHost(host, self(), limits.get(id))
      }
      case 'endpoint':
        return this.#planEndpoint(id, limits)
      default:
        return [] // a leftover that could not be removed: nobody wants it
    }
  }

  #planNetwork(id: string, limits: PathLimits): readonly Wanted[] {
    const { replica, self, packetMarkMask, resolvers } = this.#options
    const network = replica.network(id)
    if (network === undefined) return []
    return planNetwork(network, {
      hostId: self().id,
      host: (hostId) => replica.host(hostId),
      blocks: [...replica.blocks(id)],
      index: this.#gateways.indexes.get(id),
      mtuBytes: networkMtuBytes(network, self()),
      packetMarkMask,
      ...resolverOf(resolvers, this.#gateways.resolverPorts.get(id)),
      softwareChecksums: sumsInSoftware(network, limits, self(), replica.host),
    })
  }

  #planEndpoint(id: string, limits: PathLimits): readonly Wanted[] {
    const { replica, self, resolvers } = this.#options
    const endpoint = replica.endpoint(id)
    if (endpoint === undefined) return []
    const [network, host] = [replica.network(endpoint.networkId), replica.host(endpoint.hostId)]
    const sums = network !== undefined && sumsInSoftware(network, limits, self(), replica.host)
    return planEndpoint(endpoint, network, host, self(), sums, resolvers)
  }

  #planPublication(id: string): readonly Wanted[] {
    const { replica, packetMarkMask } = this.#options
    const publication = replica.publication(id)
    const index = this.#gateways.indexes.get(publication?.networkId ?? '')
    if (publication === undefined || index === undefined) return []
    return planPublication(
      publication,
      replica.endpoint(publication.endpointId),
      replica.network(publication.networkId),
      { hostId: replica.hostId, index, packetMarkMask },
    )
  }
}

function byId<T extends { readonly id: string }>(items: Iterable<T>): Map<string, T> {
  return new Map(Array.from(items, (item) => [item.id, item]))
}
