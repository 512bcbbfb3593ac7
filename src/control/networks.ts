/**
 * Networks are made and removed in the shared store, each in one transaction: name, number and record appear
 * together or not at all. The number on the wire (VNI) comes from a counter that only grows, so that no packet
 * of an old network can arrive in a new one (R6). Networks whose packets travel without a number (`direct`,
 * `auto`) hold a guard key, because their prefixes must not overlap anywhere in the cluster (R31).
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { NetworkError } from '../lib/errors.ts'
import { newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import { keys, parseKey, ROOT } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import { prefixesOverlap } from '../net/prefix.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Compare, KeyRange, KeyValue, Operation, Store } from '../store/store.ts'
import type { NetworkSpec } from './control.ts'
import { absent, unchanged } from './ipam/claims.ts'
import { ipamKeys } from './ipam/ipam-keys.ts'
import { type CheckedNetwork, checkNetwork } from './network-spec.ts'
import { resolve } from './resolve.ts'
import { untilReplica } from './wait-replica.ts'

/** Written by every change to the set of networks whose prefixes must be unique in the cluster. */
export const FLAT_GUARD = `${ROOT}guards/flat-prefixes`

const ATTEMPTS = 20
const HIGHEST_VNI = 2 ** 24 - 1
const NETWORKS = `${ROOT}networks/`
/** How long a caller waits for this host to see what it wrote. */
const SEEN_MS = 2_000

export interface NetworksDeps {
  readonly store: Store
  readonly replica: Replica
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class Networks {
  readonly #deps: NetworksDeps
  readonly #removing = new Set<string>()
  /** The highest number ever seen here: a restored store may have forgotten it. */
  #highestVni = 0

  constructor(deps: NetworksDeps) {
    this.#deps = deps
  }

  list(): readonly Network[] {
    return [...this.#deps.replica.networks()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  get(reference: string): Network {
    const { replica } = this.#deps
    const quick = replica.networkByName(reference) ?? replica.network(reference)
    return quick ?? resolve('network', reference, replica.networks())
  }

  /** True while the network is there and nobody is removing it here. */
  isOpen(network: Network): boolean {
    return !this.#removing.has(network.id) && this.#deps.replica.network(network.id) !== undefined
  }

  async create(spec: NetworkSpec): Promise<Network> {
    const checked = checkNetwork(spec)
    const { replica, clock, log } = this.#deps
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const network = await this.#tryCreate(checked)
      if (network === undefined) continue
      await untilReplica(replica, clock, SEEN_MS, () => replica.network(network.id) !== undefined)
      log.info('network created', { network: network.name, prefix: network.prefixes.join(' ') })
      return network
    }
    throw new NetworkError(
      'unavailable',
      `Cannot create network "${spec.name}": too many changes at once; try again`,
    )
  }

  /** Undefined when somebody else changed what the decision was based on. */
  async #tryCreate(checked: CheckedNetwork): Promise<Network | undefined> {
    const { store, clock, random } = this.#deps
    const flat = isFlat(checked)
    const seen = await readTogether(store, [
      { key: keys.networkName(checked.name) },
      { key: keys.counter('vni') },
      { key: FLAT_GUARD },
      // Only flat networks look at the others.
      flat ? { prefix: NETWORKS } : { key: NETWORKS },
    ])
    const [names = [], counters = [], guards = [], others = []] = seen
    if (names.length > 0) {
      throw new NetworkError(
        'already-exists',
        `Cannot create network "${checked.name}": there is one of that name`,
        { details: { network: checked.name }, hint: `carrick network get ${checked.name}` },
      )
    }
    if (flat) refuseOverlap(checked, others)
    const vni = this.#nextVni(counters[0])
    const now = clock.wallMs()
    const { name, prefixes, gateways, carrier, mtuBytes, labels } = checked
    const { internal, masquerade, open } = checked
    const network: Network = {
      schema: 1,
      id: newId(now, random),
      name,
      vni,
      prefixes,
      gateways,
      carrier,
      ...(mtuBytes === undefined ? {} : { mtuBytes }),
      internal,
      masquerade,
      open,
      labels,
      createdAt: timestamp(now),
    }
    const compare: Compare[] = [
      absent({ key: keys.networkName(name) }),
      absent({ key: keys.network(network.id) }),
      unchanged(keys.counter('vni'), counters[0]?.modRevision ?? 0),
    ]
    const success: Operation[] = [
      { kind: 'put', key: keys.networkName(name), value: network.id },
      { kind: 'put', key: keys.network(network.id), value: JSON.stringify(network) },
      { kind: 'put', key: keys.counter('vni'), value: String(vni) },
    ]
    if (flat) {
      compare.push(unchanged(FLAT_GUARD, guards[0]?.modRevision ?? 0))
      success.push({ kind: 'put', key: FLAT_GUARD, value: network.id })
    }
    const result = await store.txn({ compare, success })
    if (!result.succeeded) return undefined
    this.#highestVni = Math.max(this.#highestVni, vni)
    return network
  }

  #nextVni(counter: KeyValue | undefined): number {
    for (const { vni } of this.#deps.replica.networks()) {
      this.#highestVni = Math.max(this.#highestVni, vni)
    }
    const vni = Math.max(Number(counter?.value ?? 0), this.#highestVni) + 1
    if (vni > HIGHEST_VNI) {
      throw new NetworkError(
        'exhausted',
        `Cannot create a network: all ${HIGHEST_VNI} network numbers have been used`,
      )
    }
    return vni
  }

  /** Throws `conflict`, with the hosts named, while endpoints use it anywhere. */
  async remove(reference: string, ownEndpoints: (networkId: string) => number): Promise<void> {
    const { store, replica, clock, log } = this.#deps
    const network = this.get(reference)
    if (this.#removing.has(network.id)) {
      throw new NetworkError(
        'conflict',
        `Cannot remove network ${network.name}: it is being removed`,
      )
    }
    this.#removing.add(network.id)
    try {
      for (let attempt = 0; ; attempt++) {
        await this.#refuseUsed(network, ownEndpoints(network.id))
        const result = await store.txn(removal(network))
        if (result.succeeded || attempt === ATTEMPTS) break
      }
      await untilReplica(replica, clock, SEEN_MS, () => replica.network(network.id) === undefined)
      log.info('network removed', { network: network.name })
    } finally {
      this.#removing.delete(network.id)
    }
  }

  async #refuseUsed(network: Network, own: number): Promise<void> {
    const { store, replica } = this.#deps
    const range = { prefix: keys.endpoints(network.id) }
    const { items, count } = await store.range(range, { keysOnly: true, limit: 1000 })
    const hosts = new Set<string>()
    for (const { key } of items) {
      const parsed = parseKey(key)
      if (parsed?.kind === 'endpoint') hosts.add(parsed.hostId)
    }
    if (own > 0) hosts.add(replica.hostId)
    const used = Math.max(count, own)
    if (used === 0) return
    const names = [...hosts].map((id) => replica.host(id)?.name ?? id).sort()
    throw new NetworkError(
      'conflict',
      `Cannot remove network ${network.name}: ${used} ${used === 1 ? 'endpoint uses' : 'endpoints use'} it, on ${names.join(', ')}`,
      {
        details: { network: network.name, hosts: names, endpoints: used },
        hint: `carrick endpoint ls --network ${network.name}`,
      },
    )
  }
}

/** Packets of these networks may travel without a network number. */
function isFlat({ carrier }: { readonly carrier: Network['carrier'] }): boolean {
  return carrier === 'direct' || carrier === 'auto'
}

/** R31: equal prefixes cannot be told apart without a number. */
function refuseOverlap(checked: CheckedNetwork, others: readonly KeyValue[]): void {
  for (const { value } of others) {
    const other: Network = JSON.parse(value)
    if (!isFlat(other)) continue
    for (const [i, prefix] of checked.prefixes.entries()) {
      const hit = other.prefixes.find((candidate) => prefixesOverlap(candidate, prefix))
      if (hit === undefined) continue
      const message = `subnet ${prefix} overlaps ${hit} of network ${other.name}`
      throw new NetworkError(
        'conflict',
        `Cannot create network "${checked.name}": ${message}, and carrier ${checked.carrier} cannot tell them apart`,
        {
          details: { network: other.name, prefix },
          fields: [{ pointer: `/subnets/${i}`, message }],
          hint: `carrick network create ${checked.name} --carrier vxlan …`,
        },
      )
    }
  }
}

/** Everything of the network goes at once, if nobody published an endpoint into it meanwhile. */
function removal(network: Network): { compare: Compare[]; success: Operation[] } {
  const drop = (range: KeyRange): Operation => ({ kind: 'delete', range })
  const success = [
    drop({ key: keys.network(network.id) }),
    drop({ key: keys.networkName(network.name) }),
    drop({ prefix: keys.blocks(network.id) }),
    drop({ prefix: keys.addresses(network.id) }),
    drop({ prefix: ipamKeys.addressRequests(network.id) }),
    drop({ prefix: ipamKeys.blockRequests(network.id) }),
  ]
  if (isFlat(network)) success.push({ kind: 'put', key: FLAT_GUARD, value: network.id })
  return { compare: [absent({ prefix: keys.endpoints(network.id) })], success }
}

/** Several ranges as they were at one revision. */
async function readTogether(
  store: Store,
  ranges: readonly KeyRange[],
): Promise<readonly (readonly KeyValue[])[]> {
  const { results } = await store.txn({
    success: ranges.map((range) => ({ kind: 'range', range })),
  })
  return results.map((result) => (result.kind === 'range' ? result.items : []))
}
