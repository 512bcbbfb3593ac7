/**
 * Finds addresses for one endpoint. From the host's own blocks this is done in the same turn, without I/O.
 * Only when they have nothing left does it go to the store: another block; then an address that still rests
 * after its release; then single addresses; then what other hosts can spare. What is found is promised until
 * the endpoint's record is committed.
 */

import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { Network } from '../../model/network.ts'
import { type Family, familyOf, type IP } from '../../net/ip.ts'
import { type Prefix, prefixContains, prefixFamily } from '../../net/prefix.ts'
import type { Replica } from '../../store/replica/replica.ts'
import { holderName } from '../holder-name.ts'
import { areasOf, common } from './areas.ts'
import type { Asker } from './asker.ts'
import { freeAddresses, looseAddresses } from './candidates.ts'
import type { Claimer } from './claimer.ts'
import { reservedFor } from './layout.ts'
import { exhausted, inUse, isHosts, isReserved, unreachable } from './refusals.ts'
import { gatewayOf, prefixOf, type Territory } from './territory.ts'

const LOOSE_ATTEMPTS = 4
const FOREIGN_ATTEMPTS = 2
/** How soon a reserved address that was still with its last place is tried again, at the latest. */
const RETRY_MS = 250

export interface AllocatorDeps {
  readonly territory: Territory
  readonly claimer: Claimer
  readonly asker: Asker
  readonly replica: Replica
  readonly clock: Clock
  readonly giveBackMs: number
  /** How long a reserved address that is on its way back from its last place is waited for. */
  readonly answerMs: number
  /** Is told after each allocation, so that a spare is claimed in the background. */
  readonly allocated: (network: Network) => void
}

export interface AddressWish {
  readonly network: Network
  readonly endpointId: string
  /** Gets the addresses reserved for it, else those it had last on this host while they are free. */
  readonly name: string | undefined
  /** At most one per family; the other families' are chosen. Checked against the network already. */
  readonly addresses: readonly IP[]
  /** Default: all that the network has. */
  readonly families?: readonly Family[]
  /** Parts of the network in which addresses are chosen; default: all of it. */
  readonly within?: readonly Prefix[]
}

/** Addresses promised to an attach; disposing ends the promise, which by then may have become a use. */
export interface Reservation extends Disposable {
  readonly addresses: readonly IP[]
}

export class Allocator {
  readonly #deps: AllocatorDeps

  constructor(deps: AllocatorDeps) {
    this.#deps = deps
  }

  /** One address per family, those wished for first. */
  async reserve(wish: AddressWish, signal: AbortSignal): Promise<Reservation> {
    const { network } = wish
    const pool = this.#deps.territory.pool(network)
    const families = new Set(wish.families ?? network.prefixes.map(prefixFamily))
    const found: IP[] = []
    try {
      for (const family of families) {
        found.push(await this.#take(wish, family, signal))
      }
    } catch (error) {
      for (const address of found) pool.forgetPromise(address)
      throw error
    }
    this.#deps.allocated(network)
    return {
      addresses: found,
      [Symbol.dispose]: () => {
        for (const address of found) pool.forgetPromise(address)
      },
    }
  }

  /** What was asked for; what is reserved for the name; what the name had last; any. */
  async #take(wish: AddressWish, family: Family, signal: AbortSignal): Promise<IP> {
    const { territory } = this.#deps
    const { network } = wish
    const wanted = wish.addresses.find((address) => familyOf(address) === family)
    if (wanted !== undefined) return this.#takeWanted(wish, wanted, signal)
    const kept = wish.name === undefined ? [] : territory.reservedFor(network.id, wish.name)
    // The subnet of a reservation may have gone.
    const reserved = kept.find(
      (address) => familyOf(address) === family && prefixOf(network, address) !== undefined,
    )
    if (reserved !== undefined) return this.#takeReserved(wish, reserved, signal)
    const areas = areasOf(network, family, wish.within)
    return (
      (await this.#takeFormer(wish, areas, signal)) ??
      this.#takeLocal(network, areas, false) ??
      (await this.#takeElsewhere(wish, areas, signal))
    )
  }

  /** Waits for an address whose last claim, or grant, is being taken back right now: nobody else gets it. */
  async #takeReserved(wish: AddressWish, address: IP, signal: AbortSignal): Promise<IP> {
    const { clock, territory, answerMs } = this.#deps
    const deadline = clock.monotonicMs() + answerMs
    for (;;) {
      const changed = territory.changed()
      try {
        return await this.#takeWanted(wish, address, signal)
      } catch (error) {
        if (!isNetworkError(error) || !this.#mayComeBack(wish.network, address)) throw error
        if (clock.monotonicMs() >= deadline) throw error
      }
      const over = new AbortController()
      const pause = clock.sleep(RETRY_MS, AbortSignal.any([signal, over.signal]))
      await Promise.race([changed, pause])
      over.abort(new Error('changed'))
      await pause.catch(() => undefined)
      signal.throwIfAborted()
    }
  }

  /** True when no endpoint has the address, so that whatever stands in the way is about to go. */
  #mayComeBack(network: Network, address: IP): boolean {
    return this.#deps.replica.connected && !this.#knownAddresses(network).includes(address)
  }

  /** The address the name had here before, if that costs nobody anything. */
  async #takeFormer(
    wish: AddressWish,
    areas: readonly Prefix[],
    signal: AbortSignal,
  ): Promise<IP | undefined> {
    const { territory, replica } = this.#deps
    const { network, name } = wish
    if (name === undefined) return undefined
    const address = territory.remembered
      .of(network.id, name)
      .find((former) => areas.some((area) => prefixContains(area, former)))
    const prefix = address && prefixOf(network, address)
    if (address === undefined || prefix === undefined) return undefined
    const ours = territory.owns(network, address)
    // Asking another host would be too much for a preference.
    if (!ours && territory.foreignOwner(network, prefix, address) !== undefined) return undefined
    if (!ours && !replica.connected) return undefined
    if (reservedFor(prefix, gatewayOf(network, prefix), address) !== undefined) return undefined
    try {
      return await this.#takeWanted(wish, address, signal)
    } catch (error) {
      if (isNetworkError(error)) return undefined
      throw error
    }
  }

  #takeLocal(network: Network, areas: readonly Prefix[], hurry: boolean): IP | undefined {
    const pool = this.#deps.territory.pool(network)
    const now = this.#deps.clock.monotonicMs()
    for (const area of areas) {
      const address = pool.take(area, now, hurry)
      if (address !== undefined) return address
    }
    return undefined
  }

  async #takeElsewhere(
    wish: AddressWish,
    areas: readonly Prefix[],
    signal: AbortSignal,
  ): Promise<IP> {
    const { network } = wish
    try {
      for (;;) {
        signal.throwIfAborted()
        const claimed = await this.#claimBlock(network, areas)
        const address = this.#takeLocal(network, areas, !claimed)
        if (address !== undefined) return address
        if (!claimed) break
      }
    } catch (error) {
      if (!isNetworkError(error, 'unavailable')) throw error
      const rested = this.#takeLocal(network, areas, true)
      if (rested !== undefined) return rested
      throw unreachable(network, areas, error)
    }
    const last =
      (await this.#takeLoose(wish, areas)) ??
      (await this.#takeGivenBack(wish, areas, signal)) ??
      (await this.#takeForeign(wish, areas, signal))
    if (last === undefined) {
      const hosts = this.#deps.territory.hostAddresses(network)
      throw exhausted(network, areas, this.#addressesInUse(network), hosts)
    }
    return last
  }

  async #claimBlock(network: Network, areas: readonly Prefix[]): Promise<boolean> {
    for (const area of areas) {
      if (await this.#deps.claimer.claimBlock(network, area)) return true
    }
    return false
  }

  /** Single addresses beside other single addresses, where no block fits any more. */
  async #takeLoose(wish: AddressWish, areas: readonly Prefix[]): Promise<IP | undefined> {
    const { territory, claimer } = this.#deps
    const { network, endpointId } = wish
    const pool = territory.pool(network)
    for (const area of areas) {
      const reserved = territory.reserved(network.id)
      const isFree = (address: IP): boolean =>
        pool.holderOf(address) === undefined && !reserved.has(address)
      const terrain = territory.terrain(network, area)
      for (const address of looseAddresses(terrain, isFree, LOOSE_ATTEMPTS)) {
        // Another attach of this host may have taken it while the last claim was under way.
        if (!isFree(address)) continue
        pool.promise(address)
        const outcome = await claimer
          .claimAddress(network, terrain.prefix, address, endpointId)
          .catch((error: unknown) => {
            pool.forgetPromise(address)
            throw error
          })
        if (outcome.kind === 'won') return address
        pool.forgetPromise(address)
      }
    }
    return undefined
  }

  /** Blocks that other hosts keep in reserve, if it looks as if any had one. */
  async #takeGivenBack(
    { network }: AddressWish,
    areas: readonly Prefix[],
    signal: AbortSignal,
  ): Promise<IP | undefined> {
    const { territory, asker, giveBackMs } = this.#deps
    if (!this.#othersHaveEmptyBlocks(network)) return undefined
    let address: IP | undefined
    const attempt = async (): Promise<boolean> => {
      await this.#claimBlock(network, areas)
      address = this.#takeLocal(network, areas, true)
      return address !== undefined
    }
    const changed = (): Promise<void> => territory.changed()
    await asker.withBlockRequest(network, giveBackMs, attempt, changed, signal)
    return address
  }

  #othersHaveEmptyBlocks(network: Network): boolean {
    const { foreignBlocks } = this.#deps.territory.holding(network.id)
    const taken = this.#knownAddresses(network)
    return [...foreignBlocks.keys()].some(
      (block) => !taken.some((address) => prefixContains(block, address)),
    )
  }

  /** Those of endpoints, and those claimed by themselves. */
  #addressesInUse(network: Network): ReadonlySet<IP> {
    const known = new Set(this.#knownAddresses(network))
    for (const claim of this.#deps.replica.addressClaims(network.id)) known.add(claim.address)
    return known
  }

  #knownAddresses(network: Network): readonly IP[] {
    const addresses: IP[] = []
    for (const endpoint of this.#deps.replica.endpointsOf(network.id)) {
      addresses.push(...endpoint.addresses)
    }
    return addresses
  }

  /** An address that looks free in another host's block: its owner grants it or not. */
  async #takeForeign(
    wish: AddressWish,
    areas: readonly Prefix[],
    signal: AbortSignal,
  ): Promise<IP | undefined> {
    const { territory, replica } = this.#deps
    const { network } = wish
    const { foreignBlocks, foreignAddresses } = territory.holding(network.id)
    const taken = new Set([
      ...this.#knownAddresses(network),
      ...foreignAddresses.keys(),
      ...territory.reserved(network.id).keys(),
      ...territory.hostAddresses(network),
    ])
    let attempts = FOREIGN_ATTEMPTS
    for (const [block, owner] of foreignBlocks) {
      const area = areas.map((each) => common(each, block)).find((each) => each !== undefined)
      if (area === undefined || replica.alive(owner) === undefined) continue
      const terrain = territory.terrain(network, area)
      for (const address of freeAddresses(area, terrain, (a) => !taken.has(a))) {
        if (attempts-- === 0) return undefined
        try {
          return await this.#askOwner(wish, address, owner, signal)
        } catch (error) {
          // Somebody was quicker, or the owner is away: the next one may do.
          if (!isNetworkError(error)) throw error
          break
        }
      }
    }
    return undefined
  }

  async #takeWanted(wish: AddressWish, address: IP, signal: AbortSignal): Promise<IP> {
    const { territory, claimer } = this.#deps
    const { network, endpointId } = wish
    const prefix = prefixOf(network, address)
    if (prefix === undefined) throw new Error(`${address} is not in network ${network.name}`)
    const pool = territory.pool(network)
    this.#refuseTaken(network, address)
    const host = territory.hostWith(network, address)
    if (host !== undefined) {
      throw isHosts(network, address, this.#deps.replica.host(host)?.name ?? host)
    }
    const keptFor = territory.reserved(network.id).get(address)
    if (keptFor !== undefined && keptFor !== wish.name) throw isReserved(network, address, keptFor)
    if (territory.owns(network, address)) {
      pool.promise(address)
      return address
    }
    const owner = territory.foreignOwner(network, prefix, address)
    if (owner !== undefined) return this.#askOwner(wish, address, owner, signal)
    pool.promise(address)
    try {
      const outcome = await claimer.claimAddress(network, prefix, address, endpointId)
      if (outcome.kind === 'won') return address
      if (outcome.addresses.includes(address)) throw inUse(network, address, 'another host')
      throw new NetworkError(
        'unavailable',
        `Cannot use ${address}: another host has just claimed the block around it; try again`,
        { details: { network: network.name, address } },
      )
    } catch (error) {
      pool.forgetPromise(address)
      throw error
    }
  }

  async #askOwner(wish: AddressWish, address: IP, owner: string, signal: AbortSignal): Promise<IP> {
    const { territory, asker } = this.#deps
    const { network, endpointId, name } = wish
    const pool = territory.pool(network)
    pool.promise(address)
    try {
      await asker.requestAddress({ network, address, endpointId, name, owner }, signal)
      return address
    } catch (error) {
      pool.forgetPromise(address)
      throw error
    }
  }

  /** Throws `already-exists` when an endpoint has the address, as far as this host knows. */
  #refuseTaken(network: Network, address: IP): void {
    const { territory, replica } = this.#deps
    const holder = territory.pool(network).holderOf(address)
    const foreign = territory.holding(network.id).foreignAddresses.get(address)
    if (holder === undefined && foreign === undefined) return
    const endpoint = holder === undefined ? undefined : replica.endpoint(holder)
    const host = foreign === undefined ? undefined : (replica.host(foreign)?.name ?? foreign)
    const who =
      endpoint !== undefined
        ? endpoint.attachment === 'held'
          ? 'a container engine'
          : holderName(endpoint)
        : host !== undefined
          ? `an endpoint of host ${host}`
          : (holder ?? '')
    throw inUse(network, address, who)
  }
}
