/**
 * Carries the claims to the shared store and enters what was won. Every call is a round trip or several;
 * whoever attaches calls it only when the host's own blocks have nothing left.
 */

import { NetworkError } from '../../lib/errors.ts'
import { type Random, randomBelow } from '../../lib/ids.ts'
import type { Log } from '../../lib/log.ts'
import { keys } from '../../model/keys.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import { type Prefix, prefixAround, prefixContains } from '../../net/prefix.ts'
import type { Replica } from '../../store/replica/replica.ts'
import type { Store, Transaction } from '../../store/store.ts'
import type { Fence } from '../fence.ts'
import { freeBlocks } from './candidates.ts'
import {
  type Claimant,
  type ClaimObstacle,
  type ClaimOutcome,
  claimAddress,
  claimBlock,
  readClaim,
  unchanged,
} from './claims.ts'
import { blockLength, isKeptForHosts } from './layout.ts'
import { gatewayOf, type Territory } from './territory.ts'

/** A host chooses among this many of the farthest free blocks, so that many at once rarely collide. */
const CHOICE = 8
const ATTEMPTS = 32

export interface ClaimerDeps {
  readonly store: Store
  readonly replica: Replica
  readonly territory: Territory
  readonly fence: Fence
  readonly hostId: string
  readonly random: Random
  readonly log: Log
  /** Is called when the store turns out to have gone back in time. */
  readonly wentBack: () => void
}

export class Claimer {
  readonly #deps: ClaimerDeps
  readonly #underway = new Map<string, Promise<boolean>>()

  constructor(deps: ClaimerDeps) {
    this.#deps = deps
  }

  /** Claims a free block of the area; false when there is none. Callers at the same time share one claim. */
  claimBlock(network: Network, area: Prefix): Promise<boolean> {
    const key = `${network.id} ${area}`
    const shared = this.#underway.get(key)
    if (shared !== undefined) return shared
    const work = this.#claimSomeBlock(network, area).finally(() => this.#underway.delete(key))
    this.#underway.set(key, work)
    return work
  }

  async #claimSomeBlock(network: Network, area: Prefix): Promise<boolean> {
    const { territory, random } = this.#deps
    let terrain = territory.terrain(network, area)
    const { prefix } = terrain
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const candidates = freeBlocks(terrain, CHOICE)
      const block = candidates[randomBelow(Math.max(1, candidates.length), random)]
      if (block === undefined) return false
      const outcome = await this.#claim(network, (claimant) =>
        claimBlock(network.id, prefix, block, claimant),
      )
      if (outcome.kind === 'won') {
        this.#enterBlock(network, block, outcome.revision)
        return true
      }
      terrain = { ...terrain, blocks: outcome.blocks, claims: outcome.addresses }
    }
    throw new NetworkError('unavailable', `Cannot claim a block of ${area}: too many hosts at once`)
  }

  #enterBlock(network: Network, block: Prefix, revision: number): void {
    this.#deps.territory.holdings.wonBlock(network.id, block, revision)
    this.#deps.territory.refresh(network.id)
    this.#deps.log.info('block claimed', { network: network.id, prefix: block })
  }

  /** Claims one address outside all blocks; what stands in the way otherwise. */
  async claimAddress(
    network: Network,
    prefix: Prefix,
    address: IP,
    endpointId: string,
    again = false,
  ): Promise<Exclude<ClaimOutcome, { kind: ClaimObstacle }>> {
    const outcome = await this.#claim(
      network,
      (claimant) => claimAddress(network.id, prefix, address, endpointId, claimant),
      again,
    )
    if (outcome.kind === 'won') {
      this.enterAddress(network.id, address, endpointId, outcome.revision)
    }
    return outcome
  }

  enterAddress(networkId: string, address: IP, endpointId: string, revision: number): void {
    this.#deps.territory.holdings.wonAddress(networkId, address, endpointId, revision)
    this.#deps.territory.refresh(networkId)
    this.#deps.log.info('address claimed', { network: networkId, address })
  }

  /**
   * Claims again, after the store was restored, what an endpoint of this host has had all along: the block
   * around its address, or the address alone. False when another host owns it by now.
   */
  async claimAgain(
    network: Network,
    prefix: Prefix,
    address: IP,
    endpointId: string,
  ): Promise<boolean> {
    const alone = async (): Promise<boolean> => {
      const single = await this.claimAddress(network, prefix, address, endpointId, true)
      return single.kind === 'won'
    }
    // In a block of its own host the address would be the host's.
    if (isKeptForHosts(prefix, gatewayOf(network, prefix), address)) return alone()
    const block = prefixAround(address, blockLength(prefix))
    const outcome = await this.#claim(
      network,
      (claimant) => claimBlock(network.id, prefix, block, claimant),
      true,
    )
    if (outcome.kind === 'won') {
      this.#enterBlock(network, block, outcome.revision)
      return true
    }
    return (await this.#isOurs(network, outcome.blocks, address)) || alone()
  }

  /** True when one of the blocks covers the address and is this host's after all: an event was lost. */
  async #isOurs(network: Network, blocks: readonly Prefix[], address: IP): Promise<boolean> {
    const covering = blocks.find((block) => prefixContains(block, address))
    if (covering === undefined) return false
    const { items } = await this.#deps.store.range({ key: keys.block(network.id, covering) })
    return items[0] !== undefined && ownerIn(items[0].value) === this.#deps.hostId
  }

  async #claim(
    network: Network,
    transaction: (claimant: Claimant) => Transaction,
    again = false,
  ): Promise<Exclude<ClaimOutcome, { kind: ClaimObstacle }>> {
    const { store, replica, fence, hostId } = this.#deps
    fence.check(`claim addresses of network ${network.name}`)
    const known = replica.revision
    const claimant = { hostId, epoch: fence.epoch, again }
    const made = transaction(claimant)
    const outcome = readClaim(network.id, claimant, await store.txn(made))
    if (outcome.revision < known) {
      this.#deps.wentBack()
      if (outcome.kind === 'won' && !again) await this.#undo(made, outcome.revision)
      if (!again) throw recovering(network)
    }
    switch (outcome.kind) {
      case 'network-gone':
        throw new NetworkError(
          'not-found',
          `Cannot allocate in network ${network.name}: it was removed`,
        )
      case 'prefix-gone':
        throw new NetworkError(
          'unavailable',
          `Cannot claim addresses of network ${network.name}: a subnet was just removed; try again`,
        )
      case 'host-gone':
        throw new NetworkError(
          'unavailable',
          `Cannot claim addresses of network ${network.name}: the store has no record of this host`,
        )
      case 'recovery':
        throw recovering(network)
      default:
        return outcome
    }
  }

  async #undo({ success }: Transaction, revision: number): Promise<void> {
    for (const operation of success) {
      if (operation.kind !== 'put') continue
      await this.#deps.store.txn({
        compare: [unchanged(operation.key, revision)],
        success: [{ kind: 'delete', range: { key: operation.key } }],
      })
    }
  }

  /**
   * Gives an empty block back. It is never allocated from again once this has begun, whatever becomes of the
   * transaction; `settleReturns` finishes what a cut or a crash left open.
   */
  async giveBack(networkId: string, what: Prefix | IP): Promise<void> {
    const { territory } = this.#deps
    territory.ledger.startReturn(networkId, what)
    territory.holdings.lost(networkId, what)
    territory.refresh(networkId)
    await this.#finishReturn(networkId, what)
  }

  async settleReturns(): Promise<void> {
    for (const { networkId, what } of this.#deps.territory.ledger.undecided()) {
      await this.#finishReturn(networkId, what)
    }
  }

  async #finishReturn(networkId: string, what: Prefix | IP): Promise<void> {
    const { store, territory, hostId, log } = this.#deps
    const key = isPrefix(what) ? keys.block(networkId, what) : keys.address(networkId, what)
    const { items, revision } = await store.range({ key })
    const item = items[0]
    let gone = revision
    if (item !== undefined && ownerIn(item.value) === hostId) {
      const result = await store.txn({
        compare: [unchanged(key, item.modRevision)],
        success: [{ kind: 'delete', range: { key } }],
      })
      gone = result.revision
      log.info('addresses given back', { network: networkId, prefix: what })
    }
    territory.ledger.finishReturn(networkId, what, gone)
    territory.refresh(networkId)
  }
}

function isPrefix(what: Prefix | IP): what is Prefix {
  return what.includes('/')
}

function recovering(network: Network): NetworkError {
  return new NetworkError(
    'unavailable',
    `Cannot claim addresses of network ${network.name}: the store was restored, and not every host has ` +
      'confirmed its addresses yet',
    { hint: 'carrick host ls; carrick host rm HOST for hosts that are gone' },
  )
}

/** The host a block or address record belongs to. */
export function ownerIn(text: string): string | undefined {
  const record: unknown = JSON.parse(text)
  const hostId =
    record !== null && typeof record === 'object' && 'hostId' in record && record.hostId
  return typeof hostId === 'string' ? hostId : undefined
}
