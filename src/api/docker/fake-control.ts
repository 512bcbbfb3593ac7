/** The use cases that the plug-in needs, in memory, for tests of the protocol. */

import type { HoldSpec, PendingPool, PlugSpec } from '../../control/docker-control.ts'
import type { ReservationView } from '../../control/reservations.ts'
import { NetworkError } from '../../lib/errors.ts'
import { type Endpoint, NO_SANDBOX } from '../../model/endpoint.ts'
import { ENGINE_LABELS, type EngineNetwork } from '../../model/engine-network.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { macForAddress, parseMac } from '../../net/mac.ts'
import {
  addressAt,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixFamily,
} from '../../net/prefix.ts'
import type { EngineControl } from './engine-control.ts'

const CREATED_AT = '2026-01-02T03:04:05.678Z'
export const HOST_ID = 'host0001'

/** State that a test may look into; `fail` makes the named call throw once. */
export class FakeControl implements EngineControl {
  readonly networks: Network[] = []
  readonly endpoints: Endpoint[] = []
  readonly engineNetworks: EngineNetwork[] = []
  readonly publications: Publication[] = []
  readonly pools: PendingPool[] = []
  readonly reservations: ReservationView[] = []
  readonly expecting = new Set<string>()
  readonly #failures = new Map<string, unknown>()
  #serial = 0

  /** Everything there is, to be compared with what there is later. */
  get state(): string {
    const { networks, endpoints, engineNetworks, publications, pools } = this
    return JSON.stringify({ networks, endpoints, engineNetworks, publications, pools })
  }

  fail(call: keyof EngineControl, error: unknown): void {
    this.#failures.set(call, error)
  }

  #enter(call: keyof EngineControl): void {
    const error = this.#failures.get(call)
    this.#failures.delete(call)
    if (error !== undefined) throw error
  }

  createNetwork: EngineControl['createNetwork'] = async (spec) => {
    this.#enter('createNetwork')
    const prefixes = (spec.subnets ?? []).map((text) => sure(parsePrefix(text), text))
    const other = this.networks.find((each) =>
      each.prefixes.some((a) => prefixes.some((b) => prefixesOverlap(a, b))),
    )
    if (other !== undefined && spec.force !== true) {
      throw new NetworkError('conflict', `Cannot create: overlaps network ${other.name}`)
    }
    const given = spec.gateways ?? []
    const network: Network = {
      ...{ schema: 1, id: `net${++this.#serial}`, name: spec.name, vni: 4096 + this.#serial },
      prefixes,
      gateways: prefixes.map((prefix) => {
        const gateways = given.map((text) => sure(parseIP(text), text))
        return gateways.find((ip) => prefixContains(prefix, ip)) ?? nth(prefix, 1)
      }),
      ...{ carrier: spec.carrier ?? 'auto', internal: spec.internal ?? false },
      ...{ masquerade: spec.masquerade ?? true, open: spec.open ?? [] },
      ...(spec.mtuBytes === undefined ? {} : { mtuBytes: spec.mtuBytes }),
      labels: spec.labels ?? {},
      createdAt: CREATED_AT,
    }
    this.networks.push(network)
    return network
  }

  listNetworks: EngineControl['listNetworks'] = () => this.networks

  getNetwork: EngineControl['getNetwork'] = (reference) => {
    const found = this.networks.find(({ id, name }) => id === reference || name === reference)
    if (found !== undefined) return found
    throw new NetworkError('not-found', `No network ${reference}`)
  }

  removeNetwork: EngineControl['removeNetwork'] = async (reference) => {
    this.#enter('removeNetwork')
    const { id } = this.getNetwork(reference)
    if (this.endpoints.some(({ networkId }) => networkId === id)) {
      throw new NetworkError('conflict', 'endpoints use it')
    }
    drop(this.networks, (each) => each.id === id)
  }

  listEndpoints: EngineControl['listEndpoints'] = ({ network } = {}) =>
    this.endpoints.filter(
      ({ networkId }) => network === undefined || networkId === this.getNetwork(network).id,
    )

  reserve: EngineControl['reserve'] = async ({ network: reference, name, addresses }) => {
    this.#enter('reserve')
    const { id, name: network } = this.getNetwork(reference)
    const given = addresses.map((text) => sure(parseIP(text), text))
    if (given.some((address) => this.#holder(this.getNetwork(id), address) !== undefined)) {
      throw new NetworkError('already-exists', `Cannot reserve ${given}`)
    }
    const about = { name, addresses: given, createdAt: CREATED_AT }
    const view = { network, reservation: { schema: 1, networkId: id, ...about } } as const
    this.reservations.push(view)
    return view
  }

  unreserve: EngineControl['unreserve'] = async (reference, name) => {
    const { id } = this.getNetwork(reference)
    drop(this.reservations, ({ reservation: each }) => each.networkId === id && each.name === name)
  }

  listReservations: EngineControl['listReservations'] = (reference) =>
    this.reservations.filter(({ reservation }) => {
      return reference === undefined || reservation.networkId === this.getNetwork(reference).id
    })

  expectNetwork: EngineControl['expectNetwork'] = (id) => {
    this.expecting.add(id)
    return { [Symbol.dispose]: () => void this.expecting.delete(id) }
  }

  expectedNetwork: EngineControl['expectedNetwork'] = (prefixes) =>
    this.networks.find(
      (each) =>
        this.expecting.has(each.id) && each.prefixes.every((prefix) => prefixes.includes(prefix)),
    )

  choosePrefix: EngineControl['choosePrefix'] = async ({ family = 4, avoid }) => {
    const taken = [...avoid, ...this.networks.flatMap(({ prefixes }) => prefixes)]
    for (let i = 0; i < 120; i++) {
      const text = family === 4 ? `10.64.${i}.0/24` : `fd00:${(i + 1).toString(16)}::/64`
      const prefix = sure(parsePrefix(text), text)
      if (!taken.some((other) => prefixesOverlap(other, prefix))) return prefix
    }
    throw new NetworkError('exhausted', 'Cannot suggest any')
  }

  publish: EngineControl['publish'] = async (endpointId, wish) => {
    this.#enter('publish')
    if (typeof wish === 'string') throw new Error('a wish is told in fields')
    const { protocol, hostAddress, hostPort = 0, containerPort, count = 1 } = wish
    const port = hostPort === 0 ? 40_000 + ++this.#serial : hostPort
    const taken = this.publications.find(
      (each) => each.protocol === protocol && each.hostPort === port,
    )
    if (taken !== undefined) {
      throw new NetworkError(
        'already-exists',
        `Cannot publish ${port}/${protocol}: it is published for endpoint ${taken.endpointId}`,
      )
    }
    const address = hostAddress === undefined ? undefined : sure(parseIP(hostAddress), hostAddress)
    const publication: Publication = {
      ...{ schema: 1, id: `pub${++this.#serial}`, networkId: 'n', hostId: HOST_ID, endpointId },
      protocol: protocol === 'udp' || protocol === 'sctp' ? protocol : 'tcp',
      ...(address === undefined ? {} : { hostAddress: address }),
      ...{ hostPort: port, containerPort, count, createdAt: CREATED_AT },
    }
    this.publications.push(publication)
    return { publication, revision: 1 }
  }

  unpublish: EngineControl['unpublish'] = async (id) =>
    drop(this.publications, (each) => each.id === id)

  publicationsOf: EngineControl['publicationsOf'] = (endpointId) =>
    this.publications.filter((each) => each.endpointId === endpointId)

  holdAddress: EngineControl['holdAddress'] = async (spec: HoldSpec) => {
    this.#enter('holdAddress')
    const network = this.getNetwork(spec.network)
    const prefix =
      network.prefixes.find((each) => spec.within && prefixesOverlap(each, spec.within)) ??
      network.prefixes[0]
    const address =
      spec.address === undefined
        ? this.#free(network, spec.within ?? sure(prefix, 'prefix'))
        : sure(parseIP(spec.address), spec.address)
    const holder = this.#holder(network, address)
    const kept = this.reservations.find(({ reservation: each }) => {
      return each.networkId === network.id && each.addresses.includes(address)
    })
    if (kept !== undefined && kept.reservation.name !== spec.name) {
      throw new NetworkError('already-exists', `Cannot use ${address}: it is reserved`)
    }
    if (holder !== undefined && spec.address !== undefined) {
      throw new NetworkError(
        'already-exists',
        `Cannot use ${address}: endpoint ${holder.id} has it`,
      )
    }
    const held = this.#endpoint(network, [address], spec.labels, 'held')
    return { address, prefix: sure(prefix, 'prefix'), endpointId: held.id }
  }

  releaseHeld: EngineControl['releaseHeld'] = async (network, text) => {
    const { id } = this.getNetwork(network)
    drop(this.endpoints, (each) => {
      const held = each.attachment === 'held' && each.networkId === id
      return held && each.addresses.some((address) => address === text)
    })
  }

  listEngineEndpoints: EngineControl['listEngineEndpoints'] = () => [...this.endpoints]

  plug: EngineControl['plug'] = async (spec: PlugSpec) => {
    this.#enter('plug')
    const network = this.getNetwork(spec.network)
    const known = this.plugged(spec.labels[ENGINE_LABELS.endpoint] ?? '')
    if (known !== undefined) return { endpoint: known, revision: 1 }
    const given = spec.addresses.map((text) => sure(parseIP(text), text))
    for (const address of given) await this.releaseHeld(network.id, address)
    const chosen = (spec.choose ?? []).map((family) => {
      const prefix = network.prefixes.find((each) => prefixFamily(each) === family)
      return this.#free(network, sure(prefix, 'prefix'))
    })
    const taken = given.find((address) => this.#holder(network, address) !== undefined)
    if (taken !== undefined) throw new NetworkError('already-exists', `Cannot use ${taken}`)
    const endpoint = this.#endpoint(network, [...given, ...chosen], spec.labels, 'engine', spec.mac)
    return { endpoint, revision: 1 }
  }

  plugged: EngineControl['plugged'] = (id) =>
    this.endpoints.find(({ labels }) => labels[ENGINE_LABELS.endpoint] === id)

  unplug: EngineControl['unplug'] = async (id) => {
    this.#enter('unplug')
    const endpointId = this.plugged(id)?.id
    drop(this.publications, (each) => each.endpointId === endpointId)
    drop(this.endpoints, (each) => each.id === endpointId)
  }

  labelEndpoint: EngineControl['labelEndpoint'] = (id, labels) => {
    const at = this.endpoints.findIndex((each) => each.id === id)
    const labelled = { ...sure(this.endpoints[at], id), labels }
    this.endpoints[at] = labelled
    return labelled
  }

  bindEngineNetwork: EngineControl['bindEngineNetwork'] = (spec) => {
    const network: EngineNetwork = {
      ...spec,
      ...{ schema: 1, hostId: HOST_ID, engine: 'docker', createdAt: CREATED_AT },
    }
    drop(this.engineNetworks, ({ id }) => id === spec.id)
    this.engineNetworks.push(network)
    return network
  }

  unbindEngineNetwork: EngineControl['unbindEngineNetwork'] = (engineId) =>
    drop(this.engineNetworks, ({ id }) => id === engineId)

  engineNetwork: EngineControl['engineNetwork'] = (engineId) =>
    this.engineNetworks.find(({ id }) => id === engineId)

  listEngineNetworks: EngineControl['listEngineNetworks'] = ({ network } = {}) =>
    this.engineNetworks.filter(
      ({ networkId }) => network === undefined || networkId === this.getNetwork(network).id,
    )

  setNetworkDocker: EngineControl['setNetworkDocker'] = async (reference) =>
    this.getNetwork(reference)

  renameNetwork: EngineControl['renameNetwork'] = async (reference) => this.getNetwork(reference)

  networkNameFor: EngineControl['networkNameFor'] = (name) =>
    name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')

  pendingPools: EngineControl['pendingPools'] = () => [...this.pools]

  keepPendingPool: EngineControl['keepPendingPool'] = (pool) => {
    this.dropPendingPool(pool.poolId)
    this.pools.push(pool)
  }

  dropPendingPool: EngineControl['dropPendingPool'] = (id) =>
    drop(this.pools, ({ poolId }) => poolId === id)

  #holder(network: Network, address: IP): Endpoint | undefined {
    return this.endpoints.find(
      (each) => each.networkId === network.id && each.addresses.includes(address),
    )
  }

  #free(network: Network, within: Prefix): IP {
    for (let n = 2; ; n++) {
      const address = nth(within, n)
      const kept = this.reservations.some(({ reservation }) => {
        return reservation.addresses.includes(address)
      })
      if (!kept && this.#holder(network, address) === undefined) return address
    }
  }

  #endpoint(
    { id: networkId, vni }: Network,
    addresses: readonly IP[],
    labels: Readonly<Record<string, string>>,
    attachment: 'engine' | 'held',
    mac?: string,
  ): Endpoint {
    const id = `ep${++this.#serial}`
    const [first] = addresses
    const endpoint: Endpoint = {
      ...{ schema: 1, id, networkId, hostId: HOST_ID, addresses, labels, attachment },
      mac: (mac === undefined ? undefined : parseMac(mac)) ?? macForAddress(vni, sure(first, 'ip')),
      ...{ sandbox: NO_SANDBOX, ifname: `cke${this.#serial}`, order: 0, device: `ckv${id}` },
      ...{ number: this.#serial, createdAt: CREATED_AT },
    }
    this.endpoints.push(endpoint)
    return endpoint
  }
}

function nth(prefix: Prefix, n: number): IP {
  return sure(addressAt(prefix, BigInt(n)), `address ${n} of ${prefix}`)
}

function drop<T>(list: T[], matches: (item: T) => boolean): void {
  for (let i = list.length - 1; i >= 0; i--) {
    const item = list[i]
    if (item !== undefined && matches(item)) list.splice(i, 1)
  }
}

function sure<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`no ${what}`)
  return value
}
