/**
 * What the shared store says of addresses, held against itself: who owns what, and whether everything that is
 * named is there. Pure: the store's items go in, what is wrong with them comes out, each with the transaction
 * that would put it right where that takes nothing from anybody.
 */

import type { AddressClaim, Block } from '../model/block.ts'
import type { PublishedEndpoint } from '../model/endpoint.ts'
import { hostAddressOf } from '../model/host-address.ts'
import { keys, ROOT } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import type { Reservation } from '../model/reservation.ts'
import { bitsOf, familyOf, type IP } from '../net/ip.ts'
import {
  type Prefix,
  prefixAround,
  prefixContains,
  prefixFamily,
  prefixLength,
  prefixRange,
} from '../net/prefix.ts'
import type { KeyValue, Transaction } from '../store/store.ts'
import { absent, unchanged } from './ipam/claims.ts'
import { IPAM_ROOT, ipamKeys } from './ipam/ipam-keys.ts'

export const FINDINGS = [
  'claim-without-endpoint',
  'owner-removed',
  'network-removed',
  'endpoint-uncovered',
  'address-twice',
  'host-address-taken',
  'blocks-overlap',
  'request-left',
  'name-without-network',
  'network-without-name',
  'reservation-outside',
  'recovery-open',
] as const
export type FindingKind = (typeof FINDINGS)[number]

export interface Finding {
  readonly kind: FindingKind
  /** Key in the store. */
  readonly object: string
  readonly message: string
  /** Puts it right if nothing has changed; absent when a person must decide. */
  readonly repair?: Transaction
  /** Why it is not repaired, and what would help. */
  readonly advice?: string
  /** Revision of the record it is about. */
  readonly revision: number
}

/** Everything under our root that addresses depend on, at one revision. */
export interface Books {
  readonly items: readonly KeyValue[]
  /** Hosts with a sign of life. */
  readonly alive: ReadonlySet<string>
}

/** Beginnings of the keys that belong to the books. */
export const BOOK_ROOTS = [
  keys.host(''),
  keys.networkName(''),
  keys.network(''),
  `${ROOT}blocks/`,
  `${ROOT}addresses/`,
  `${ROOT}endpoints/`,
  `${ROOT}reservations/`,
  IPAM_ROOT,
] as const

interface Entry<T> {
  readonly item: KeyValue
  readonly record: T
}

/** What is wrong, in the order of the keys. */
export function audit(books: Books): readonly Finding[] {
  return new Auditor(books).findings.sort((a, b) => (a.object < b.object ? -1 : 1))
}

class Auditor {
  readonly findings: Finding[] = []
  readonly #hosts: ReadonlyMap<string, Entry<{ readonly id: string; readonly name: string }>>
  readonly #networks: ReadonlyMap<string, Entry<Network>>
  readonly #blocks: readonly Entry<Block>[]
  readonly #claims: readonly Entry<AddressClaim>[]
  readonly #endpoints: readonly Entry<PublishedEndpoint>[]
  readonly #alive: ReadonlySet<string>

  constructor({ items, alive }: Books) {
    const under = <T>(root: string): readonly Entry<T>[] =>
      items
        .filter(({ key }) => key.startsWith(root))
        .map((item) => ({ item, record: JSON.parse(item.value) as T })) // written by members only
    this.#alive = alive
    this.#hosts = byId(under(keys.host('')))
    this.#networks = byId(under<Network>(keys.network('')))
    this.#blocks = under(`${ROOT}blocks/`)
    this.#claims = under(`${ROOT}addresses/`)
    this.#endpoints = under(`${ROOT}endpoints/`)
    this.#owners()
    this.#claimants()
    this.#overlappingBlocks()
    this.#uncovered()
    this.#twice()
    this.#hostAddresses()
    this.#names(items.filter(({ key }) => key.startsWith(keys.networkName(''))))
    this.#reservations(under(`${ROOT}reservations/`))
    this.#requests(items.filter(({ key }) => key.startsWith(IPAM_ROOT)))
  }

  /** Blocks, claims and endpoints of networks and hosts that are gone. */
  #owners(): void {
    const kinds = [
      ...this.#blocks.map((entry) => ({ ...entry, what: `block ${entry.record.prefix}` })),
      ...this.#claims.map((entry) => ({ ...entry, what: `address ${entry.record.address}` })),
      ...this.#endpoints.map((entry) => ({ ...entry, what: `endpoint ${entry.record.id}` })),
    ]
    for (const { item, record, what } of kinds) {
      const { networkId, hostId } = record
      if (!this.#networks.has(networkId)) {
        const message = `${what} belongs to network ${networkId}, which was removed`
        this.#found('network-removed', item, message, removal(item, keys.network(networkId)))
      } else if (!this.#hosts.has(hostId)) {
        const message = `${what} of network ${this.#network(networkId)} belongs to host ${hostId}, which was removed`
        this.#found('owner-removed', item, message, removal(item, keys.host(hostId)))
      }
    }
  }

  /** Single addresses that no endpoint of their host has. */
  #claimants(): void {
    const has = new Set(
      this.#endpoints.flatMap(({ record: { networkId, hostId, addresses } }) =>
        addresses.map((address) => `${networkId} ${hostId} ${address}`),
      ),
    )
    for (const { item, record } of this.#claims) {
      const { networkId, hostId, address } = record
      if (!this.#hosts.has(hostId) || !this.#networks.has(networkId)) continue
      if (has.has(`${networkId} ${hostId} ${address}`)) continue
      const message = `address ${address} of network ${this.#network(networkId)} is claimed by host ${this.#host(hostId)} for no endpoint`
      if (this.#alive.has(hostId)) {
        const none = absent({ key: keys.endpoint(networkId, hostId, record.endpointId) })
        const { compare = [], success } = removal(item)
        this.#found('claim-without-endpoint', item, message, {
          compare: [...compare, none],
          success,
        })
      } else {
        const advice = `the host is away and may have an endpoint nobody has heard of; carrick host rm ${this.#host(hostId)} if it is gone`
        this.#found('claim-without-endpoint', item, message, undefined, advice)
      }
    }
  }

  #overlappingBlocks(): void {
    const sorted = this.#blocks
      .map((entry) => ({ ...entry, ...prefixRange(entry.record.prefix) }))
      .sort(
        (a, b) =>
          compare(a.record.networkId, b.record.networkId) ||
          prefixFamily(a.record.prefix) - prefixFamily(b.record.prefix) ||
          Number(a.first > b.first) - Number(a.first < b.first) ||
          prefixLength(a.record.prefix) - prefixLength(b.record.prefix),
      )
    let widest: (typeof sorted)[number] | undefined
    for (const block of sorted) {
      const { record, item, first, last } = block
      const same =
        widest?.record.networkId === record.networkId &&
        prefixFamily(widest.record.prefix) === prefixFamily(record.prefix)
      if (widest !== undefined && same && first <= widest.last) {
        const message = `block ${record.prefix} of host ${this.#host(record.hostId)} overlaps ${widest.record.prefix} of host ${this.#host(widest.record.hostId)} in network ${this.#network(record.networkId)}`
        const advice =
          'detach the endpoints of one of the hosts from the network: it gives its block back'
        this.#found('blocks-overlap', item, message, undefined, advice)
      }
      if (!same || widest === undefined || last > widest.last) widest = block
    }
  }

  /** Endpoints with an address that their host does not own. */
  #uncovered(): void {
    const owned = new Set(
      this.#claims.map(({ record: { networkId, hostId, address } }) =>
        [networkId, hostId, address].join(' '),
      ),
    )
    const lengths = new Map<string, Set<number>>()
    for (const { record } of this.#blocks) {
      const { networkId, hostId, prefix } = record
      owned.add(`${networkId} ${hostId} ${prefix}`)
      const known = lengths.get(networkId) ?? new Set()
      lengths.set(networkId, known.add(prefixLength(prefix)))
    }
    for (const { item, record } of this.#endpoints) {
      const { networkId, hostId, addresses } = record
      if (!this.#hosts.has(hostId) || !this.#networks.has(networkId)) continue
      const owns = (what: IP | Prefix): boolean => owned.has(`${networkId} ${hostId} ${what}`)
      for (const address of addresses) {
        const bits = bitsOf(familyOf(address))
        const around = [...(lengths.get(networkId) ?? [])]
          .filter((length) => length <= bits)
          .map((length) => prefixAround(address, length))
        if (owns(address) || around.some(owns)) continue
        const message = `endpoint ${record.name ?? record.id} on host ${this.#host(hostId)} has ${address} of network ${this.#network(networkId)}, which its host does not own`
        const advice = this.#alive.has(hostId)
          ? 'the host claims it again by itself within a minute, or reports in carrick status that it cannot'
          : 'the host is away; it claims the address again when it is back'
        this.#found('endpoint-uncovered', item, message, undefined, advice)
      }
    }
  }

  #twice(): void {
    const holders = new Map<string, PublishedEndpoint>()
    for (const { item, record } of this.#endpoints) {
      for (const address of record.addresses) {
        const place = `${record.networkId} ${address}`
        const other = holders.get(place)
        holders.set(place, record)
        if (other === undefined) continue
        const name = (each: PublishedEndpoint): string =>
          `${each.name ?? each.id} on host ${this.#host(each.hostId)}`
        const message = `address ${address} of network ${this.#network(record.networkId)} belongs to endpoints ${name(other)} and ${name(record)}`
        const advice = `detach one of them on its host: carrick detach ${record.id}`
        this.#found('address-twice', item, message, undefined, advice)
      }
    }
  }

  /** Endpoints made by a version that kept no address of a block for its host. */
  #hostAddresses(): void {
    const kept = new Map<string, string>()
    for (const { record } of this.#blocks) {
      const network = this.#networks.get(record.networkId)?.record
      const address = network && hostAddressOf(network, record.prefix)
      if (address !== undefined) kept.set(`${record.networkId} ${address}`, record.hostId)
    }
    for (const { item, record } of this.#endpoints) {
      for (const address of record.addresses) {
        const hostId = kept.get(`${record.networkId} ${address}`)
        if (hostId === undefined) continue
        const message = `endpoint ${record.name ?? record.id} on host ${this.#host(record.hostId)} has ${address} of network ${this.#network(record.networkId)}, the own address of host ${this.#host(hostId)}`
        const advice = `attach it anew with another address: carrick detach ${record.id}`
        this.#found('host-address-taken', item, message, undefined, advice)
      }
    }
  }

  #names(items: readonly KeyValue[]): void {
    const named = new Set<string>()
    for (const item of items) {
      const name = item.key.slice(keys.networkName('').length)
      const network = this.#networks.get(item.value)
      if (network?.record.name === name) named.add(item.value)
      else {
        const message =
          network === undefined
            ? `the name ${name} stands for network ${item.value}, which was removed`
            : `the name ${name} stands for network ${item.value}, whose name is ${network.record.name}`
        const { compare: same = [], success } = removal(item)
        const still =
          network === undefined
            ? absent({ key: keys.network(item.value) })
            : unchanged(network.item.key, network.item.modRevision)
        this.#found('name-without-network', item, message, { compare: [...same, still], success })
      }
    }
    for (const { item, record } of this.#networks.values()) {
      if (named.has(record.id)) continue
      const key = keys.networkName(record.name)
      const taken = items.find((other) => other.key === key)
      const message = `network ${record.id} is called ${record.name}, and the name does not stand for it`
      const repair = {
        compare: [absent({ key }), unchanged(item.key, item.modRevision)],
        success: [{ kind: 'put', key, value: record.id } as const],
      }
      if (taken === undefined) this.#found('network-without-name', item, message, repair)
      else {
        const advice = `it stands for ${taken.value}; carrick network rm ${record.id} if it is not needed`
        this.#found('network-without-name', item, message, undefined, advice)
      }
    }
  }

  #reservations(entries: readonly Entry<Reservation>[]): void {
    for (const { item, record } of entries) {
      const { networkId, name, addresses } = record
      const network = this.#networks.get(networkId)?.record
      if (network === undefined) {
        const message = `the reservation for ${name} belongs to network ${networkId}, which was removed`
        this.#found('network-removed', item, message, removal(item, keys.network(networkId)))
        continue
      }
      const outside = addresses.filter(
        (address) => !network.prefixes.some((prefix) => prefixContains(prefix, address)),
      )
      if (outside.length === 0) continue
      const message = `the reservation for ${name} has ${outside.join(' and ')}, which network ${network.name} does not have`
      const advice = `carrick reserve rm ${network.name} ${name}`
      this.#found('reservation-outside', item, message, undefined, advice)
    }
  }

  /** Requests hang on leases: what stays when the asker is gone will not go by itself. */
  #requests(items: readonly KeyValue[]): void {
    const open = items.find(({ key }) => key === ipamKeys.restoreOpen)
    if (open !== undefined) {
      const done = new Set(items.map(({ key }) => key))
      const missing = [...this.#hosts.keys()].filter((id) => !done.has(ipamKeys.restoreDone(id)))
      const names = missing.map((id) => this.#host(id)).sort()
      const message = `the store was restored, and hosts have not confirmed their addresses yet: ${names.join(', ') || 'none is missing'}`
      const advice =
        'nobody claims addresses until then; carrick host rm HOST for hosts that are gone'
      this.#found('recovery-open', open, message, undefined, advice)
    }
    for (const item of items) {
      const isRequest = item.key.includes('-requests/')
      if (!isRequest) continue
      const { networkId, hostId } = JSON.parse(item.value) as {
        readonly networkId: string
        readonly hostId: string
      } // AddressRequest or BlockRequest
      const why = !this.#networks.has(networkId)
        ? `network ${networkId} was removed`
        : !this.#hosts.has(hostId)
          ? `host ${hostId} was removed`
          : item.lease === '0'
            ? 'it hangs on no lease'
            : undefined
      if (why === undefined) continue
      const message = `a request of host ${this.#host(hostId)} for addresses is left over: ${why}`
      this.#found('request-left', item, message, removal(item))
    }
  }

  #found(
    kind: FindingKind,
    { key, modRevision }: KeyValue,
    message: string,
    repair: Transaction | undefined,
    advice?: string,
  ): void {
    this.findings.push({
      ...{ kind, object: key, message, revision: modRevision },
      ...(repair === undefined ? {} : { repair }),
      ...(advice === undefined ? {} : { advice }),
    })
  }

  #network(id: string): string {
    return this.#networks.get(id)?.record.name ?? id
  }

  #host(id: string): string {
    return this.#hosts.get(id)?.record.name ?? id
  }
}

/** Deletes the item if it is as it was seen, and `gone` is still not there. */
function removal(item: KeyValue, gone?: string): Transaction {
  return {
    compare: [
      unchanged(item.key, item.modRevision),
      ...(gone === undefined ? [] : [absent({ key: gone })]),
    ],
    success: [{ kind: 'delete', range: { key: item.key } }],
  }
}

function byId<T extends { readonly id: string }>(
  entries: readonly Entry<T>[],
): ReadonlyMap<string, Entry<T>> {
  return new Map(entries.map((entry) => [entry.record.id, entry]))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
