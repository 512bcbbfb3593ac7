/** Reservations, fill levels, free ranges and the check of the books over REST. */

import type { IpamView } from '../../control/ipam-view.ts'
import type { ReservationView } from '../../control/reservations.ts'
import { prefixSize } from '../../net/prefix.ts'
import type * as wire from './address-schemas.ts'
import { defined, type HandlerDeps, type Handlers, removeMatching } from './call.ts'
import { findHost } from './hosts.ts'
import { listPage } from './list.ts'

const NO_LABELS = {}

export function addressHandlers({
  control,
}: HandlerDeps): Handlers<
  | 'listReservations'
  | 'listNetworkReservations'
  | 'reserve'
  | 'getReservation'
  | 'unreserve'
  | 'listAddresses'
  | 'getAddresses'
  | 'suggestPrefixes'
  | 'checkIpam'
> {
  const hostName = (id: string) => defined({ host: findHost(control, id)?.host.name })

  const reservations = (network?: string) => {
    const all = control.listReservations(network).map((view) => {
      return { id: idOf(view), labels: NO_LABELS, view }
    })
    return {
      kind: 'Reservation' as const,
      all: () => all,
      find: (id: string) => all.find((each) => each.id === id),
      views: (items: readonly (typeof all)[number][]) =>
        items.map(({ view }) => reservationView(view)),
    }
  }

  const addressesView = ({ network, prefixes }: IpamView): wire.NetworkAddresses => ({
    apiVersion: 'v1',
    kind: 'NetworkAddresses',
    metadata: { id: network.id, name: network.name },
    status: {
      subnets: prefixes.map(({ prefix, gateway, blocks, claims, ...counts }) => ({
        prefix,
        gateway,
        ...countsView(counts),
        blocks: blocks.map(({ prefix: block, hostId, ...inside }) => ({
          prefix: block,
          hostId,
          ...hostName(hostId),
          ...countsView(inside),
        })),
        claims: claims.map(({ address, hostId }) => ({ address, hostId, ...hostName(hostId) })),
      })),
    },
  })

  return {
    listReservations: ({ query }) => listPage(reservations(), query),
    listNetworkReservations: ({ params, query }) => listPage(reservations(params.network), query),

    async reserve({ params, body: { metadata, spec } }) {
      return reservationView(
        await control.reserve({ network: params.network, ...metadata, addresses: spec.addresses }),
      )
    },

    getReservation: ({ params }) =>
      reservationView(control.getReservation(params.network, params.name)),

    async unreserve({ params, ifMatch }) {
      await removeMatching(
        ifMatch,
        () => reservationView(control.getReservation(params.network, params.name)),
        () => control.unreserve(params.network, params.name),
      )
      return undefined
    },

    listAddresses: ({ query }) => {
      const all = control.ipam().map((view) => ({ id: view.network.id, labels: NO_LABELS, view }))
      const find = (id: string) => all.find((each) => each.id === id)
      const views = (items: typeof all) => items.map(({ view }) => addressesView(view))
      return listPage({ kind: 'NetworkAddresses' as const, all: () => all, find, views }, query)
    },

    getAddresses: ({ params }) => {
      const [view] = control.ipam(params.network)
      return addressesView(view as IpamView) // the network is there: one in, one out
    },

    suggestPrefixes: ({ query: { family, size, count, shared } }) => {
      const found = control.suggestPrefixes({
        family: family === '6' ? 6 : 4,
        ...defined({ length: size, count }),
        shared: shared === 'true',
      })
      const items = found.map((prefix) => ({ prefix, addresses: String(prefixSize(prefix)) }))
      return { apiVersion: 'v1', kind: 'SuggestionList', metadata: {}, items }
    },

    async checkIpam({ body: { spec } }) {
      const { revision, findings } = await control.checkIpam({ repair: spec.repair === true })
      return {
        apiVersion: 'v1',
        kind: 'IpamCheck',
        status: { observedRevision: revision, findings },
      }
    },
  }
}

/** Readable, and as unique as a name in a network. */
function idOf({ network, reservation }: ReservationView): string {
  return `${network}/${reservation.name}`
}

function reservationView(view: ReservationView): wire.Reservation {
  const { reservation, network, endpointId, host } = view
  return {
    apiVersion: 'v1',
    kind: 'Reservation',
    metadata: {
      id: idOf(view),
      name: reservation.name,
      labels: NO_LABELS,
      createdAt: reservation.createdAt,
    },
    spec: { network, addresses: reservation.addresses },
    status: { networkId: reservation.networkId, ...defined({ endpointId, host }) },
  }
}

interface Counts {
  readonly usable: bigint
  readonly used: bigint
  readonly reserved: bigint
  readonly free: bigint
}

function countsView({ usable, used, reserved, free }: Counts) {
  return {
    usable: String(usable),
    used: String(used),
    reserved: String(reserved),
    free: String(free),
  }
}
