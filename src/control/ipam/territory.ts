/**
 * This host's addresses in all networks: one pool per network, kept in step with the journal (which
 * endpoints have which addresses) and with the replica (which blocks and single addresses are ours). It
 * reads and never writes; what it says is right at any moment between two turns.
 */

import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { hostAddressOf } from '../../model/host-address.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import { type Prefix, prefixAddress, prefixContains } from '../../net/prefix.ts'
import type { Journal } from '../../store/journal/journal.ts'
import type { Replica, ReplicaChange } from '../../store/replica/replica.ts'
import type { EndpointChange, OwnEndpoints } from '../own-endpoints.ts'
import { prefixAroundArea } from './areas.ts'
import type { Terrain } from './candidates.ts'
import { type Holding, Holdings } from './holdings.ts'
import { coveringBlocks } from './layout.ts'
import { Ledger } from './ledger.ts'
import { AddressPool } from './pool.ts'
import { Remembered } from './remembered.ts'

export interface TerritoryDeps {
  readonly journal: Journal
  readonly ownEndpoints: OwnEndpoints
  readonly replica: Replica
  readonly clock: Clock
  readonly log: Log
  readonly hostId: string
  readonly epoch: () => number
  /** How long a released address is not chosen again. */
  readonly reuseDelayMs: number
}

interface Reserved {
  readonly byAddress: ReadonlyMap<IP, string>
  readonly byName: ReadonlyMap<string, readonly IP[]>
}

export class Territory implements AsyncDisposable {
  readonly ledger: Ledger
  readonly holdings: Holdings
  readonly remembered: Remembered
  readonly #deps: TerritoryDeps
  readonly #pools = new Map<string, AddressPool>()
  readonly #holding = new Map<string, Holding>()
  readonly #reserved = new Map<string, Reserved>()
  readonly #stop: readonly (() => void)[]
  #waiters: (() => void)[] = []
  #shrank = false
  #changes = 0

  constructor(deps: TerritoryDeps) {
    this.#deps = deps
    const { journal, ownEndpoints, replica, hostId, epoch } = deps
    this.ledger = new Ledger(journal)
    this.remembered = new Remembered(deps)
    this.holdings = new Holdings({ replica, ledger: this.ledger, hostId, epoch })
    this.#stop = [
      ownEndpoints.follow((change) => this.#endpointChanged(change)),
      replica.subscribe((changes) => this.#replicaChanged(changes)),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stop) stop()
    await this.remembered[Symbol.asyncDispose]()
  }

  /** Networks in which this host has, or is about to have, an endpoint. */
  networksInUse(): readonly string[] {
    return [...this.#pools].filter(([, pool]) => pool.inUse).map(([id]) => id)
  }

  pool(network: Network): AddressPool {
    const known = this.#pools.get(network.id)
    if (known !== undefined) return known
    const isWished = (address: IP): boolean => this.remembered.has(network.id, address)
    const pool = new AddressPool(network, isWished)
    this.#pools.set(network.id, pool)
    for (const { id, networkId, addresses } of this.#deps.ownEndpoints.values()) {
      if (networkId !== network.id) continue
      for (const address of addresses) pool.use(address, id)
    }
    this.refresh(network.id)
    return pool
  }

  holding(networkId: string): Holding {
    let holding = this.#holding.get(networkId)
    if (holding === undefined) {
      holding = this.holdings.of(networkId)
      this.#holding.set(networkId, holding)
    }
    return holding
  }

  /** Reserved addresses of the network, with the name each is for. */
  reserved(networkId: string): ReadonlyMap<IP, string> {
    return this.#reservedIn(networkId).byAddress
  }

  /** What is reserved for the name. */
  reservedFor(networkId: string, name: string): readonly IP[] {
    return this.#reservedIn(networkId).byName.get(name) ?? []
  }

  #reservedIn(networkId: string): Reserved {
    const known = this.#reserved.get(networkId)
    if (known !== undefined) return known
    const byAddress = new Map<IP, string>()
    const byName = new Map<string, readonly IP[]>()
    for (const { name, addresses } of this.#deps.replica.reservations(networkId)) {
      byName.set(name, addresses)
      for (const address of addresses) byAddress.set(address, name)
    }
    const reserved = { byAddress, byName }
    this.#reserved.set(networkId, reserved)
    return reserved
  }

  /** True when this host alone may give out the address now, if nobody has it. */
  owns(network: Network, address: IP): boolean {
    const pool = this.pool(network)
    return pool.blockOf(address) !== undefined || this.holding(network.id).addresses.has(address)
  }

  /** The other host in whose block the address lies, as far as is known. */
  foreignOwner(network: Network, prefix: Prefix, address: IP): string | undefined {
    const { foreignBlocks } = this.holding(network.id)
    for (const block of coveringBlocks(prefix, address)) {
      const owner = foreignBlocks.get(block)
      if (owner !== undefined) return owner
    }
    return undefined
  }

  /** The host whose own address in the network this is, as far as is known. */
  hostWith(network: Network, address: IP): string | undefined {
    const pool = this.pool(network)
    if (pool.blockOf(address) !== undefined) {
      return pool.isHostAddress(address) ? this.#deps.hostId : undefined
    }
    const { foreignBlocks } = this.holding(network.id)
    const prefix = prefixOf(network, address)
    for (const block of prefix === undefined ? [] : coveringBlocks(prefix, address)) {
      const owner = foreignBlocks.get(block)
      if (owner === undefined) continue
      return hostAddressOf(network, block) === address ? owner : undefined
    }
    return undefined
  }

  /** Addresses that hosts have themselves in their blocks of the network, as far as is known. */
  hostAddresses(network: Network): readonly IP[] {
    const { blocks, foreignBlocks } = this.holding(network.id)
    return [...blocks, ...foreignBlocks.keys()].flatMap(
      (block) => hostAddressOf(network, block) ?? [],
    )
  }

  /** What is claimed of the prefix around an area, by anybody. */
  terrain(network: Network, area: Prefix): Terrain {
    const holding = this.holding(network.id)
    const prefix = prefixAroundArea(network, area)
    return {
      ...{ prefix, area },
      gateway: gatewayOf(network, prefix),
      blocks: [...holding.blocks, ...holding.foreignBlocks.keys()],
      claims: [...holding.addresses.keys(), ...holding.foreignAddresses.keys()],
    }
  }

  /** Addresses of own endpoints that neither a block nor a claim of this host covers (a restored store). */
  uncovered(): readonly {
    readonly network: Network
    readonly prefix: Prefix
    readonly own: OwnAddress
  }[] {
    const { replica, ownEndpoints } = this.#deps
    return Array.from(ownEndpoints.values()).flatMap(({ networkId, id, addresses, name }) => {
      const network = replica.network(networkId)
      if (network === undefined) return []
      return addresses.flatMap((address) => {
        const prefix = network.prefixes.find((candidate) => prefixContains(candidate, address))
        if (prefix === undefined || this.owns(network, address)) return []
        return [{ network, prefix, own: { address, endpointId: id, name } }]
      })
    })
  }

  /** Grows with every change of own endpoints, and of what is claimed in a network. */
  get changes(): number {
    return this.#changes
  }

  /** Takes over what the replica and the ledger say now, and wakes whoever waits. */
  refresh(networkId: string): void {
    this.#changes++
    const before = this.#holding.get(networkId)
    this.#holding.delete(networkId)
    this.#reserved.delete(networkId)
    if (before !== undefined && lacks(this.holding(networkId), before)) this.#shrank = true
    const pool = this.#pools.get(networkId)
    if (pool !== undefined) {
      const network = this.#deps.replica.network(networkId)
      if (network !== undefined) pool.setNetwork(network)
      const holding = this.holding(networkId)
      pool.setBlocks(holding.blocks)
      pool.setKept(new Set(this.reserved(networkId).keys()))
      pool.setExcluded(
        new Set([...holding.foreignAddresses.keys(), ...this.ledger.grantedIn(networkId)]),
      )
    }
    this.#wake()
  }

  /** True when an own block or address has gone since this was last asked. */
  shrank(): boolean {
    const shrank = this.#shrank
    this.#shrank = false
    return shrank
  }

  /** Resolves when blocks, claims or own endpoints have changed somewhere. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  #endpointChanged({ before, after }: EndpointChange): void {
    if (before !== undefined) this.#release(before)
    if (after !== undefined) this.#use(after)
    else if (before?.name !== undefined) {
      this.remembered.remember(before.networkId, before.name, before.addresses)
    }
    this.#changes++
    this.#wake()
  }

  #use({ id, networkId, addresses }: Endpoint): void {
    const pool = this.#pools.get(networkId)
    for (const address of addresses) pool?.use(address, id)
  }

  #release({ id, networkId, addresses }: Endpoint): void {
    const until = this.#deps.clock.monotonicMs() + this.#deps.reuseDelayMs
    const pool = this.#pools.get(networkId)
    for (const address of addresses) pool?.release(address, id, until)
  }

  #replicaChanged(changes: readonly ReplicaChange[]): void {
    const touched = new Set<string>()
    for (const change of changes) {
      if (change.kind === 'all') for (const id of this.#known()) touched.add(id)
      else if (isOfAddresses(change)) touched.add(change.networkId)
      else if (change.kind === 'network') touched.add(change.id)
    }
    for (const id of touched) this.refresh(id)
  }

  #known(): ReadonlySet<string> {
    return new Set([...this.#pools.keys(), ...this.#holding.keys(), ...this.#reserved.keys()])
  }
}

function isOfAddresses(
  change: ReplicaChange,
): change is ReplicaChange & { readonly kind: 'block' | 'address' | 'reservation' } {
  return change.kind === 'block' || change.kind === 'address' || change.kind === 'reservation'
}

function lacks(now: Holding, before: Holding): boolean {
  for (const block of before.blocks) if (!now.blocks.has(block)) return true
  for (const address of before.addresses.keys()) if (!now.addresses.has(address)) return true
  return false
}

export interface OwnAddress {
  readonly address: IP
  readonly endpointId: string
  readonly name: string | undefined
}

/** The gateway that belongs to one of the network's prefixes. */
export function gatewayOf(network: Network, prefix: Prefix): IP {
  return network.gateways[network.prefixes.indexOf(prefix)] ?? prefixAddress(prefix)
}

/** The network's prefix in which the address lies. */
export function prefixOf(network: Network, address: IP): Prefix | undefined {
  return network.prefixes.find((prefix) => prefixContains(prefix, address))
}
