/**
 * The sign of life: alive/<host id> on a lease of 15 s, created only where there is none. It keeps two
 * daemons from living under one id (R9): whoever finds it held by another waits until that lease must have
 * ended, and then knows the other to live. It says nothing about traffic; the plan never reads it (R1).
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { isNetworkError, messageOf, NetworkError } from '../lib/errors.ts'
import type { Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import { Wakeup } from '../lib/wakeup.ts'
import type { Alive } from '../model/host.ts'
import { keys } from '../model/keys.ts'
import type { Journal } from '../store/journal/journal.ts'
import { backoffMs } from '../store/replica/backoff.ts'
import { RecordReader } from '../store/replica/records.ts'
import type { Compare, KeyValue, Store } from '../store/store.ts'

const TTL_SECONDS = 15
const KEEP_ALIVE_MS = 5_000
/** A holder that still stands after this long has extended its lease: it lives. */
const PROOF_OF_LIFE_MS = (TTL_SECONDS + 5) * 1000
const LOOK_AGAIN_MS = 1_000
const INSTANCES = 'lease.instances'
/** Earlier starts that are remembered; a store restored from a backup may show an old one. */
const MOST_INSTANCES = 16

/**
 * `waiting`: not held, the store has not answered or another holds it and may be dead; `held`;
 * `cloned`: another daemon lives under this host's id. `cloned` is final until the next start.
 */
export type LeaseState = 'waiting' | 'held' | 'cloned'

export interface LeaseOptions {
  readonly store: Store
  /** Held by this daemon alone, so that an earlier instance it names is known to be dead. */
  readonly journal: Journal
  readonly hostId: string
  /** /proc/sys/kernel/random/boot_id: random(4). */
  readonly bootId: string
  /** Random per start of the daemon. */
  readonly instance: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
}

export interface HostLease extends AsyncDisposable {
  readonly state: LeaseState
  /** The text that stands at alive/<host id> while the lease is held. */
  readonly record: string
  /** Resolves when held for the first time; throws `conflict` when a clone lives. */
  readonly acquired: Promise<void>
  /** Why this host must not allocate or publish; undefined when the lease is no reason. */
  distrust(): string | undefined
  /** Somebody saw something else at the key: looks at once. */
  recheck(): void
  onChange(listener: (state: LeaseState) => void): () => void
}

/** Starts to acquire and keep the lease, until the signal or disposal, which gives it back. */
export function holdLease(options: LeaseOptions): HostLease {
  return new Keeper(options)
}

interface Instance {
  readonly instance: string
  readonly bootId: string
}

class Keeper implements HostLease {
  readonly record: string
  readonly #options: LeaseOptions
  readonly #log: Log
  readonly #key: string
  readonly #wakeup = new Wakeup()
  readonly #stop = new AbortController()
  readonly #acquired = Promise.withResolvers<void>()
  readonly #listeners = new Set<(state: LeaseState) => void>()
  readonly #task: Promise<void>
  #state: LeaseState = 'waiting'
  #leaseId: string | undefined
  #rival: string | undefined

  constructor(options: LeaseOptions) {
    const { hostId, bootId, instance, clock } = options
    this.#options = options
    this.#log = options.log
    this.#key = keys.alive(hostId)
    const alive: Alive = { bootId, instance, since: timestamp(clock.wallMs()) }
    this.record = JSON.stringify(alive)
    // whoever does not ask is told by the state
    this.#acquired.promise.catch(() => undefined)
    this.#remember({ instance, bootId })
    this.#task = this.#run(AbortSignal.any([options.signal, this.#stop.signal]))
  }

  get state(): LeaseState {
    return this.#state
  }
  get acquired(): Promise<void> {
    return this.#acquired.promise
  }

  distrust(): string | undefined {
    if (this.#state === 'cloned') return `another daemon lives under the id of this host`
    return this.#rival === undefined
      ? undefined
      : 'another daemon may live under the id of this host'
  }

  recheck(): void {
    this.#wakeup.ring()
  }

  onChange(listener: (state: LeaseState) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('closing'))
    await this.#task
    const id = this.#leaseId
    if (id === undefined) return
    try {
      await this.#options.store.revokeLease(id)
    } catch (error) {
      this.#log.debug('lease is left to end by itself', { error: messageOf(error) })
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    let failures = 0
    while (!signal.aborted && this.#state !== 'cloned') {
      try {
        if (this.#state === 'held') await this.#keep()
        else await this.#acquire(signal)
        failures = 0
        // the pause between two signs of life; recheck() cuts it short
        if (this.#state === 'held') await this.#wakeup.wait(clock, KEEP_ALIVE_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        if (!isNetworkError(error)) throw error
        if (failures++ === 0) this.#log.warn('no sign of life sent', { error: messageOf(error) })
        const pauseMs = Math.min(backoffMs(failures, random), KEEP_ALIVE_MS)
        await this.#wakeup.wait(clock, pauseMs, signal).catch(() => undefined)
      }
    }
  }

  /** Extends the lease, and sees that the key still says what it should. */
  async #keep(): Promise<void> {
    const { store } = this.#options
    const id = this.#leaseId ?? ''
    const remaining = await store.keepAlive(id)
    const ours = await store.txn({
      compare: [
        { range: { key: this.#key }, target: 'value', is: '=', value: this.record },
        { range: { key: this.#key }, target: 'lease', is: '=', value: id },
      ],
      success: [],
    })
    if (remaining !== undefined && ours.succeeded) return
    this.#leaseId = undefined
    this.#become('waiting')
  }

  /** Tries until the key is ours, or its holder is known to live. */
  async #acquire(signal: AbortSignal): Promise<void> {
    const { store, clock, hostId } = this.#options
    let seen: { readonly value: string; readonly atMs: number } | undefined
    const lease = await store.grantLease(TTL_SECONDS)
    this.#leaseId = lease.id
    for (;;) {
      const holder = await this.#claim(lease.id)
      if (holder === undefined) return this.#become('held')
      const now = clock.monotonicMs()
      if (seen?.value !== holder.value) seen = { value: holder.value, atMs: now }
      this.#rival = holder.value
      if (now - seen.atMs >= PROOF_OF_LIFE_MS) {
        this.#log.error('another daemon lives under the id of this host', { host: hostId })
        return this.#become('cloned')
      }
      await this.#wakeup.wait(clock, LOOK_AGAIN_MS, signal)
      if ((await store.keepAlive(lease.id)) === undefined) return
    }
  }

  /** Writes the key where there is none, or over one of our own dead; else who holds it. */
  async #claim(lease: string): Promise<KeyValue | undefined> {
    const { store } = this.#options
    const [range, value] = [{ key: this.#key }, this.record]
    const absent: Compare = { range, target: 'createRevision', is: '=', value: 0 }
    const put = { kind: 'put', key: this.#key, value, lease } as const
    const first = await store.txn({
      compare: [absent],
      success: [put],
      failure: [{ kind: 'range', range }],
    })
    const [found] = first.results
    const holder = found?.kind === 'range' ? found.items[0] : undefined
    if (first.succeeded) return undefined
    if (holder === undefined) throw new Error(`the store refused ${this.#key} and shows none`)
    if (!this.#isDeadPredecessor(holder.value)) return holder
    const unchanged: Compare = { range, target: 'modRevision', is: '=', value: holder.modRevision }
    return (await store.txn({ compare: [unchanged], success: [put] })).succeeded
      ? undefined
      : holder
  }

  /**
   * An instance this state directory remembers, of this boot: the journal's lock says it is dead. Of another
   * boot it may be the machine this one was copied from.
   */
  #isDeadPredecessor(value: string): boolean {
    const alive = new RecordReader().readAlive(value)
    if (alive === undefined) return false
    return this.#instances().some(
      ({ instance, bootId }) =>
        instance === alive.instance && bootId === alive.bootId && bootId === this.#options.bootId,
    )
  }

  #instances(): readonly Instance[] {
    return JSON.parse(this.#options.journal.settings.get(INSTANCES) ?? '[]')
  }

  #remember(instance: Instance): void {
    const all = [...this.#instances(), instance].slice(-MOST_INSTANCES)
    this.#options.journal.settings.set(INSTANCES, JSON.stringify(all))
  }

  #become(state: LeaseState): void {
    this.#state = state
    if (state === 'held') {
      this.#rival = undefined
      this.#acquired.resolve()
    }
    if (state === 'cloned') this.#acquired.reject(cloned(this.#options.hostId))
    for (const listener of this.#listeners) listener(state)
  }
}

function cloned(hostId: string): NetworkError {
  return new NetworkError(
    'conflict',
    `Cannot start as host ${hostId}: another live daemon has the same host id`,
    {
      details: { host: hostId },
      hint: 'On a cloned machine run carrick daemon --new-identity, then join again',
    },
  )
}
