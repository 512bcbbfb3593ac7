/**
 * Answers what other hosts ask: grants an address of an own block after it was struck from the own pool,
 * durably, so that a crash in between loses an address for a while and never gives it twice (R5); gives
 * back blocks that nobody uses (R38).
 */

import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { AddressClaim } from '../../model/block.ts'
import { keys } from '../../model/keys.ts'
import type { IP } from '../../net/ip.ts'
import type { Replica } from '../../store/replica/replica.ts'
import type { KeyValue, Store } from '../../store/store.ts'
import type { Fence } from '../fence.ts'
import { holderName } from '../holder-name.ts'
import type { Claimer } from './claimer.ts'
import { absent, present, unchanged } from './claims.ts'
import { type AddressRequest, type BlockRequest, ipamKeys } from './ipam-keys.ts'
import type { Territory } from './territory.ts'

export interface GranterDeps {
  readonly store: Store
  readonly replica: Replica
  readonly territory: Territory
  readonly claimer: Claimer
  readonly fence: Fence
  readonly clock: Clock
  readonly hostId: string
  readonly reuseDelayMs: number
  readonly log: Log
  /** Is told that somebody lacks blocks of the network: no spare is to be claimed for a while. */
  readonly scarce: (networkId: string) => void
}

export class Granter {
  readonly #deps: GranterDeps
  /** Addresses whose transaction is under way, as `<network> <address>`. */
  readonly #underway = new Set<string>()

  constructor(deps: GranterDeps) {
    this.#deps = deps
  }

  /** Answers every open request that concerns this host. */
  async answer(items: Iterable<KeyValue>): Promise<void> {
    if (this.#deps.fence.reason !== undefined) return
    for (const item of items) {
      if (item.key.includes('/address-requests/')) await this.#answerAddress(item)
      else if (item.key.includes('/block-requests/')) await this.#answerBlock(item)
    }
  }

  async #answerAddress(item: KeyValue): Promise<void> {
    const { replica, territory, hostId } = this.#deps
    const request: AddressRequest = JSON.parse(item.value)
    const { networkId, address } = request
    if (request.hostId === hostId || request.refused !== undefined) return
    const network = replica.network(networkId)
    if (network === undefined) return
    const pool = territory.pool(network)
    const name = `${networkId} ${address}`
    const block = pool.blockOf(address)
    if (block === undefined || this.#underway.has(name)) return
    // Granted before, and forgotten by a store that went back in time: the same host may have it again.
    const again = territory.ledger.grantedTo(networkId, address) === request.hostId
    const holder = again ? undefined : pool.holderOf(address)
    if (holder !== undefined) return this.#refuse(item, request, this.#holderText(holder))
    if (!again && pool.isHostAddress(address)) {
      const host = replica.host(hostId)?.name ?? hostId
      return this.#refuse(item, request, `it is the address of host ${host} in this network`)
    }
    const reservedFor = territory.reserved(networkId).get(address)
    if (reservedFor !== undefined && reservedFor !== request.name) {
      return this.#refuse(item, request, `it is reserved for ${reservedFor}`)
    }
    this.#underway.add(name)
    let granted = false
    try {
      territory.ledger.grant(networkId, address, request.hostId)
      territory.refresh(networkId)
      granted = await this.#grant(item, request, keys.block(networkId, block))
    } finally {
      this.#underway.delete(name)
    }
    if (!granted) await this.#endGrant(networkId, address)
  }

  async #grant(item: KeyValue, request: AddressRequest, blockKey: string): Promise<boolean> {
    const { store, hostId, log } = this.#deps
    const { networkId, address, endpointId } = request
    const claim: AddressClaim = {
      schema: 1,
      networkId,
      address,
      hostId: request.hostId,
      endpointId,
    }
    const key = keys.address(networkId, address)
    const result = await store.txn({
      compare: [
        unchanged(item.key, item.modRevision),
        absent({ key }),
        present(blockKey),
        present(keys.host(hostId)),
        present(keys.host(request.hostId)),
      ],
      success: [
        { kind: 'put', key, value: JSON.stringify(claim) },
        { kind: 'delete', range: { key: item.key } },
      ],
    })
    if (result.succeeded) {
      log.info('address granted', { network: networkId, address, host: request.hostId })
    }
    return result.succeeded
  }

  #holderText(holder: string): string {
    const { replica, hostId } = this.#deps
    const host = replica.host(hostId)?.name ?? hostId
    const endpoint = replica.endpoint(holder)
    const who = endpoint === undefined ? holder : holderName(endpoint)
    return `${who} on host ${host} has it`
  }

  async #refuse(item: KeyValue, request: AddressRequest, refused: string): Promise<void> {
    const answer: AddressRequest = { ...request, refused }
    await this.#deps.store.txn({
      compare: [unchanged(item.key, item.modRevision)],
      success: [{ kind: 'put', key: item.key, value: JSON.stringify(answer), lease: item.lease }],
    })
  }

  async #answerBlock(item: KeyValue): Promise<void> {
    const { replica, territory, claimer, hostId } = this.#deps
    const { networkId, hostId: asker }: BlockRequest = JSON.parse(item.value)
    const network = replica.network(networkId)
    if (asker === hostId || network === undefined) return
    this.#deps.scarce(networkId)
    const pool = territory.pool(network)
    for (const prefix of network.prefixes) {
      for (;;) {
        const block = pool.emptyBlocksIn(prefix)[0]
        if (block === undefined) break
        await claimer.giveBack(networkId, block)
      }
    }
  }

  /** Takes granted addresses back into the pool once their claim is gone from the store. */
  async reviewGrants(): Promise<void> {
    const { territory } = this.#deps
    for (const { networkId, address } of territory.ledger.allGranted()) {
      if (this.#underway.has(`${networkId} ${address}`)) continue
      if (territory.holding(networkId).foreignAddresses.has(address)) continue
      await this.#endGrant(networkId, address)
    }
  }

  /** The request goes in the same transaction: a grant still on its way to the store then fails. */
  async #endGrant(networkId: string, address: IP): Promise<void> {
    const { store, replica, territory, clock, reuseDelayMs } = this.#deps
    const name = `${networkId} ${address}`
    const result = await store.txn({
      compare: [absent({ key: keys.address(networkId, address) })],
      success: [{ kind: 'delete', range: { key: ipamKeys.addressRequest(networkId, address) } }],
    })
    if (!result.succeeded || this.#underway.has(name)) return
    territory.ledger.endGrant(networkId, address)
    const network = replica.network(networkId)
    if (network !== undefined) {
      territory.pool(network).rest(address, clock.monotonicMs() + reuseDelayMs)
    }
    territory.refresh(networkId)
  }
}
