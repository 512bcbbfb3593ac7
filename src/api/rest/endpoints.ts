/** Endpoints over REST. Attach is the path every container waits for, so it reads nothing it can do without. */

import type { AttachedEndpoint } from '../../control/control.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import { bandwidthOf } from './bandwidth.ts'
import { defined, type HandlerDeps, type Handlers, removeMatching, settle } from './call.ts'
import type * as endpointWire from './endpoint-schemas.ts'
import { findHost } from './hosts.ts'
import type { Collection } from './list.ts'
import { listOrWatch } from './list-or-watch.ts'
import { findNetwork } from './networks.ts'
import { wishOf } from './publications.ts'
import { endpointView, readiness, SETTLED } from './views.ts'

type AnyEndpoint = Endpoint | PublishedEndpoint

export function endpointHandlers({
  control,
  subscribe,
  hostName,
}: HandlerDeps): Handlers<
  | 'listNetworkEndpoints'
  | 'attach'
  | 'attachAll'
  | 'getNetworkEndpoint'
  | 'detachFromNetwork'
  | 'listEndpoints'
  | 'getEndpoint'
  | 'detach'
> {
  const networkName = (id: string): string => findNetwork(control, id)?.name ?? id
  const hostNameOf = (id: string): string | undefined => findHost(control, id)?.host.name

  /** Endpoints with the names and the state that their own records do not hold; each is looked up once. */
  const views = (endpoints: readonly AnyEndpoint[]): endpointWire.Endpoint[] => {
    const network = memoized(networkName)
    const host = memoized(hostNameOf)
    const status = endpoints.some((endpoint) => 'sandbox' in endpoint)
      ? control.status()
      : undefined
    return endpoints.map((endpoint) =>
      endpointView(endpoint, {
        network: network(endpoint.networkId),
        host: host(endpoint.hostId),
        ready:
          status !== undefined && 'sandbox' in endpoint
            ? readiness(`endpoint/${endpoint.id}`, status)
            : undefined,
        ports: control.publicationsOf(endpoint.id),
      }),
    )
  }

  const attachedView = ({
    endpoint,
    publications,
    revision,
  }: AttachedEndpoint): endpointWire.Endpoint =>
    endpointView(endpoint, {
      network: networkName(endpoint.networkId),
      host: hostName ?? hostNameOf(endpoint.hostId),
      ready: SETTLED,
      ports: publications,
      revision,
    })

  const read = (reference: string, network?: string): endpointWire.Endpoint => {
    const [view] = views([control.getEndpoint(reference, network)])
    return view as endpointWire.Endpoint // one in, one out
  }

  /** The endpoints of a list request; `network` and `host` by any reference, which must exist. */
  const collect = (query: {
    readonly network?: string | undefined
    readonly host?: string | undefined
  }): Collection<AnyEndpoint, endpointWire.Endpoint> & { readonly kind: 'Endpoint' } => {
    const network = query.network === undefined ? undefined : control.getNetwork(query.network).id
    const host = query.host === undefined ? undefined : control.getHost(query.host).host.id
    return {
      kind: 'Endpoint',
      all: () => control.listEndpoints(defined({ network, host })),
      find: (id) => {
        const endpoint = findEndpoint(id)
        const ours =
          (network === undefined || endpoint?.networkId === network) &&
          (host === undefined || endpoint?.hostId === host)
        return ours ? endpoint : undefined
      },
      views,
    }
  }

  const findEndpoint = (id: string): AnyEndpoint | undefined => {
    try {
      return control.getEndpoint(id)
    } catch (error) {
      if (!isNetworkError(error, 'not-found')) throw error
      return undefined
    }
  }

  const remove = async (
    { query, ifMatch }: { query: Parameters<typeof settle>[1]; ifMatch: string | undefined },
    reference: string,
    network?: string,
  ): Promise<undefined> => {
    await removeMatching(
      ifMatch,
      () => read(reference, network),
      () => control.detach(reference, network),
    )
    await settle(control, query)
    return undefined
  }

  return {
    listNetworkEndpoints: ({ params, query }) =>
      listOrWatch(collect({ ...query, network: params.network }), query, subscribe),

    async attach({ params, body: { metadata, spec } }) {
      const { publish, bandwidth, ...rest } = spec
      const attached = await control.attach({
        network: params.network,
        ...(metadata === undefined ? {} : defined(metadata)),
        ...defined(rest),
        ...(bandwidth === undefined ? {} : { bandwidth: bandwidthOf(bandwidth) }),
        ...(publish === undefined ? {} : { publish: publish.map(wishOf) }),
      })
      return attachedView(attached)
    },

    async attachAll({ body: { metadata, spec } }) {
      const { networks, publish, ...rest } = spec
      const attached = await control.attachAll({
        ...(metadata === undefined ? {} : defined(metadata)),
        ...defined(rest),
        networks: networks.map(({ bandwidth, ...part }) => ({
          ...defined(part),
          ...(bandwidth === undefined ? {} : { bandwidth: bandwidthOf(bandwidth) }),
        })),
        ...(publish === undefined ? {} : { publish: publish.map(wishOf) }),
      })
      const items = attached.map(attachedView)
      return { apiVersion: 'v1', kind: 'EndpointList', metadata: {}, items }
    },

    getNetworkEndpoint: ({ params }) => read(params.endpoint, params.network),
    detachFromNetwork: (call) => remove(call, call.params.endpoint, call.params.network),

    listEndpoints: ({ query }) => listOrWatch(collect(query), query, subscribe),
    getEndpoint: ({ params }) => read(params.endpoint),
    detach: (call) => remove(call, call.params.endpoint),
  }
}

function memoized<V>(look: (key: string) => V): (key: string) => V {
  const cache = new Map<string, V>()
  return (key) => {
    const value = cache.has(key) ? (cache.get(key) as V) : look(key) // has() says it is a V
    cache.set(key, value)
    return value
  }
}
