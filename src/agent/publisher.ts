/**
 * Brings the shared store up to this host's journal whenever both can be reached (R9). It compares its own
 * part of the store with the journal, at every new connection and listing, and then sends what is committed,
 * in order. Every write asks in the same transaction that the host's record is as it was last seen and that
 * the sign of life is ours; the record says up to which sequence the store has everything.
 *
 * A store that has published more than this journal ever sent proves that the disk is old: its endpoints are
 * adopted before anything is written. A store that has less was restored: everything is published again.
 */

import type { Clock } from '../lib/clock.ts'
import { isNetworkError, messageOf, NetworkError } from '../lib/errors.ts'
import type { Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import { Wakeup } from '../lib/wakeup.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Host, HostFacts, HostStatus } from '../model/host.ts'
import { endpointKey, HOST_RECORD_ROOTS, keys, parseHostRecordKey, ROOT } from '../model/keys.ts'
import type { Journal, JournalRecord } from '../store/journal/journal.ts'
import { backoffMs } from '../store/replica/backoff.ts'
import { RecordReader, sameRecord } from '../store/replica/records.ts'
import type { Compare, KeyRange, Operation, Store, TransactionResult } from '../store/store.ts'
import { type Adoption, adoptEngineNetworks, adoptionOf, adoptPublications } from './adopt.ts'
import { ownHost } from './identity.ts'
import type { HostLease } from './lease.ts'
import { Notes } from './notes.ts'
import { type OwnPart, readOwnPart } from './own-part.ts'
import {
  type Batch,
  batchesOf,
  differences,
  MOST_VALUE_BYTES,
  type OwnRecord,
  ownRecordOf,
} from './published.ts'

/** Sequence up to which publishing was ever tried from this journal: the store cannot honestly have more. */
const INTENT = 'publisher.intent'

/** A commit waits for a second one this many times shorter than for a third. */
const FIRST_WAIT = 4
/** While commits keep coming they wait at most this many times `gatherMs`. */
const LONGEST_GATHERING = 8

export interface PublisherOptions {
  readonly store: Store
  readonly journal: Journal
  readonly lease: Pick<HostLease, 'state' | 'record' | 'distrust' | 'recheck' | 'onChange'>
  readonly hostId: string
  /** Tells when the store was listed anew, and so when to compare. */
  readonly onListed: (listener: () => void) => () => void
  /**
   * The disk is old: says which endpoints this host really has, whole, among those in question and those
   * only its kernel knows. What is not named is given up here and in the store. A NetworkError means that
   * it cannot be said yet: it is asked again.
   */
  readonly adopt: (found: Adoption) => Promise<readonly Endpoint[]>
  /** Commits that follow each other within this time travel together, the first within a quarter; absent: each goes at once. */
  readonly gatherMs?: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
}

export interface Publisher extends AsyncDisposable {
  /** Journal sequence up to which the store is known to have everything. */
  readonly publishedSequence: number
  /** Resolves when the store was compared with the journal once, and an old disk was mended. */
  readonly ready: Promise<void>
  /** Why this host must not allocate; undefined when publishing is no reason. */
  distrust(): string | undefined
  /** Keys of own records that are not published, and why: their network is gone, they are too large. */
  readonly unpublished: ReadonlyMap<string, string>
  setFacts(facts: HostFacts): void
  /** `milestone`: an applied revision that others wait for; a greater one than before is told at once. */
  setStatus(status: HostStatus, milestone?: number): void
}

/** Starts the publisher; it ends with the signal or when disposed. The host must have been registered. */
export function startPublisher(options: PublisherOptions): Publisher {
  return new Worker(options)
}

class Worker implements Publisher {
  readonly unpublished = new Map<string, string>()
  readonly #options: PublisherOptions
  readonly #log: Log
  readonly #reader = new RecordReader()
  readonly #notes: Notes
  readonly #wakeup = new Wakeup()
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #ready = Promise.withResolvers<void>()
  readonly #unsubscribe: readonly (() => void)[]
  readonly #task: Promise<void>
  /** The store's record of this host as last seen. */
  #seen: { readonly host: Host; readonly modRevision: number } | undefined
  readonly #goneNetworks = new Set<string>()
  #cursor = 0
  #compareAgain = true
  #adopting = false
  #fenced: string | undefined
  /** The journal's note of what was to be published; this run alone changes it. */
  #intent: number | undefined

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#log = options.log
    this.#notes = new Notes(options.hostId)
    const intent = options.journal.settings.get(INTENT)
    this.#intent = intent === undefined ? undefined : Number(intent)
    const ring = (): void => this.#wakeup.ring()
    this.#unsubscribe = [
      options.journal.subscribe(ring),
      options.lease.onChange(ring),
      options.onListed(() => {
        this.#compareAgain = true
        ring()
      }),
    ]
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal])
    this.#task = this.#run()
  }

  get publishedSequence(): number {
    return this.#seen?.host.publishedSequence ?? 0
  }
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  distrust(): string | undefined {
    if (this.#fenced !== undefined) return this.#fenced
    if (this.#adopting) return 'the state directory is older than what this host has published'
    if (this.#intent !== undefined) return undefined
    return 'what this host has published before is not known yet'
  }

  setFacts(facts: HostFacts): void {
    this.#notes.setFacts(facts)
    this.#wakeup.ring()
  }

  setStatus(status: HostStatus, milestone?: number): void {
    this.#notes.setStatus(status, milestone)
    this.#wakeup.ring()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('closing'))
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    await this.#task
  }

  async #run(): Promise<void> {
    const { clock, random, lease, gatherMs = 0 } = this.#options
    const signal = this.#signal
    let failures = 0
    while (!signal.aborted) {
      let waitMs: number | undefined
      try {
        if (lease.state === 'held') waitMs = await this.#work()
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        if (!isNetworkError(error)) throw error
        const usual = failures++ > 0 || error.code === 'conflict'
        this.#log[usual ? 'debug' : 'warn']('publishing waits', { error: messageOf(error) })
        this.#compareAgain = true // an answer that was lost may have been a yes
        waitMs = backoffMs(failures, random)
      }
      await this.#wakeup.wait(clock, waitMs, signal).catch(() => undefined)
      await this.#gather(gatherMs).catch(() => undefined)
    }
  }

  /** Lets commits that come one after the other travel together, up to a bound; one that comes alone soon goes. */
  async #gather(quietMs: number): Promise<void> {
    if (quietMs === 0) return
    const { clock, journal } = this.#options
    const endMs = clock.monotonicMs() + LONGEST_GATHERING * quietMs
    let waitMs = quietMs / FIRST_WAIT
    for (let before = -1; journal.sequence !== before && clock.monotonicMs() < endMs; ) {
      before = journal.sequence
      await clock.sleep(waitMs, this.#signal)
      waitMs = quietMs
    }
  }

  /** Publishes all there is; the time until something more is due, undefined when nothing is. */
  async #work(): Promise<number | undefined> {
    const { clock } = this.#options
    if (this.#compareAgain) {
      this.#compareAgain = false
      if (!(await this.#compare())) return undefined
    } else if (this.#fenced !== undefined) return undefined
    else await this.#publish(this.#newRecords())
    const { puts, waitMs } = this.#notes.due(clock.monotonicMs())
    if (puts.length === 0) return waitMs
    const answer = await this.#write([], puts)
    if (!answer.succeeded) this.#refused(answer, [])
    this.#notes.written(puts, clock.monotonicMs())
    return this.#notes.due(clock.monotonicMs()).waitMs
  }

  /** Compares this host's part of the store with the journal and levels them; false when it must not. */
  async #compare(): Promise<boolean> {
    const { store, journal, hostId } = this.#options
    const mine = ownHost(journal, hostId)
    if (mine === undefined) throw new Error('the publisher was started before the host registered')
    const part = await readOwnPart(store, { hostId, journal, notes: this.#notes.keys })
    this.#signal.throwIfAborted()
    this.#fenced = fenceOf(mine, part)
    if (part.host === undefined || this.#fenced !== undefined) {
      this.#log.error('publishing stopped', { host: hostId, error: this.#fenced })
      return false
    }
    const before = this.publishedSequence
    this.#seen = part.host
    if (this.publishedSequence < before) {
      this.#log.warn('the store went back in time; publishing again', { host: hostId })
    }
    this.#notes.found(part.notes)
    for (const id of part.networks) this.#goneNetworks.delete(id)
    const { publishedSequence } = part.host.host
    if (publishedSequence > (this.#intent ?? 0)) await this.#adopt(part, publishedSequence)
    else this.#noteIntent(publishedSequence)
    this.#adopting = false
    const want = HOST_RECORD_ROOTS.flatMap((root) => journal.list(root))
    await this.#publish(differences(this.#publishable(this.#ownRecords(want)), part.records))
    this.#ready.resolve()
    return true
  }

  /** The disk is old: takes over from the store what the journal has lost, and jumps ahead of it. */
  async #adopt(part: OwnPart, publishedSequence: number): Promise<void> {
    const { journal, adopt, hostId } = this.#options
    const intent = this.#intent ?? 0
    this.#adopting = true
    this.#log.warn('the state directory is old; adopting what was published', {
      host: hostId,
      sequence: publishedSequence,
    })
    const records = journal.list(`${ROOT}endpoints/`)
    const found = adoptionOf(records, part.records, intent, this.#reader)
    const kept = await adopt(found)
    const keptKeys = new Set(kept.map(endpointKey))
    const lost = found.missing.map(endpointKey).filter((key) => !keptKeys.has(key))
    const living = new Set([...records.map(({ key }) => key), ...keptKeys])
    for (const key of lost) living.delete(key)
    const newer = new Set(journal.changedSince(intent).map(({ key }) => key))
    const publications = adoptPublications({
      journal: journal.list(`${ROOT}publications/`),
      ...{ store: part.records, newer },
      living: new Set(Array.from(living, (key) => parseHostRecordKey(key)?.id ?? '')),
      reader: this.#reader,
    })
    journal.commit(
      [
        ...kept.map(
          (own) => ({ kind: 'put', key: endpointKey(own), value: JSON.stringify(own) }) as const,
        ),
        ...lost.map((key) => ({ kind: 'delete', key }) as const),
        ...publications,
        ...adoptEngineNetworks({
          journal: journal.list(`${ROOT}engine-networks/`),
          ...{ store: part.records, newer },
        }),
      ],
      publishedSequence + 1,
    )
    this.#noteIntent(publishedSequence)
  }

  #newRecords(): readonly OwnRecord[] {
    return this.#publishable(this.#ownRecords(this.#options.journal.changedSince(this.#cursor)))
  }

  #ownRecords(records: readonly JournalRecord[]): readonly OwnRecord[] {
    const { hostId } = this.#options
    const found = records.map((record) => ownRecordOf(record, hostId, this.#reader))
    return found.filter((record) => record !== undefined)
  }

  /** What cannot be published shall not be in the store, and not hold up the rest. */
  #publishable(records: readonly OwnRecord[]): readonly OwnRecord[] {
    return records.map((record) => {
      const obstacle = this.#obstacleTo(record)
      if (obstacle === undefined) {
        this.unpublished.delete(record.key)
        return record
      }
      if (this.unpublished.get(record.key) !== obstacle) {
        this.unpublished.set(record.key, obstacle)
        this.#log.warn('record not published', { key: record.key, error: obstacle })
      }
      return { ...record, value: undefined }
    })
  }

  #obstacleTo({ value, networkId }: OwnRecord): string | undefined {
    if (value === undefined) return undefined
    if (this.#goneNetworks.has(networkId)) return 'its network is gone'
    return Buffer.byteLength(value) > MOST_VALUE_BYTES ? 'it is larger than 64 KiB' : undefined
  }

  /** Sends the records in order; throws `conflict` when the store is not as it was seen. */
  async #publish(records: readonly OwnRecord[]): Promise<void> {
    const { journal } = this.#options
    const target = journal.sequence
    for (const batch of batchesOf(records, target)) {
      if (batch.records.length === 0 && this.#isWritten(batch.sequence)) break
      this.#noteIntent(batch.sequence)
      const answer = await this.#writeBatch(batch)
      if (!answer.succeeded) this.#refused(answer, batch.records)
      this.#signal.throwIfAborted()
    }
    this.#cursor = target
    journal.forgetRemoved(target)
  }

  /** True when the store's record of this host says all it should. */
  #isWritten(sequence: number): boolean {
    const host = this.#seen?.host
    return host !== undefined && sameRecord(host, this.#hostAt(host, sequence))
  }

  /** This host's record as the store should have it after everything up to `sequence` is there. */
  #hostAt(seen: Host, sequence: number): Host {
    const { journal, hostId } = this.#options
    const publishedSequence = Math.max(seen.publishedSequence, sequence)
    return { ...(ownHost(journal, hostId) ?? seen), epoch: seen.epoch, publishedSequence }
  }

  async #writeBatch({ records, sequence }: Batch): Promise<TransactionResult> {
    const { hostId } = this.#options
    const seen = this.#seenOrThrow()
    const host = this.#hostAt(seen.host, sequence)
    const networks = new Set(records.filter((r) => r.value !== undefined).map((r) => r.networkId))
    const writes = records.map(
      ({ key, value }): Operation =>
        value === undefined ? { kind: 'delete', range: { key } } : { kind: 'put', key, value },
    )
    const put: Operation = { kind: 'put', key: keys.host(hostId), value: JSON.stringify(host) }
    const answer = await this.#write([...networks], [...writes, put])
    if (answer.succeeded) this.#seen = { host, modRevision: answer.revision }
    return answer
  }

  /** One transaction, under the conditions that every write of this host has. */
  #write(networks: readonly string[], success: readonly Operation[]): Promise<TransactionResult> {
    const { store, lease, hostId } = this.#options
    const [hostKey, aliveKey] = [{ key: keys.host(hostId) }, { key: keys.alive(hostId) }]
    const present = networks.map((id): KeyRange => ({ key: keys.network(id) }))
    const compare: Compare[] = [
      { range: hostKey, target: 'modRevision', is: '=', value: this.#seenOrThrow().modRevision },
      { range: aliveKey, target: 'value', is: '=', value: lease.record },
      ...present.map(
        (range) => ({ range, target: 'createRevision', is: '>', value: 0 }) satisfies Compare,
      ),
    ]
    const failure = [aliveKey, ...present].map((range): Operation => ({ kind: 'range', range }))
    return store.txn({ compare, success, failure })
  }

  /** Learns from a refused write what is different; the next turn compares. */
  #refused(answer: TransactionResult, records: readonly OwnRecord[]): never {
    const { lease } = this.#options
    const [alive, ...present] = answer.results.map((result) =>
      result.kind === 'range' ? result.items[0] : undefined,
    )
    const asked = new Set(records.filter((r) => r.value !== undefined).map((r) => r.networkId))
    for (const [i, id] of [...asked].entries()) {
      if (present[i] === undefined) this.#goneNetworks.add(id)
    }
    if (alive?.value !== lease.record) lease.recheck()
    throw new NetworkError('conflict', 'Cannot publish: the store changed meanwhile')
  }

  #noteIntent(sequence: number): void {
    if (sequence <= (this.#intent ?? -1)) return
    this.#options.journal.settings.set(INTENT, String(sequence))
    this.#intent = sequence
  }

  #seenOrThrow(): { readonly host: Host; readonly modRevision: number } {
    if (this.#seen === undefined) throw new Error('nothing is published before a comparison')
    return this.#seen
  }
}

/** Why nothing may be published under this host's id; undefined when it may. */
function fenceOf(mine: Host, { host }: OwnPart): string | undefined {
  if (host === undefined) return 'this host was removed from the cluster'
  return host.host.epoch > mine.epoch ? 'the addresses of this host were reclaimed' : undefined
}
