/**
 * Endpoints that a container engine brings into being: first an address is held, then an endpoint is plugged
 * that takes it over, in one commit of the journal. What is held and what is plugged survives the daemon; the
 * kernel gets a pair with both ends on the host, and the engine takes one of them.
 */

import { isDeepStrictEqual } from 'node:util'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import { type Endpoint, NO_SANDBOX, type PublishedEndpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import { endpointKey } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import { familyOf, type IP } from '../net/ip.ts'
import { macForAddress } from '../net/mac.ts'
import type { Journal, JournalChange } from '../store/journal/journal.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Ports } from './control.ts'
import type { HeldAddress, HoldSpec, PluggedEndpoint, PlugSpec } from './docker-control.ts'
import type { EngineIndex } from './engine-index.ts'
import { type CheckedHold, type CheckedPlug, checkHold, checkPlug } from './engine-spec.ts'
import type { Ipam } from './ipam/ipam.ts'
import { prefixOf } from './ipam/territory.ts'
import type { NameIndex } from './name-index.ts'
import type { Networks } from './networks.ts'
import type { OwnIndex } from './own-index.ts'
import { refuseLost } from './refuse-lost.ts'
import { untilSettled } from './settled.ts'

export interface EngineEndpointsDeps {
  readonly journal: Journal
  readonly replica: Replica
  readonly ports: Ports
  readonly ipam: Ipam
  readonly networks: Networks
  readonly names: NameIndex
  readonly own: OwnIndex
  readonly index: EngineIndex
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly hostId: string
  /** Names this run of the daemon: no other makes the pairs that are plugged now. */
  readonly run: string
  /** How long the kernel has to agree with a change, in milliseconds. */
  readonly settleMs: number
  readonly signal: AbortSignal
  /** Takes the endpoint with this id away. */
  readonly detach: (endpointId: string) => Promise<void>
}

export class EngineEndpoints {
  readonly #deps: EngineEndpointsDeps
  /** Plugs under way, by the engine's id of the endpoint. */
  readonly #plugging = new Map<string, Promise<PluggedEndpoint>>()

  constructor(deps: EngineEndpointsDeps) {
    this.#deps = deps
  }

  list(): readonly Endpoint[] {
    return [...this.#deps.index.endpoints()].sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  plugged(engineEndpointId: string): Endpoint | undefined {
    return this.#deps.index.plugged(engineEndpointId)
  }

  async hold(spec: HoldSpec): Promise<HeldAddress> {
    const { networks, index } = this.#deps
    const network = networks.get(spec.network)
    const checked = checkHold(network, spec)
    const { address } = checked
    const held = address === undefined ? undefined : index.held(network.id, address)
    if (held !== undefined && isDeepStrictEqual(held.labels, spec.labels)) {
      return heldAs(network, held)
    }
    try {
      return heldAs(network, await this.#hold(network, checked, spec))
    } catch (error) {
      const other = this.#heldElsewhere(network, address, spec)
      if (other === undefined || !isNetworkError(error, 'already-exists')) throw error
      return heldAs(network, other)
    }
  }

  async #hold(
    network: Network,
    { address: wanted, family }: CheckedHold,
    { within, name, labels }: HoldSpec,
  ): Promise<Endpoint> {
    const { journal, ipam, clock, random, signal, hostId } = this.#deps
    const id = newId(clock.wallMs(), random)
    using reserved = await ipam.reserve(
      {
        ...{ network, endpointId: id, name, families: [family] },
        addresses: wanted === undefined ? [] : [wanted],
        ...(within === undefined ? {} : { within: [within] }),
      },
      signal,
    )
    const { addresses } = reserved
    const [address] = addresses
    if (address === undefined) throw new Error(`no address of network ${network.id} was reserved`)
    refuseLost(this.#deps, network, addresses, 'take an address of')
    const endpoint: Endpoint = {
      ...{ schema: 1, id, networkId: network.id, hostId, addresses },
      ...{ mac: macForAddress(network.vni, address), labels },
      ...{ attachment: 'held', sandbox: NO_SANDBOX, ifname: '', order: 0, device: '', number: 0 },
      createdAt: timestamp(clock.wallMs()),
    }
    journal.commit([putOf(endpoint)])
    return endpoint
  }

  /** Another host has set the same address aside. */
  #heldElsewhere(
    network: Network,
    address: IP | undefined,
    { labels }: HoldSpec,
  ): PublishedEndpoint | undefined {
    if (address === undefined || labels[ENGINE_LABELS.aux] === undefined) return undefined
    return [...this.#deps.replica.endpointsOf(network.id)].find(
      (other) =>
        other.attachment === 'held' &&
        other.addresses.includes(address) &&
        isDeepStrictEqual(other.labels, labels),
    )
  }

  release(networkId: string, address: IP): void {
    const { index, journal } = this.#deps
    const held = index.held(networkId, address)
    if (held !== undefined) journal.commit([removalOf(held)])
  }

  async plug(spec: PlugSpec): Promise<PluggedEndpoint> {
    const engineId = spec.labels[ENGINE_LABELS.endpoint]
    if (engineId === undefined) return this.#plug(spec)
    const underway = this.#plugging.get(engineId)
    if (underway !== undefined) return underway
    const work = this.#plugOnce(engineId, spec).finally(() => this.#plugging.delete(engineId))
    this.#plugging.set(engineId, work)
    return work
  }

  /** A request that is made again gets the endpoint that stands. */
  async #plugOnce(engineId: string, spec: PlugSpec): Promise<PluggedEndpoint> {
    const { index, networks, journal } = this.#deps
    const endpoint = index.plugged(engineId)
    if (endpoint === undefined) return this.#plug(spec)
    const network = networks.get(spec.network)
    const { addresses } = checkPlug(network, spec)
    const same =
      endpoint.networkId === network.id &&
      addresses.every((address) => endpoint.addresses.includes(address))
    if (same) {
      const revision = journal.sequence
      await untilSettled(this.#deps, revision, { endpoints: [endpoint] })
      return { endpoint, revision }
    }
    throw new NetworkError(
      'already-exists',
      `Cannot attach to network ${network.name}: endpoint ${engineId} has ${endpoint.addresses.join(' and ')} already`,
      { details: { network: network.name, endpoint: endpoint.id } },
    )
  }

  async #plug(spec: PlugSpec): Promise<PluggedEndpoint> {
    const { networks, names, clock, log } = this.#deps
    const startedMs = clock.monotonicMs()
    const network = networks.get(spec.network)
    const checked = checkPlug(network, spec)
    using _name = names.claim(network, spec.name)
    const { endpoint, revision } = await this.#commit(network, checked, spec)
    try {
      await untilSettled(this.#deps, revision, { endpoints: [endpoint] })
    } catch (error) {
      await this.#withdraw(endpoint)
      throw error
    }
    const { id, networkId, addresses } = endpoint
    const durationMs = clock.monotonicMs() - startedMs
    const fields = { endpoint: id, network: networkId, address: addresses.join(' ') }
    log.debug('endpoint plugged', { ...fields, revision, durationMs })
    return { endpoint, revision }
  }

  /** Finds what addresses are lacking and writes the record in the place of those that held its addresses. */
  async #commit(
    network: Network,
    { addresses: wanted, choose, mac }: CheckedPlug,
    { within, name, labels }: PlugSpec,
  ): Promise<PluggedEndpoint> {
    const { journal, ipam, index, own, clock, random, signal, hostId, run } = this.#deps
    const id = newId(clock.wallMs(), random)
    // What is set aside is for nobody.
    const held = wanted.filter((address) => {
      const holder = index.held(network.id, address)
      return holder !== undefined && holder.labels[ENGINE_LABELS.aux] === undefined
    })
    const lacking = wanted.filter((address) => !held.includes(address))
    using reserved = await ipam.reserve(
      {
        ...{ network, endpointId: id, name, addresses: lacking },
        families: [...lacking.map(familyOf), ...choose],
        ...(within === undefined ? {} : { within }),
      },
      signal,
    )
    const addresses = [...held, ...reserved.addresses].sort((a, b) => familyOf(a) - familyOf(b))
    refuseLost(this.#deps, network, addresses, 'attach to')
    const holders = held.map((address) => index.held(network.id, address))
    const [first] = addresses
    if (first === undefined || holders.includes(undefined)) {
      throw new NetworkError(
        'conflict',
        `Cannot attach to network ${network.name}: ${held.join(' and ')} was let go meanwhile`,
        { details: { network: network.name } },
      )
    }
    const device = own.deviceFor(id)
    const [number = 0] = own.freeNumbers(1)
    const endpoint: Endpoint = {
      ...{ schema: 1, id, networkId: network.id, hostId, addresses },
      mac: mac ?? macForAddress(network.vni, first),
      ...(name === undefined ? {} : { name }),
      ...{ labels, attachment: 'engine', sandbox: NO_SANDBOX, order: 0 },
      ...{ ifname: engineEndOf(device), device, number, run },
      createdAt: timestamp(clock.wallMs()),
    }
    const removals = new Set(holders.flatMap((holder) => holder ?? []))
    const revision = journal.commit([...Array.from(removals, removalOf), putOf(endpoint)])
    return { endpoint, revision }
  }

  /** Content when there is none. */
  async unplug(engineEndpointId: string): Promise<void> {
    // One that is being plugged goes as soon as it is there.
    await this.#plugging.get(engineEndpointId)?.catch(() => undefined)
    const endpoint = this.plugged(engineEndpointId)
    if (endpoint !== undefined) await this.#deps.detach(endpoint.id)
  }

  label(endpointId: string, labels: Readonly<Record<string, string>>): Endpoint {
    const { own, journal } = this.#deps
    const endpoint = own.get(endpointId)
    if (endpoint === undefined) {
      throw new NetworkError('not-found', `Cannot label endpoint ${endpointId}: it is not here`)
    }
    const kept = [ENGINE_LABELS.endpoint, ENGINE_LABELS.pool].flatMap((key) => {
      const value = endpoint.labels[key]
      return value === undefined ? [] : [[key, value] as const]
    })
    const next: Endpoint = { ...endpoint, labels: { ...labels, ...Object.fromEntries(kept) } }
    if (isDeepStrictEqual(endpoint.labels, next.labels)) return endpoint
    journal.commit([putOf(next)])
    return next
  }

  async #withdraw(endpoint: Endpoint): Promise<void> {
    try {
      await this.#deps.detach(endpoint.id)
    } catch (error) {
      // The plug has failed already, and the loop goes on removing.
      this.#deps.log.debug('endpoint not removed yet', { endpoint: endpoint.id, error })
    }
  }
}

/** Name of the engine's end, from that of the host's: as long, and found by it. */
function engineEndOf(device: string): string {
  return `cke${device.slice('ck'.length)}`
}

function heldAs(network: Network, { id, addresses }: PublishedEndpoint): HeldAddress {
  const [address] = addresses
  const prefix = address === undefined ? undefined : prefixOf(network, address)
  if (address === undefined || prefix === undefined) {
    throw new NetworkError('conflict', `Cannot hold ${address}: its subnet is being removed`)
  }
  return { address, prefix, endpointId: id }
}

function putOf(endpoint: Endpoint): JournalChange {
  return { kind: 'put', key: endpointKey(endpoint), value: JSON.stringify(endpoint) }
}

function removalOf(endpoint: Endpoint): JournalChange {
  return { kind: 'delete', key: endpointKey(endpoint) }
}
