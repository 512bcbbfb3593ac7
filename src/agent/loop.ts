/**
 * The loop: what changed in the replica is planned and sent to the dataplane, and what came of it is kept
 * as status. One change plans one object; at start, on the timer and after a resync everything is planned
 * and compared. An object that failed is tried again with growing pauses; the others go on.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { Repair } from '../dataplane/reconcile.ts'
import type { ObjectKey } from '../hoststate/state.ts'
import type { Log } from '../lib/log.ts'
import type { ObjectFailure } from '../model/host.ts'
import type { Publication } from '../model/publication.ts'
import { NO_LIMITS } from '../plan/paths.ts'
import type { Replica, ReplicaChange } from '../store/replica/replica.ts'
import { Backlog } from './backlog.ts'
import { Gateways } from './gateways.ts'
import { Planner, type PlannerOptions } from './planner.ts'
import { Progress } from './progress.ts'
import { Waiters } from './waiters.ts'

export interface LoopOptions extends PlannerOptions {
  readonly replica: Replica & { onListed(listener: () => void): () => void }
  readonly dataplane: Dataplane
  /** Sequence of the journal, whose commits the replica shows in the same turn. */
  readonly sequence: () => number
  readonly now: () => Date
  readonly log: Log
  readonly signal: AbortSignal
  /** Everything is planned and compared with the kernel this often. */
  readonly auditPeriodMs: number
}

export class Loop {
  readonly #options: LoopOptions
  readonly #dirty = new Set<ObjectKey>()
  readonly #progress = new Progress()
  /** The same for revisions of the shared store. */
  readonly #revisions = new Progress()
  /** Revision of the last change of a network that others may wait for, and the last that the kernel reflects. */
  #networksChanged = 0
  #networksApplied = 0
  readonly #networkListeners: (() => void)[] = []
  readonly #waiters = new Waiters()
  readonly #backlog: Backlog
  readonly #gateways: Gateways
  readonly #planner: Planner
  readonly #drift = new Map<string, number>()
  readonly #hostInputs = new Map<string, string>()
  /** As the plan last read them. */
  #limits = NO_LIMITS
  #everything = false
  #scheduled = false
  #resyncing = false
  /** The last resync was made from a copy that may be older than the kernel's entries. */
  #fromCopy = false
  /** The store was listed since. */
  #listed = false
  #started = false

  constructor(options: LoopOptions) {
    this.#options = options
    this.#gateways = new Gateways(options.replica, options.resolvers.length > 0)
    this.#planner = new Planner({ ...options, paths: () => this.#limits }, this.#gateways)
    this.#backlog = new Backlog(options.now, options.signal, (objects) => {
      for (const object of objects) this.#dirty.add(object)
      this.#schedule()
    })
  }

  /** Compares the kernel with everything known, then follows changes. Needs a complete replica. */
  async start(): Promise<void> {
    const { replica, dataplane, signal } = this.#options
    if (!replica.complete) throw new Error('the loop started before the first full sync')
    const stop = replica.subscribe((changes) => this.#changed(changes))
    const stopListed = replica.onListed(() => {
      this.#listed = true
      if (this.#fromCopy && !this.#resyncing) void this.#sweep()
    })
    signal.addEventListener('abort', () => {
      stop()
      stopListed()
      this.#waiters.rejectAll(signal.reason)
    })
    dataplane.onRepair((repair) => this.#repaired(repair))
    for (const host of replica.hosts()) this.#hostInputsChanged(host.id)
    this.#gateways.changed({ kind: 'all' })
    this.#everything = true
    this.#networksChanged = replica.revision
    this.#limits = this.#options.paths()
    this.#started = true
    await this.#flush()
    const timer = setInterval(() => void this.#audit(), this.#options.auditPeriodMs)
    signal.addEventListener('abort', () => clearInterval(timer))
  }

  /** This host's record or the devices of its underlay may be others than before. */
  lookAtSelf(): void {
    this.#changed([{ kind: 'host', id: this.#options.self().id }])
  }

  /** What is known of the ways to other hosts is different; the plan reads only the limits among it. */
  lookAtPaths(): void {
    const { replica, paths } = this.#options
    const before = this.#limits
    this.#limits = paths()
    const limited = Array.from(replica.hosts()).filter(
      ({ id }) => !isDeepStrictEqual(before.get(id), this.#limits.get(id)),
    )
    if (limited.length === 0) return
    for (const host of limited) this.#dirty.add(`host/${host.id}`)
    for (const network of replica.networks()) this.#dirty.add(`network/${network.id}`)
    for (const endpoint of replica.ownEndpoints()) this.#dirty.add(`endpoint/${endpoint.id}`)
    this.#schedule()
  }

  /** Resolves with the present failures once this commit of the journal was applied. */
  async settled(sequence: number, timeoutMs: number): Promise<readonly ObjectFailure[]> {
    const holds = (): boolean => this.#idle || this.#progress.has(sequence)
    await this.#waiters.wait(`change ${sequence}`, holds, timeoutMs)
    return this.failures
  }

  /** Resolves once every commit up to this one, and whatever the replica shows now, was applied. */
  async allSettled(sequence: number, timeoutMs: number): Promise<void> {
    const { revision } = this.#options.replica
    const holds = (): boolean =>
      this.settledSequence >= sequence && this.appliedRevision >= revision
    await this.#waiters.wait(`everything up to change ${sequence}`, holds, timeoutMs)
  }

  get failures(): readonly ObjectFailure[] {
    return this.#backlog.failures
  }

  /** Journal sequence that the kernel reflects. */
  get settledSequence(): number {
    // A commit that changed no plan is settled as soon as nothing is under way.
    return this.#idle ? this.#options.sequence() : this.#progress.upTo
  }

  /** Revision of the shared store that the kernel reflects. */
  get appliedRevision(): number {
    return this.#idle ? this.#options.replica.revision : this.#revisions.upTo
  }

  /** The last revision that the kernel reflects and that others may wait for. */
  get networksRevision(): number {
    return this.#networksApplied
  }

  /** Is called when `networksRevision` has grown. */
  onNetworks(listener: () => void): void {
    this.#networkListeners.push(listener)
  }

  /** Things found missing or changed in the kernel and put right since the start, by kind. */
  get drift(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#drift)
  }

  get #idle(): boolean {
    return this.#started && !this.#scheduled && this.#progress.isIdle && this.#dirty.size === 0
  }

  #changed(changes: readonly ReplicaChange[]): void {
    for (const change of changes) {
      this.#mark(change)
      this.#markGateways(change)
      if (this.#isAwaited(change)) this.#networksChanged = this.#options.replica.revision
    }
    if (this.#dirty.size > 0 || this.#everything) this.#schedule()
  }

  /** True when somebody may wait until this host has the change: of a network whose carrier is changing. */
  #isAwaited(change: ReplicaChange): boolean {
    const { replica } = this.#options
    if (change.kind === 'network') return replica.network(change.id)?.alsoAccepts !== undefined
    if (change.kind !== 'all') return false
    return Array.from(replica.networks()).some(({ alsoAccepts }) => alsoAccepts !== undefined)
  }

  /** The objects whose plan has the changed thing among its inputs. */
  #mark(change: ReplicaChange): void {
    const { replica, self } = this.#options
    switch (change.kind) {
      case 'all':
        this.#everything = true
        break
      case 'network':
        this.#dirty.add('base').add('probes').add(`network/${change.id}`)
        for (const endpoint of replica.endpointsOf(change.id)) {
          this.#dirty.add(`endpoint/${endpoint.id}`)
        }
        this.#markPublished(replica.publicationsOf(change.id))
        break
      case 'host':
        if (!this.#hostInputsChanged(change.id)) break
        if (change.id === self().id) {
          this.#markOwn()
          break
        }
        this.#dirty.add('probes').add(`host/${change.id}`)
        for (const endpoint of replica.endpointsOfHost(change.id)) {
          this.#dirty.add(`endpoint/${endpoint.id}`)
        }
        for (const network of replica.networks()) this.#dirty.add(`network/${network.id}`)
        break
      case 'endpoint':
        this.#dirty.add(`endpoint/${change.id}`)
        this.#markPublished(replica.publicationsOfEndpoint(change.id))
        break
      case 'publication':
        this.#markPublished([change])
        break
      default:
        break // leases, facts and statuses are no inputs of the plan
    }
  }

  /** Only this host's own are planned: a port leads to containers of its host. */
  #markPublished(publications: Iterable<Pick<Publication, 'id' | 'hostId'>>): void {
    for (const { id, hostId } of publications) {
      if (hostId === this.#options.replica.hostId) this.#dirty.add(`publication/${id}`)
    }
  }

  /** Networks that come into use here or go out of it, and those that overlap them. */
  #markGateways(change: ReplicaChange): void {
    const numbered = this.#gateways.changed(change)
    for (const id of numbered) {
      this.#dirty.add(`network/${id}`)
      this.#markPublished(this.#options.replica.publicationsOf(id))
    }
    if (change.kind === 'block') this.#dirty.add(`network/${change.networkId}`)
    if (numbered.length > 0) this.#dirty.add('base')
    if (change.kind === 'network' || numbered.length > 0) this.#dirty.add('gateways')
  }

  /** What depends on how this host itself is reached: all but the entries of others' endpoints. */
  #markOwn(): void {
    const { replica } = this.#options
    this.#dirty.add('base').add('probes')
    for (const host of replica.hosts()) this.#dirty.add(`host/${host.id}`)
    for (const network of replica.networks()) this.#dirty.add(`network/${network.id}`)
    for (const endpoint of replica.ownEndpoints()) this.#dirty.add(`endpoint/${endpoint.id}`)
  }

  /** A host's record changes with everything it publishes; the plan reads only these fields of it. */
  #hostInputsChanged(id: string): boolean {
    const { self, replica, underlayDevices } = this.#options
    const own = id === self().id
    const host = own ? self() : replica.host(id)
    const inputs =
      host === undefined
        ? ''
        : JSON.stringify([
            ...[host.index, host.underlay, host.vxlanPort],
            own ? underlayDevices() : [],
          ])
    if (this.#hostInputs.get(id) === inputs) return false
    this.#hostInputs.set(id, inputs)
    return true
  }

  #schedule(): void {
    if (this.#scheduled || !this.#started) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush().catch((error: unknown) => {
        if (!this.#options.signal.aborted) throw error
      })
    })
  }

  async #flush(): Promise<void> {
    // A resync goes out in parts; whatever changes meanwhile is planned anew when it is through.
    if (this.#resyncing) return
    const { replica, dataplane, log } = this.#options
    const full = this.#everything
    this.#resyncing = full
    const changes = full ? [] : this.#planner.changes(this.#dirty)
    this.#everything = false
    this.#dirty.clear()
    const flush = this.#progress.begin(this.#options.sequence())
    const revisions = this.#revisions.begin(replica.revision)
    try {
      // Until the store itself was listed the replica may be older than the kernel's entries.
      const fromCopy = !replica.connected
      if (full) {
        this.#fromCopy = fromCopy
        this.#listed = false
      }
      const failures = full
        ? await dataplane.resync(this.#planner.everything(), fromCopy)
        : await dataplane.apply(changes)
      this.#backlog.record(full ? undefined : changes.map(({ object }) => object), failures, log)
    } finally {
      this.#progress.end(flush)
      this.#revisions.end(revisions)
      if (full) this.#resyncing = false
    }
    if (full && this.#fromCopy && this.#listed) void this.#sweep()
    if (full && (this.#everything || this.#dirty.size > 0)) this.#schedule()
    this.#waiters.check()
    this.#tellNetworks()
  }

  #tellNetworks(): void {
    const reached = this.#networksChanged
    if (reached <= this.#networksApplied || reached > this.appliedRevision) return
    this.#networksApplied = reached
    for (const listener of this.#networkListeners) listener()
  }

  /** Now that the store was listed, what it does not have may go. */
  async #sweep(): Promise<void> {
    const { dataplane, log, signal } = this.#options
    this.#fromCopy = false
    try {
      const { repaired, failures } = await dataplane.sweep()
      for (const [kind, count] of Object.entries(repaired))
        log.info('leftovers removed', { kind, count })
      this.#backlog.add(failures, log)
    } catch (error) {
      if (!signal.aborted) log.error('sweep failed', { error })
    }
  }

  async #audit(): Promise<void> {
    const { dataplane, log, signal } = this.#options
    try {
      this.#repaired(await dataplane.audit())
    } catch (error) {
      if (!signal.aborted) log.error('audit failed', { error })
    }
  }

  #repaired(repair: Repair): void {
    for (const [kind, count] of Object.entries(repair.repaired)) {
      this.#drift.set(kind, (this.#drift.get(kind) ?? 0) + count)
      this.#options.log.warn('drift repaired', { kind, count })
    }
    this.#backlog.add(repair.failures, this.#options.log)
  }
}
