/**
 * One network's addresses as this host sees them: the blocks it allocates from alone, and what stands in
 * its way (in use, promised, resting after release, granted to another host). No I/O; time comes in. The
 * next free address is found from a cursor that goes round, so that an allocation costs the same however
 * many endpoints there are.
 */

import { hostAddressOf } from '../../model/host-address.ts'
import { type IP, ipFromNumber } from '../../net/ip.ts'
import {
  type Prefix,
  prefixAddress,
  prefixAround,
  prefixContains,
  prefixFamily,
  prefixLength,
  prefixRange,
} from '../../net/prefix.ts'
import { common } from './areas.ts'
import { reservedAddresses } from './layout.ts'

export interface PoolNetwork {
  readonly prefixes: readonly Prefix[]
  readonly gateways: readonly IP[]
}

interface BlockState {
  readonly prefix: Prefix
  readonly first: bigint
  readonly last: bigint
  /** This host's own address, which no endpoint gets. */
  readonly host: IP | undefined
  /** Addresses an endpoint could have here, were all free. */
  readonly usable: bigint
  /** Number of addresses that are in use, promised or excluded. */
  taken: number
  /** Number of addresses that rest. */
  resting: number
  /** Where the next search begins. */
  cursor: bigint
}

export class AddressPool {
  #network: PoolNetwork = { prefixes: [], gateways: [] }
  #reserved: ReadonlySet<IP> = new Set()
  readonly #blocks = new Map<Prefix, BlockState>()
  readonly #lengths = new Set<number>()
  readonly #used = new Map<IP, string>()
  readonly #promised = new Set<IP>()
  readonly #excluded = new Set<IP>()
  /** Given only to whoever asks for them: reserved for a name. */
  #kept: ReadonlySet<IP> = new Set()
  /** Given last: somebody may come back for them. */
  readonly #isWished: (address: IP) => boolean
  /** Released addresses and the monotonic time until which they rest, oldest first. */
  readonly #resting = new Map<IP, number>()

  constructor(network: PoolNetwork, isWished: (address: IP) => boolean = () => false) {
    this.#isWished = isWished
    this.setNetwork(network)
  }

  /** The network's prefixes and gateways, from now on; call `setBlocks` afterwards. */
  setNetwork(network: PoolNetwork): void {
    const { prefixes, gateways } = network
    this.#network = network
    const reserved = new Set<IP>()
    for (const [i, prefix] of prefixes.entries()) {
      const gateway = gateways[i] ?? prefixAddress(prefix)
      for (const address of reservedAddresses(prefix, gateway)) reserved.add(address)
    }
    const same = reserved.size === this.#reserved.size && reserved.isSubsetOf(this.#reserved)
    if (same) return
    this.#reserved = reserved
    this.#blocks.clear() // what they count as usable has changed
  }

  /** The blocks to allocate from, from now on; those that stay keep their place. */
  setBlocks(want: ReadonlySet<Prefix>): void {
    for (const prefix of this.#blocks.keys()) if (!want.has(prefix)) this.#blocks.delete(prefix)
    for (const prefix of want) if (!this.#blocks.has(prefix)) this.#addBlock(prefix)
    this.#lengths.clear()
    for (const prefix of this.#blocks.keys()) this.#lengths.add(prefixLength(prefix))
  }

  #addBlock(prefix: Prefix): void {
    const { first, last } = prefixRange(prefix)
    const inside = (addresses: Iterable<IP>): number => {
      let count = 0
      for (const address of addresses) if (prefixContains(prefix, address)) count++
      return count
    }
    const host = hostAddressOf(this.#network, prefix)
    const never = inside(this.#reserved) + (host === undefined ? 0 : 1)
    this.#blocks.set(prefix, {
      prefix,
      first,
      last,
      host,
      usable: last - first + 1n - BigInt(never),
      taken: inside(new Set([...this.#used.keys(), ...this.#promised, ...this.#excluded])),
      resting: inside(this.#resting.keys()),
      cursor: first,
    })
  }

  /** The own block the address lies in. */
  blockOf(address: IP): Prefix | undefined {
    for (const length of this.#lengths) {
      const prefix = prefixAround(address, length)
      if (this.#blocks.has(prefix)) return prefix
    }
    return undefined
  }

  /** True for the address that this host has itself in one of its blocks. */
  isHostAddress(address: IP): boolean {
    const prefix = this.blockOf(address)
    return prefix !== undefined && this.#blocks.get(prefix)?.host === address
  }

  /** Own blocks inside `prefix`. */
  blocksIn(prefix: Prefix): readonly Prefix[] {
    return [...this.#blocks.keys()].filter((block) => prefixContains(prefix, prefixAddress(block)))
  }

  /** Own blocks inside `prefix` with nothing in use, promised or excluded. */
  emptyBlocksIn(prefix: Prefix): readonly Prefix[] {
    return this.blocksIn(prefix).filter((block) => this.#blocks.get(block)?.taken === 0)
  }

  /** Who has the address: an endpoint's id, or a word for what else it is kept for. */
  holderOf(address: IP): string | undefined {
    const endpoint = this.#used.get(address)
    if (endpoint !== undefined) return endpoint
    if (this.#promised.has(address)) return 'an endpoint being attached'
    return this.#excluded.has(address) ? 'an endpoint of another host' : undefined
  }

  /**
   * Promises a free address of the own blocks that lies inside `area`: one that does not rest, or with `hurry`
   * the one that has rested longest. Undefined when there is none.
   */
  take(area: Prefix, monotonicMs: number, hurry: boolean): IP | undefined {
    this.#wake(monotonicMs)
    return (
      this.#takeFree(area, (address) => !this.#isWished(address)) ??
      this.#takeFree(area, () => true) ??
      (hurry ? this.#longestRested(area) : undefined)
    )
  }

  #takeFree(area: Prefix, mayBe: (address: IP) => boolean): IP | undefined {
    for (const block of this.#blocks.values()) {
      if (BigInt(block.taken + block.resting) >= block.usable) continue
      const part = common(area, block.prefix)
      if (part === undefined) continue
      const address = this.#nextFree(block, part, mayBe)
      if (address !== undefined) return address
    }
    return undefined
  }

  /** The next one of `part`, which is the block or lies in it. */
  #nextFree(block: BlockState, part: Prefix, mayBe: (address: IP) => boolean): IP | undefined {
    const family = prefixFamily(block.prefix)
    const { first, last } = part === block.prefix ? block : prefixRange(part)
    const size = last - first + 1n
    const begin = block.cursor >= first && block.cursor <= last ? block.cursor - first : 0n
    for (let step = 0n; step < size; step++) {
      const number = first + ((begin + step) % size)
      const address = ipFromNumber(number, family)
      if (this.#reserved.has(address) || address === block.host) continue
      if (this.#resting.has(address)) continue
      if (this.#kept.has(address) || this.holderOf(address) !== undefined) continue
      if (!mayBe(address)) continue
      block.cursor = number === block.last ? block.first : number + 1n
      this.promise(address)
      return address
    }
    return undefined
  }

  #longestRested(area: Prefix): IP | undefined {
    for (const address of this.#resting.keys()) {
      if (!prefixContains(area, address) || this.blockOf(address) === undefined) continue
      if (this.isHostAddress(address)) continue
      if (this.#kept.has(address) || this.holderOf(address) !== undefined) continue
      this.promise(address)
      return address
    }
    return undefined
  }

  #wake(monotonicMs: number): void {
    for (const [address, until] of this.#resting) {
      if (until > monotonicMs) return
      this.#unrest(address)
    }
  }

  /** Keeps the address for an attach under way; the caller has seen that nobody has it. */
  promise(address: IP): void {
    this.#change(address, () => this.#promised.add(address))
    this.#unrest(address)
  }

  /** Ends a promise that was not kept, or that became a use. */
  forgetPromise(address: IP): void {
    this.#change(address, () => this.#promised.delete(address))
  }

  /** An endpoint has the address, as the journal says. */
  use(address: IP, endpointId: string): void {
    this.#change(address, () => this.#used.set(address, endpointId))
  }

  /** The endpoint is gone; the address rests until `restUntilMs` on the monotonic clock. */
  release(address: IP, endpointId: string, restUntilMs: number): void {
    if (this.#used.get(address) !== endpointId) return
    this.#change(address, () => this.#used.delete(address))
    this.rest(address, restUntilMs)
  }

  /** Keeps the address from being chosen until `restUntilMs` on the monotonic clock. */
  rest(address: IP, restUntilMs: number): void {
    this.#unrest(address)
    this.#resting.set(address, restUntilMs)
    this.#countResting(address, 1)
  }

  #unrest(address: IP): void {
    if (this.#resting.delete(address)) this.#countResting(address, -1)
  }

  #countResting(address: IP, change: 1 | -1): void {
    const prefix = this.blockOf(address)
    const block = prefix === undefined ? undefined : this.#blocks.get(prefix)
    if (block !== undefined) block.resting += change
  }

  /** Addresses that are never chosen, only given to whoever asks for them by name. */
  setKept(want: ReadonlySet<IP>): void {
    this.#kept = want
  }

  /** Addresses inside own blocks that another host was granted, and those whose fate is not known. */
  setExcluded(want: ReadonlySet<IP>): void {
    for (const address of [...this.#excluded]) {
      if (!want.has(address)) this.#change(address, () => this.#excluded.delete(address))
    }
    for (const address of want) this.#change(address, () => this.#excluded.add(address))
  }

  /** Runs `change` and keeps the block's count of taken addresses right. */
  #change(address: IP, change: () => void): void {
    const before = this.holderOf(address) !== undefined
    change()
    const after = this.holderOf(address) !== undefined
    if (before === after) return
    const prefix = this.blockOf(address)
    const block = prefix === undefined ? undefined : this.#blocks.get(prefix)
    if (block !== undefined && !this.#reserved.has(address)) block.taken += after ? 1 : -1
  }

  /** True when an endpoint of this host is, or is about to be, in the network. */
  get inUse(): boolean {
    return this.#used.size > 0 || this.#promised.size > 0
  }
}
