/**
 * Networks are made and removed in the shared store, each in one transaction: name, number and record appear
 * together or not at all. The number on the wire (VNI) comes from a counter that only grows, so that no packet
 * of an old network can arrive in a new one (R6). Whoever changes which prefixes there are holds a guard key,
 * because prefixes must not overlap: never those of networks without a number on the wire (R31), the others
 * only when somebody insists (`overlap.ts`).
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { NetworkError } from '../lib/errors.ts'
import { newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import { keys, parseKey } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import { PROBE_VNI } from '../model/probe-network.ts'
import { hostPortsText } from '../model/publication.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Compare, KeyRange, KeyValue, Operation, Store } from '../store/store.ts'
import type { NetworkSpec } from './control.ts'
import { checkDocker } from './docker-side.ts'
import { absent, unchanged } from './ipam/claims.ts'
import { ipamKeys } from './ipam/ipam-keys.ts'
import { retiredKeys } from './ipam/retired.ts'
import { refuseUnable } from './network-limits.ts'
import { type CheckedNetwork, checkNetwork } from './network-spec.ts'
import { type Force, isFlat, refuseOverlaps, type Surroundings } from './overlap.ts'
import { CHOSEN, chosenIn, FLAT_GUARD, NETWORKS, readTogether } from './prefix-keys.ts'
import { resolve } from './resolve.ts'
import { suggestPrefixes } from './suggest.ts'
import { untilReplica } from './wait-replica.ts'

const ATTEMPTS = 20
/** The next one is the probes'. */
const HIGHEST_VNI = PROBE_VNI - 1
/** How long a caller waits for this host to see what it wrote. */
const SEEN_MS = 2_000
/** How long a removal waits for the store to hear of endpoints that left here, and between two looks. */
const PUBLISHED_MS = 2_000
const PUBLISHED_PAUSE_MS = 10
/** Published ports that a refusal names. */
const MOST_PORTS_TOLD = 5

export interface NetworksDeps {
  readonly store: Store
  readonly replica: Replica
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
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
    const { subnets } = spec
    const given = subnets === undefined ? undefined : checkNetwork({ ...spec, subnets })
    const { replica, clock, log, random } = this.#deps
    const checkedAmong = (surroundings: Surroundings): CheckedNetwork =>
      given ?? checkNetwork({ ...spec, subnets: suggestPrefixes({}, surroundings, random) })
    const { force, by = {} } = spec
    const insist = force === true ? { by, at: timestamp(clock.wallMs()) } : undefined
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const network = await this.#tryCreate(spec.name, checkedAmong, insist)
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
  async #tryCreate(
    wantedName: string,
    checkedAmong: (surroundings: Surroundings) => CheckedNetwork,
    force?: Force,
  ): Promise<Network | undefined> {
    const { store, clock, random, replica } = this.#deps
    const seen = await readTogether(store, [
      { key: keys.networkName(wantedName) },
      { key: keys.counter('vni') },
      { key: FLAT_GUARD },
      { prefix: NETWORKS },
      { prefix: CHOSEN },
    ])
    const [names = [], counters = [], guards = [], others = [], chosen = []] = seen
    const surroundings = {
      networks: others.map(({ value }): Network => JSON.parse(value)),
      hosts: [...replica.hosts()],
      facts: replica.facts,
      chosen: chosenIn(chosen),
    }
    const checked = checkedAmong(surroundings)
    if (names.length > 0) {
      throw new NetworkError(
        'already-exists',
        `Cannot create network "${checked.name}": there is one of that name`,
        { details: { network: checked.name }, hint: `carrick network get ${checked.name}` },
      )
    }
    const forced = refuseOverlaps(
      { ...checked, attempted: `create network "${checked.name}"` },
      surroundings,
      force,
    )
    refuseUnable(`create network "${checked.name}"`, checked.carrier, replica.hosts())
    if (checked.docker !== undefined) checkDocker(checked, checked.docker, replica.networks())
    const vni = this.#nextVni(counters[0])
    const now = clock.wallMs()
    const { name, prefixes, gateways, carrier, mtuBytes, labels } = checked
    const { internal, masquerade, open, docker } = checked
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
      ...(forced === undefined ? {} : { forced }),
      ...(docker === undefined ? {} : { docker }),
      labels,
      createdAt: timestamp(now),
    }
    const compare: Compare[] = [
      absent({ key: keys.networkName(name) }),
      absent({ key: keys.network(network.id) }),
      unchanged(keys.counter('vni'), counters[0]?.modRevision ?? 0),
      unchanged(FLAT_GUARD, guards[0]?.modRevision ?? 0),
    ]
    const success: Operation[] = [
      { kind: 'put', key: keys.networkName(name), value: network.id },
      { kind: 'put', key: keys.network(network.id), value: JSON.stringify(network) },
      { kind: 'put', key: keys.counter('vni'), value: String(vni) },
      { kind: 'put', key: FLAT_GUARD, value: network.id },
    ]
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
        await this.#refuseUsed(network, () => ownEndpoints(network.id))
        const result = await store.txn(removal(network))
        if (result.succeeded || attempt === ATTEMPTS) break
      }
      await untilReplica(replica, clock, SEEN_MS, () => replica.network(network.id) === undefined)
      log.info('network removed', { network: network.name })
    } finally {
      this.#removing.delete(network.id)
    }
  }

  /** For the message: what is published for the network's endpoints. */
  #publishedIn(network: Network): string {
    const { replica } = this.#deps
    const ports = Array.from(replica.publicationsOf(network.id), (each) => {
      return `${hostPortsText(each)} of ${replica.host(each.hostId)?.name ?? each.hostId}`
    }).sort()
    if (ports.length === 0) return ''
    const more = ports.length > MOST_PORTS_TOLD ? ` and ${ports.length - MOST_PORTS_TOLD} more` : ''
    return `, with published ports: ${ports.slice(0, MOST_PORTS_TOLD).join(', ')}${more}`
  }

  /** Throws when endpoints are in the network, or when the store does not hear in time that the last ones here left. */
  async #refuseUsed(network: Network, own: () => number): Promise<void> {
    const { replica, clock, signal } = this.#deps
    const deadlineMs = clock.monotonicMs() + PUBLISHED_MS
    let users = await this.#publishedUsers(network)
    while (own() === 0 && users.hosts.size === 1 && users.hosts.has(replica.hostId)) {
      if (clock.monotonicMs() > deadlineMs) throw stillPublished(network, users.count)
      await clock.sleep(PUBLISHED_PAUSE_MS, signal)
      users = await this.#publishedUsers(network)
    }
    const used = Math.max(users.count, own())
    if (used === 0) return
    if (own() > 0) users.hosts.add(replica.hostId)
    const names = [...users.hosts].map((id) => replica.host(id)?.name ?? id).sort()
    throw new NetworkError(
      'conflict',
      `Cannot remove network ${network.name}: ${used} ${used === 1 ? 'endpoint uses' : 'endpoints use'} it, on ${names.join(', ')}${this.#publishedIn(network)}`,
      {
        details: { network: network.name, hosts: names, endpoints: used },
        hint: `carrick endpoint ls --network ${network.name}`,
      },
    )
  }

  /** Endpoints of the network that the store knows, and their hosts. */
  async #publishedUsers(network: Network): Promise<{ count: number; hosts: Set<string> }> {
    const range = { prefix: keys.endpoints(network.id) }
    const { items, count } = await this.#deps.store.range(range, { keysOnly: true, limit: 1000 })
    const hosts = new Set<string>()
    for (const { key } of items) {
      const parsed = parseKey(key)
      if (parsed?.kind === 'endpoint') hosts.add(parsed.hostId)
    }
    return { count, hosts }
  }
}

/** What is detached here is given up at once, and published a moment later. */
function stillPublished({ name }: Network, count: number): NetworkError {
  const left =
    count === 1 ? '1 endpoint that left it here is' : `${count} endpoints that left it here are`
  return new NetworkError(
    'unavailable',
    `Cannot remove network ${name}: ${left} not yet known to have left in the store`,
    { hint: 'carrick status tells what keeps this host from publishing' },
  )
}

/**
 * Everything of the network goes at once, if nobody published an endpoint into it meanwhile. That engines have it
 * their hosts alone may say, and take back.
 */
function removal(network: Network): { compare: Compare[]; success: Operation[] } {
  const drop = (range: KeyRange): Operation => ({ kind: 'delete', range })
  const success = [
    drop({ key: keys.network(network.id) }),
    drop({ key: keys.networkName(network.name) }),
    drop({ prefix: keys.publications(network.id) }),
    drop({ prefix: keys.blocks(network.id) }),
    drop({ prefix: keys.addresses(network.id) }),
    drop({ prefix: keys.reservations(network.id) }),
    drop({ prefix: ipamKeys.addressRequests(network.id) }),
    drop({ prefix: ipamKeys.blockRequests(network.id) }),
    drop({ prefix: retiredKeys(network.id) }),
  ]
  if (isFlat(network)) success.push({ kind: 'put', key: FLAT_GUARD, value: network.id })
  return { compare: [absent({ prefix: keys.endpoints(network.id) })], success }
}
