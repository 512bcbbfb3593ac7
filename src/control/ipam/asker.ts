/**
 * Asks other hosts for addresses: one that lies in a host's block, which only that host may grant (R5), or
 * a whole block somebody can spare (R38). A request is a key on a short lease, so that an asker that dies
 * leaves nothing behind; clocks of different hosts are never compared.
 */

import type { Clock } from '../../lib/clock.ts'
import { NetworkError } from '../../lib/errors.ts'
import { keys } from '../../model/keys.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import type { Replica } from '../../store/replica/replica.ts'
import type { Store } from '../../store/store.ts'
import type { Claimer } from './claimer.ts'
import { ownerIn } from './claimer.ts'
import { absent, unchanged } from './claims.ts'
import { type AddressRequest, type BlockRequest, ipamKeys } from './ipam-keys.ts'

const LEASE_SECONDS = 30

export interface AskerDeps {
  readonly store: Store
  readonly replica: Replica
  readonly claimer: Claimer
  readonly clock: Clock
  readonly hostId: string
  /** How long the owner of an address has for its answer. */
  readonly answerMs: number
}

export interface WantedAddress {
  readonly network: Network
  readonly address: IP
  readonly endpointId: string
  /** The endpoint's name: an address reserved for it is granted to nobody else. */
  readonly name: string | undefined
  /** The host in whose block the address lies. */
  readonly owner: string
}

export class Asker {
  readonly #deps: AskerDeps

  constructor(deps: AskerDeps) {
    this.#deps = deps
  }

  /**
   * Resolves when the address is this host's. Throws `already-exists` when the owner has it in use,
   * `unavailable` when the owner does not answer.
   */
  async requestAddress(wanted: WantedAddress, signal: AbortSignal): Promise<void> {
    const { store, hostId } = this.#deps
    const { network, address, endpointId, name, owner } = wanted
    const key = ipamKeys.addressRequest(network.id, address)
    const request: AddressRequest = {
      schema: 1,
      networkId: network.id,
      address,
      hostId,
      endpointId,
      ...(name === undefined ? {} : { name }),
    }
    const lease = await store.grantLease(LEASE_SECONDS)
    try {
      const asked = await store.txn({
        compare: [absent({ key }), absent({ key: keys.address(network.id, address) })],
        success: [{ kind: 'put', key, value: JSON.stringify(request), lease: lease.id }],
      })
      if (!asked.succeeded) {
        throw new NetworkError(
          'conflict',
          `Cannot use ${address}: another host has it or is asking ${this.#name(owner)} for it`,
          { details: { network: network.name, address } },
        )
      }
      await this.#answer(wanted, key, asked.revision, signal)
    } finally {
      // The lease ends by itself when this does not reach the store.
      await store.revokeLease(lease.id).catch(() => undefined)
    }
  }

  async #answer(
    wanted: WantedAddress,
    key: string,
    asked: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, answerMs } = this.#deps
    const late = new AbortController()
    const timer = clock.sleep(answerMs, AbortSignal.any([signal, late.signal])).then(
      () => late.abort(new Error('no answer')),
      () => undefined,
    )
    try {
      await this.#watchAnswer(wanted, key, asked, AbortSignal.any([signal, late.signal]))
    } catch (error) {
      signal.throwIfAborted()
      if (!late.signal.aborted) throw error
      await this.#withdraw(wanted, key, asked)
    } finally {
      late.abort(new Error('answered'))
      await timer
    }
    await this.#enter(wanted)
  }

  /** Returns when the request is gone, which is how the owner says yes. */
  async #watchAnswer(
    { network, address }: WantedAddress,
    key: string,
    asked: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { store } = this.#deps
    for await (const batch of store.watch({ range: { key }, fromRevision: asked + 1, signal })) {
      if (batch.kind !== 'events') continue
      for (const event of batch.events) {
        if (event.kind === 'delete') return
        const { refused }: AddressRequest = JSON.parse(event.item.value)
        if (refused === undefined) continue
        throw new NetworkError('already-exists', `Cannot use ${address}: ${refused}`, {
          details: { network: network.name, address },
        })
      }
    }
    throw new NetworkError('unavailable', `Cannot use ${address}: the store stopped answering`)
  }

  /** Takes the request back; returns when it was granted after all. */
  async #withdraw({ network, address, owner }: WantedAddress, key: string, asked: number) {
    const result = await this.#deps.store.txn({
      compare: [unchanged(key, asked)],
      success: [{ kind: 'delete', range: { key } }],
    })
    if (!result.succeeded) return
    throw new NetworkError(
      'unavailable',
      `Cannot use ${address}: it lies in a block of host ${this.#name(owner)}, which does not answer`,
      {
        details: { network: network.name, address, host: owner },
        hint: `carrick host ls; choose an address outside the block, or carrick host rm ${this.#name(owner)} if it is gone`,
      },
    )
  }

  async #enter({ network, address, endpointId, owner }: WantedAddress): Promise<void> {
    const { store, hostId, claimer } = this.#deps
    const { items, revision } = await store.range({ key: keys.address(network.id, address) })
    const item = items[0]
    if (item === undefined || ownerIn(item.value) !== hostId) {
      throw new NetworkError(
        'unavailable',
        `Cannot use ${address}: host ${this.#name(owner)} did not grant it`,
        { details: { network: network.name, address, host: owner } },
      )
    }
    claimer.enterAddress(network.id, address, endpointId, revision)
  }

  /**
   * Asks every host to give back empty blocks, runs `attempt` after each change it could have made, and
   * ends with its first success or, after `waitMs`, with false.
   */
  async withBlockRequest(
    network: Network,
    waitMs: number,
    attempt: () => Promise<boolean>,
    changed: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { store, hostId, clock } = this.#deps
    const request: BlockRequest = { schema: 1, networkId: network.id, hostId }
    const lease = await store.grantLease(LEASE_SECONDS)
    const over = new AbortController()
    const stop = AbortSignal.any([signal, over.signal])
    let late = false
    const timer = clock.sleep(waitMs, stop).then(
      () => {
        late = true
      },
      () => undefined,
    )
    try {
      const key = ipamKeys.blockRequest(network.id, hostId)
      let next = changed()
      await store.txn({
        success: [{ kind: 'put', key, value: JSON.stringify(request), lease: lease.id }],
      })
      while (!late) {
        await Promise.race([next, timer])
        next = changed()
        if (await attempt()) return true
        signal.throwIfAborted()
      }
      return false
    } finally {
      over.abort(new Error('done'))
      await timer
      await store.revokeLease(lease.id).catch(() => undefined)
    }
  }

  #name(hostId: string): string {
    return this.#deps.replica.host(hostId)?.name ?? hostId
  }
}
