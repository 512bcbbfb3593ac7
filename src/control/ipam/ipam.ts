/**
 * Address management of one host, put together: the territory (what we own), the allocator (what an attach
 * asks), the claimer (what goes to the store), asker and granter (what hosts ask each other), the keeper
 * (what is done meanwhile) and the recovery (after a restored store).
 */

import { type Clock, timestamp } from '../../lib/clock.ts'
import type { Random } from '../../lib/ids.ts'
import type { Log } from '../../lib/log.ts'
import { TaskGroup } from '../../lib/tasks.ts'
import type { ObjectFailure } from '../../model/host.ts'
import { keys } from '../../model/keys.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { Journal } from '../../store/journal/journal.ts'
import type { Replica, ReplicaChange } from '../../store/replica/replica.ts'
import type { KeyValue, Store } from '../../store/store.ts'
import type { Fence } from '../fence.ts'
import { follow } from '../follow.ts'
import type { EndpointChange, OwnEndpoints } from '../own-endpoints.ts'
import { type AddressWish, Allocator, type Reservation } from './allocator.ts'
import { Asker } from './asker.ts'
import { Claimer } from './claimer.ts'
import { Granter } from './granter.ts'
import { IPAM_ROOT } from './ipam-keys.ts'
import { Keeper } from './keeper.ts'
import { Recovery } from './recovery.ts'
import { Territory } from './territory.ts'
import { Vacancy } from './vacancy.ts'

export interface IpamSettings {
  /** How long a released address is not chosen again. */
  readonly reuseDelayMs: number
  /** How long another host has to grant an address of its block. */
  readonly answerMs: number
  /** How long hosts have to give back blocks before a network counts as exhausted. */
  readonly giveBackMs: number
  /** How long no spare is claimed after somebody lacked blocks. */
  readonly spareHoldMs: number
  /** How long the first attaches after a start wait for the store to tell whether the disk is old. */
  readonly caughtUpMs: number
}

export const IPAM_DEFAULTS: IpamSettings = {
  reuseDelayMs: 60_000,
  answerMs: 5_000,
  giveBackMs: 1_000,
  spareHoldMs: 30_000,
  caughtUpMs: 2_000,
}

export interface IpamDeps {
  readonly store: Store
  readonly journal: Journal
  readonly ownEndpoints: OwnEndpoints
  readonly replica: Replica & { onListed(listener: () => void): () => void }
  readonly fence: Fence
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly hostId: string
  readonly settings: IpamSettings
  /** Resolves when the store was compared with the journal once, and an old disk was mended. */
  readonly caughtUp: Promise<void>
}

export class Ipam implements AsyncDisposable {
  readonly #territory: Territory
  readonly #allocator: Allocator
  readonly #granter: Granter
  readonly #keeper: Keeper
  readonly #vacancy: Vacancy
  readonly #recovery: Recovery
  readonly #fence: Fence
  readonly #tasks: TaskGroup
  readonly #stop: readonly (() => void)[]
  readonly #startOver: Promise<void>
  #started = false
  #requests: readonly KeyValue[] = []

  constructor(deps: IpamDeps) {
    const { store, replica, ownEndpoints, fence, clock, random, hostId, settings } = deps
    const log = deps.log.child('ipam')
    const wentBack = (): void => this.#recovery.wentBack()
    const scarce = (networkId: string): void => this.#keeper.scarce(networkId)
    const allocated = (network: Network): void => this.#keeper.touch(network.id)
    const territory = new Territory({
      ...deps,
      epoch: () => fence.epoch,
      reuseDelayMs: settings.reuseDelayMs,
    })
    const claimer = new Claimer({ store, replica, territory, fence, hostId, random, log, wentBack })
    const shared = { store, replica, territory, claimer, fence, clock, hostId, log, ...settings }
    const asker = new Asker(shared)
    this.#vacancy = new Vacancy({ ...shared, asker, scarce })
    this.#territory = territory
    this.#fence = fence
    this.#allocator = new Allocator({ ...shared, asker, allocated })
    this.#granter = new Granter({ ...shared, scarce })
    this.#recovery = new Recovery({ ...shared, asker, now: () => timestamp(clock.wallMs()) })
    this.#keeper = new Keeper({ ...shared, granter: this.#granter, recovery: this.#recovery })
    this.#tasks = new TaskGroup(log)
    this.#stop = [
      replica.subscribe((changes) => this.#replicaChanged(changes)),
      replica.onListed(() => this.#listed()),
      ownEndpoints.follow((change) => this.#endpointChanged(change)),
    ]
    this.#startOver = this.#awaitStart(deps)
    this.#keeper.touchAll()
    this.#tasks.start('keep addresses', (signal) => this.#keeper.run(signal))
    this.#tasks.start('follow address requests', (signal) =>
      follow({
        store,
        clock,
        signal,
        range: { prefix: IPAM_ROOT },
        changed: (i) => this.#asked(i),
      }),
    )
    this.#tasks.start('follow own host record', (signal) => {
      const key = keys.host(hostId)
      const changed = (items: ReadonlyMap<string, KeyValue>): void => fence.saw(items.get(key))
      return follow({ store, clock, signal, range: { key }, changed })
    })
  }

  /** Finds addresses for an endpoint and keeps them until the reservation is disposed of. */
  async reserve(wish: AddressWish, signal: AbortSignal): Promise<Reservation> {
    if (!this.#started) await this.#startOver
    this.#fence.check(`allocate in network ${wish.network.name}`)
    return this.#allocator.reserve(wish, signal)
  }

  /** True while this host alone may use the address: what is asked right before an endpoint is committed. */
  owns(network: Network, address: IP): boolean {
    return this.#fence.reason === undefined && this.#territory.owns(network, address)
  }

  /**
   * Has everybody give back what is empty of the prefixes and makes the attempt until it succeeds; false when
   * it did not in the time hosts have to answer. Throws `unavailable` when the store does not answer.
   */
  vacate(
    network: Network,
    prefixes: readonly Prefix[],
    attempt: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<boolean> {
    this.#fence.check(`give back addresses of network ${network.name}`)
    return this.#vacancy.vacate(network, prefixes, attempt, signal)
  }

  get failures(): readonly ObjectFailure[] {
    return this.#recovery.failures
  }

  #replicaChanged(changes: readonly ReplicaChange[]): void {
    this.#recovery.watchRevision()
    for (const change of changes) {
      if (change.kind === 'all') {
        this.#recovery.suspect()
        this.#keeper.touchAll()
      } else if (change.kind === 'block' || change.kind === 'address') {
        this.#keeper.touch(change.networkId)
      }
    }
  }

  /** A store in reach tells soon after the start what an old disk does not know; one that is away may not. */
  async #awaitStart({ replica, clock, settings, caughtUp }: IpamDeps): Promise<void> {
    const over = new AbortController()
    const listed = Promise.withResolvers<void>()
    const stop = replica.onListed(() => listed.resolve())
    if (replica.connected) listed.resolve()
    const limit = clock.sleep(
      settings.caughtUpMs,
      AbortSignal.any([over.signal, this.#tasks.signal]),
    )
    await Promise.race([Promise.all([listed.promise, caughtUp]), limit.catch(() => undefined)])
    over.abort()
    stop()
    this.#started = true
  }

  /** The connection is new: the store may be one restored from a backup. */
  #listed(): void {
    this.#recovery.watchRevision()
    this.#recovery.suspect()
    this.#keeper.touchAll()
  }

  /** An endpoint that left may leave a single address behind. */
  #endpointChanged({ before, after }: EndpointChange): void {
    if (before !== undefined && after === undefined) this.#keeper.touch(before.networkId)
  }

  #asked(items: ReadonlyMap<string, KeyValue>): void {
    this.#recovery.saw(items)
    this.#keeper.wake()
    this.#requests = [...items.values()]
    this.#tasks.startOnce('answer requests', async () => {
      let answered: readonly KeyValue[] = []
      while (answered !== this.#requests) {
        answered = this.#requests
        await this.#granter.answer(answered)
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stop) stop()
    await this.#tasks[Symbol.asyncDispose]()
    await this.#territory[Symbol.asyncDispose]()
  }
}
