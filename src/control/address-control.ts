/** The use cases about addresses, beside those of networks and endpoints. */

import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import type { Prefix } from '../net/prefix.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Store } from '../store/store.ts'
import { checkIpam, type IpamCheck } from './ipam-check.ts'
import { type IpamView, ipamView } from './ipam-view.ts'
import type { Networks } from './networks.ts'
import { type ReservationSpec, Reservations, type ReservationView } from './reservations.ts'
import { type SuggestSpec, suggestPrefixes } from './suggest.ts'

export interface AddressControl {
  reserve(spec: ReservationSpec): Promise<ReservationView>
  /** Throws `not-found` when nothing is reserved for the name. */
  unreserve(network: string, name: string): Promise<void>
  /** Of one network, or of all. */
  listReservations(network?: string): readonly ReservationView[]
  getReservation(network: string, name: string): ReservationView
  /** Ranges that overlap nothing known; throws `exhausted` when there is none. */
  suggestPrefixes(spec: SuggestSpec): readonly Prefix[]
  /** How full a network is, or all of them are, and which host holds what. */
  ipam(network?: string): readonly IpamView[]
  /** Looks for leaks in the shared store, which takes some seconds when there are suspects. */
  checkIpam(options: { readonly repair: boolean }): Promise<IpamCheck>
}

export interface AddressControlDeps {
  readonly store: Store
  readonly replica: Replica
  readonly networks: Networks
  /** Id of the network's endpoint of that name. */
  readonly find: (networkId: string, name: string) => string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
}

export function createAddressControl(deps: AddressControlDeps): AddressControl {
  const { networks, replica, random, signal } = deps
  const reservations = new Reservations(deps)
  const networkOf = (reference: string | undefined) =>
    reference === undefined ? undefined : networks.get(reference)
  return {
    reserve: (spec) => reservations.create(spec),
    unreserve: async (network, name) => reservations.remove(networks.get(network), name),
    listReservations: (network) => reservations.list(networkOf(network)),
    getReservation: (network, name) => reservations.get(networks.get(network), name),
    suggestPrefixes: (spec) =>
      suggestPrefixes(
        spec,
        { networks: replica.networks(), hosts: replica.hosts(), facts: replica.facts },
        random,
      ),
    ipam: (network) => {
      const only = networkOf(network)
      const among = only === undefined ? networks.list() : [only]
      return among.map((each) => ipamView(each, replica))
    },
    checkIpam: (options) => checkIpam(deps, options, signal),
  }
}
