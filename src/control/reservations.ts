/**
 * Reservations: addresses that only endpoints of one name get. Each is written in one transaction that asks
 * whether any reservation of the network, or the owner of an address, has changed since it was looked at.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { type FieldError, NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { AddressClaim } from '../model/block.ts'
import { keys } from '../model/keys.ts'
import { isName } from '../model/names.ts'
import type { Network } from '../model/network.ts'
import type { Reservation } from '../model/reservation.ts'
import { compareIP, familyOf, type IP, parseIP } from '../net/ip.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Compare, KeyValue, Store } from '../store/store.ts'
import { holderName } from './holder-name.ts'
import { present, unchanged } from './ipam/claims.ts'
import { isKeptForHosts, reservedFor } from './ipam/layout.ts'
import { gatewayOf, prefixOf } from './ipam/territory.ts'
import { nameProblem } from './network-spec.ts'
import type { Networks } from './networks.ts'
import { untilReplica } from './wait-replica.ts'

const ATTEMPTS = 20
/** How long a caller waits for this host to see what it wrote. */
const SEEN_MS = 2_000

export interface ReservationSpec {
  /** Name or id. */
  readonly network: string
  /** Of the endpoints that get the addresses. */
  readonly name: string
  /** At least one, at most one per family; text as the user typed it. */
  readonly addresses: readonly string[]
}

export interface ReservationView {
  readonly reservation: Reservation
  readonly network: string
  /** The endpoint of that name, wherever it lives; absent while there is none. */
  readonly endpointId?: string
  readonly host?: string
}

export interface ReservationsDeps {
  readonly store: Store
  readonly replica: Replica
  readonly networks: Networks
  /** Id of the network's endpoint of that name. */
  readonly find: (networkId: string, name: string) => string | undefined
  readonly clock: Clock
  readonly log: Log
}

/** A reservation as it was written, and what stood there before. */
interface Written {
  readonly made: Reservation
  readonly before: Reservation | undefined
  readonly revision: number
}

export class Reservations {
  readonly #deps: ReservationsDeps

  constructor(deps: ReservationsDeps) {
    this.#deps = deps
  }

  /** Of one network, or of all; by network and name. */
  list(network?: Network): readonly ReservationView[] {
    const { replica, networks } = this.#deps
    const among = network === undefined ? networks.list() : [network]
    return among.flatMap((each) =>
      [...replica.reservations(each.id)]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map((reservation) => this.#view(each, reservation)),
    )
  }

  get(network: Network, name: string): ReservationView {
    const found = [...this.#deps.replica.reservations(network.id)].find(
      (reservation) => reservation.name === name,
    )
    if (found === undefined) throw notReserved(network, name)
    return this.#view(network, found)
  }

  #view(network: Network, reservation: Reservation): ReservationView {
    const { replica, find } = this.#deps
    const endpointId = find(network.id, reservation.name)
    const endpoint = endpointId === undefined ? undefined : replica.endpoint(endpointId)
    if (endpoint === undefined) return { reservation, network: network.name }
    const host = replica.host(endpoint.hostId)?.name ?? endpoint.hostId
    return { reservation, network: network.name, endpointId: endpoint.id, host }
  }

  /**
   * Reserves addresses, or those of another family in addition. Throws `already-exists` when somebody has an
   * address or it is reserved, `conflict` when the name has another address of the family.
   */
  async create(spec: ReservationSpec): Promise<ReservationView> {
    const { networks, replica, clock, log } = this.#deps
    const network = networks.get(spec.network)
    const { name } = spec
    const addresses = checkReservation(network, spec)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const written = await this.#tryCreate(network, name, addresses)
      if (written === undefined) continue
      const { made } = written
      await untilReplica(replica, clock, SEEN_MS, () => replica.revision >= written.revision)
      await this.#confirm(network, written, addresses)
      log.info('addresses reserved', {
        network: network.name,
        endpoint: name,
        address: made.addresses.join(' '),
      })
      return this.#view(network, made)
    }
    throw new NetworkError(
      'unavailable',
      `Cannot reserve addresses of network ${network.name}: too many changes at once; try again`,
    )
  }

  /** Takes the reservation back when an endpoint came first that this host had not heard of. */
  async #confirm(
    network: Network,
    { made, before, revision }: Written,
    addresses: readonly IP[],
  ): Promise<void> {
    try {
      for (const address of addresses) this.#refuseTaken(network, made.name, address, undefined)
    } catch (error) {
      const key = keys.reservation(network.id, made.name)
      await this.#deps.store.txn({
        compare: [unchanged(key, revision)],
        success: [
          before === undefined
            ? { kind: 'delete', range: { key } }
            : { kind: 'put', key, value: JSON.stringify(before) },
        ],
      })
      throw error
    }
  }

  /** Undefined when somebody changed what the decision was based on. */
  async #tryCreate(
    network: Network,
    name: string,
    addresses: readonly IP[],
  ): Promise<Written | undefined> {
    const { store, clock } = this.#deps
    const { id: networkId } = network
    const key = keys.reservation(networkId, name)
    const all = { prefix: keys.reservations(networkId) }
    const { results, revision } = await store.txn({
      success: [
        { kind: 'range', range: all },
        ...addresses.map(
          (address) =>
            ({ kind: 'range', range: { key: keys.address(networkId, address) } }) as const,
        ),
      ],
    })
    const [known = [], ...claims] = results.map((part) => (part.kind === 'range' ? part.items : []))
    const reservations = known.map(({ value }): Reservation => JSON.parse(value))
    for (const [i, address] of addresses.entries()) {
      refuseReserved(network, name, address, reservations)
      this.#refuseTaken(network, name, address, claims[i]?.[0])
    }
    const before = reservations.find((reservation) => reservation.name === name)
    const reservation: Reservation = {
      schema: 1,
      networkId,
      name,
      addresses: [...(before?.addresses ?? []), ...addresses].sort(compareIP),
      createdAt: before?.createdAt ?? timestamp(clock.wallMs()),
    }
    const compare: Compare[] = [
      present(keys.network(networkId)),
      { range: all, target: 'modRevision', is: '<', value: revision + 1 },
      // One that was deleted meanwhile leaves no mark in the range.
      unchanged(key, known.find((item) => item.key === key)?.modRevision ?? 0),
      ...addresses.map((address, i) => {
        return unchanged(keys.address(networkId, address), claims[i]?.[0]?.modRevision ?? 0)
      }),
    ]
    const done = await store.txn({
      compare,
      success: [{ kind: 'put', key, value: JSON.stringify(reservation) }],
      failure: [{ kind: 'range', range: { key: keys.network(networkId) } }],
    })
    if (done.succeeded) return { made: reservation, before, revision: done.revision }
    const [left] = done.results
    if (left?.kind === 'range' && left.items.length === 0) {
      throw new NetworkError(
        'not-found',
        `Cannot reserve addresses of network ${network.name}: it was removed`,
      )
    }
    return undefined
  }

  /** An endpoint of that name may have it already; anybody else may not. */
  #refuseTaken(network: Network, name: string, address: IP, claim: KeyValue | undefined): void {
    const { replica } = this.#deps
    const attempted = `reserve ${address} in network ${network.name}`
    const details = { network: network.name, address }
    for (const endpoint of replica.endpointsOf(network.id)) {
      if (!endpoint.addresses.includes(address) || endpoint.name === name) continue
      const host = replica.host(endpoint.hostId)?.name ?? endpoint.hostId
      throw new NetworkError(
        'already-exists',
        `Cannot ${attempted}: ${holderName(endpoint)} on host ${host} has it`,
        { details, hint: `carrick endpoint get ${endpoint.id}` },
      )
    }
    if (claim === undefined) return
    const { endpointId, hostId }: AddressClaim = JSON.parse(claim.value)
    if (replica.endpoint(endpointId)?.name === name) return
    // An endpoint of that name may have come to it by a claim that an earlier endpoint left.
    const holder = [...replica.endpointsOf(network.id)].find(
      (endpoint) => endpoint.hostId === hostId && endpoint.addresses.includes(address),
    )
    if (holder?.name === name) return
    const host = replica.host(hostId)?.name ?? hostId
    throw new NetworkError(
      'already-exists',
      `Cannot ${attempted}: host ${host} has claimed it for an endpoint`,
      { details, hint: `carrick ipam show ${network.name}` },
    )
  }

  /** Throws `not-found` when there is none. */
  async remove(network: Network, name: string): Promise<void> {
    const { store, replica, clock, log } = this.#deps
    const key = keys.reservation(network.id, name)
    const result = await store.txn({
      compare: [present(key)],
      success: [{ kind: 'delete', range: { key } }],
    })
    if (!result.succeeded) throw notReserved(network, name)
    const gone = (): boolean =>
      ![...replica.reservations(network.id)].some((known) => known.name === name)
    await untilReplica(replica, clock, SEEN_MS, gone)
    log.info('reservation removed', { network: network.name, endpoint: name })
  }
}

/** The addresses; throws `invalid` with every wrong field. */
function checkReservation(network: Network, { name, addresses: texts }: ReservationSpec) {
  const fields: FieldError[] = []
  const addresses: IP[] = []
  if (!isName(name)) fields.push({ pointer: '/name', message: nameProblem(name) })
  if (texts.length === 0) {
    fields.push({ pointer: '/addresses', message: 'at least one address is needed' })
  }
  for (const [i, text] of texts.entries()) {
    const address = parseIP(text)
    const message =
      address === undefined
        ? `"${text}" is not an address`
        : addressProblem(network, address, addresses)
    if (message !== undefined) fields.push({ pointer: `/addresses/${i}`, message })
    else if (address !== undefined) addresses.push(address)
  }
  const [first] = fields
  if (first === undefined) return addresses
  throw new NetworkError(
    'invalid',
    `Cannot reserve addresses of network ${network.name}: ${first.message}`,
    { fields, details: { network: network.name } },
  )
}

function addressProblem(network: Network, address: IP, others: readonly IP[]): string | undefined {
  const prefix = prefixOf(network, address)
  if (prefix === undefined) {
    return `${address} is not in the network, which has ${network.prefixes.join(' and ')}`
  }
  const gateway = gatewayOf(network, prefix)
  const what = reservedFor(prefix, gateway, address)
  if (what !== undefined) return `${address} is ${what} of ${prefix}`
  if (isKeptForHosts(prefix, gateway, address)) {
    return `${address} is kept for the host that has the addresses before it`
  }
  const same = others.find((other) => familyOf(other) === familyOf(address))
  return same === undefined ? undefined : `${address} is a second address of the family of ${same}`
}

function refuseReserved(
  network: Network,
  name: string,
  address: IP,
  reservations: readonly Reservation[],
): void {
  const attempted = `Cannot reserve ${address} in network ${network.name}`
  const details = { network: network.name, address }
  const holder = reservations.find(({ addresses }) => addresses.includes(address))
  if (holder !== undefined) {
    throw new NetworkError(
      'already-exists',
      `${attempted}: it is reserved for ${holder.name} already`,
      { details, hint: `carrick reserve ls ${network.name}` },
    )
  }
  const same = reservations
    .find((reservation) => reservation.name === name)
    ?.addresses.find((known) => familyOf(known) === familyOf(address))
  if (same === undefined) return
  throw new NetworkError(
    'conflict',
    `${attempted}: ${same} of the same family is reserved for ${name} already`,
    { details, hint: `carrick reserve rm ${network.name} ${name}` },
  )
}

function notReserved(network: Network, name: string): NetworkError {
  return new NetworkError(
    'not-found',
    `Cannot find a reservation for "${name}" in network ${network.name}: there is none`,
    { details: { network: network.name }, hint: `carrick reserve ls ${network.name}` },
  )
}
