/** Published ports over REST. */

import type { PortWish } from '../../control/control.ts'
import { reachText } from '../../control/reach.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Publication } from '../../model/publication.ts'
import { defined, type HandlerDeps, type Handlers, removeMatching, settle } from './call.ts'
import type * as endpointWire from './endpoint-schemas.ts'
import { findHost } from './hosts.ts'
import type { Collection } from './list.ts'
import { listOrWatch } from './list-or-watch.ts'
import { findNetwork } from './networks.ts'
import type * as partsWire from './schema-parts.ts'
import type { Labels } from './selector.ts'
import { publicationView, readiness, SETTLED } from './views.ts'

/** A publication as lists want it: it has no labels. */
type Listed = Publication & { readonly labels: Labels }

const NO_LABELS: Labels = {}

export function publicationHandlers({
  control,
  subscribe,
}: HandlerDeps): Handlers<'listPublications' | 'publish' | 'getPublication' | 'unpublish'> {
  const viewOf = (
    publication: Publication,
    settled: Parameters<typeof readiness>[1] | undefined,
    more: { readonly ready?: partsWire.Condition; readonly revision?: number } = {},
  ): endpointWire.Publication => {
    const { id, networkId, endpointId, hostId, hostAddress } = publication
    const network = findNetwork(control, networkId)
    const endpoint = orUndefined(() => control.getEndpoint(endpointId))
    const host = findHost(control, hostId)
    const local = host?.self === true
    const ready =
      local && settled !== undefined ? readiness(`publication/${id}`, settled) : undefined
    return publicationView(publication, {
      network: network?.name ?? networkId,
      endpoint,
      host: host?.host.name,
      local,
      reach: reachText({
        hostAddress,
        addresses: endpoint?.addresses ?? [],
        elsewhere: local ? undefined : (host?.host.name ?? hostId),
        internal: network?.internal === true,
      }),
      ready,
      ...more,
    })
  }
  const read = (reference: string): endpointWire.Publication =>
    viewOf(control.getPublication(reference), control.status())

  /** The publications of a list request; what limits it may be any reference, and must exist. */
  const collect = (query: {
    readonly network?: string | undefined
    readonly host?: string | undefined
    readonly endpoint?: string | undefined
  }): Collection<Listed, endpointWire.Publication> & { readonly kind: 'Publication' } => {
    const { network, endpoint } = query
    const networkId = network === undefined ? undefined : control.getNetwork(network).id
    const hostId = query.host === undefined ? undefined : control.getHost(query.host).host.id
    const endpointId =
      endpoint === undefined ? undefined : control.getEndpoint(endpoint, network).id
    const all = (): readonly Publication[] => {
      if (endpointId !== undefined) return control.publicationsOf(endpointId)
      return control.listPublications(defined({ network: networkId, host: hostId }))
    }
    return {
      kind: 'Publication',
      all: () => all().map(listed),
      find: (id) => {
        const found = orUndefined(() => control.getPublication(id))
        const ours =
          (networkId === undefined || found?.networkId === networkId) &&
          (hostId === undefined || found?.hostId === hostId) &&
          (endpointId === undefined || found?.endpointId === endpointId)
        return ours && found !== undefined ? listed(found) : undefined
      },
      views: (publications) => {
        const status = publications.length === 0 ? undefined : control.status()
        return publications.map((publication) => viewOf(publication, status))
      },
    }
  }

  return {
    listPublications: ({ query }) => listOrWatch(collect(query), query, subscribe),

    async publish({ body: { spec } }) {
      const { endpoint, network, port } = spec
      const { publication, revision } = await control.publish(endpoint, wishOf(port), network)
      return viewOf(publication, undefined, { ready: SETTLED, revision })
    },

    getPublication: ({ params }) => read(params.publication),

    async unpublish({ params, query, ifMatch }) {
      await removeMatching(
        ifMatch,
        () => read(params.publication),
        () => control.unpublish(params.publication),
      )
      await settle(control, query)
      return undefined
    },
  }
}

/** A port of a request as control wants it. */
export function wishOf(wish: string | PortFields): string | PortWish {
  return typeof wish === 'string' ? wish : defined(wish)
}

type PortFields = { readonly [Field in keyof PortWish]: PortWish[Field] | undefined } & {
  readonly containerPort: number
}

function listed(publication: Publication): Listed {
  return { ...publication, labels: NO_LABELS }
}

/** What `read` gives, or undefined when it is not there. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!isNetworkError(error, 'not-found')) throw error
    return undefined
  }
}
