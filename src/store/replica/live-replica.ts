/**
 * The replica at work: the copy an earlier run left, then one listing of the shared store and a watch from
 * the next revision on. A watch that breaks, falls behind the compaction or has stood for five minutes is
 * followed by a new listing, which is compared with what is here; listeners hear only of differences. This
 * host's own endpoints and publications come from its journal, in the turn they are committed, and never from
 * the store.
 */

import { once } from 'node:events'
import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, messageOf, NetworkError } from '../../lib/errors.ts'
import type { Random } from '../../lib/ids.ts'
import type { Log } from '../../lib/log.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import type { Host, HostFacts } from '../../model/host.ts'
import {
  HOST_RECORD_ROOTS,
  isOfHostRecord,
  keys,
  type ParsedKey,
  parseKey,
} from '../../model/keys.ts'
import type { Journal, JournalRecord } from '../journal/journal.ts'
import type { KeyValue, Store, WatchBatch } from '../store.ts'
import { backoffMs, jittered } from './backoff.ts'
import { CacheWriter } from './cache-writer.ts'
import { type Parsed, RANGE, RecordReader, readKey, sameRecord } from './records.ts'
import type { LiveReplica, ReplicaChange } from './replica.ts'
import { Tables } from './tables.ts'

/** Keys read at once: some milliseconds of parsing, in which nobody else gets a turn. */
const PAGE = 500
const LIST_AGAIN_MS = 5 * 60_000
/** A listing that changed more than this is told as `all`: looking at everything is then cheaper. */
const MOST_TOLD = 1000
/** Records that cannot be read are remembered, up to so many, so that each is told once. */
const MOST_UNREADABLE = 1000

export interface ReplicaOptions {
  readonly store: Store
  readonly journal: Journal
  readonly hostId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly signal: AbortSignal
  /** Where a copy stands in for the store, the first listing waits for this: whoever starts has work to do. */
  readonly listAfter?: Promise<void>
}

/** Starts a replica; it ends with the signal or when disposed, and then writes its copy. */
export function createReplica(options: ReplicaOptions): LiveReplica {
  return new Follower(options)
}

interface Read {
  readonly key: string
  readonly value: string
  readonly modRevision: number
  readonly place: ParsedKey
  readonly parsed: Parsed
}

class Follower implements LiveReplica {
  readonly hostId: string
  readonly #options: ReplicaOptions
  readonly #log: Log
  readonly #tables = new Tables()
  readonly #reader = new RecordReader()
  readonly #unreadable = new Map<string, string>()
  readonly #own = new Map<string, Endpoint>()
  readonly #cache: CacheWriter
  readonly #listeners = new Set<(changes: readonly ReplicaChange[]) => void>()
  readonly #listedListeners = new Set<() => void>()
  readonly #stop = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  readonly #unsubscribe: () => void
  readonly #task: Promise<void>
  /** This host's record as the journal has it, and as the store has it. */
  #ownHost: { readonly journal?: Host | undefined; readonly store?: Host | undefined } = {}
  /** What this host's kernel said last: true before it is published. */
  #ownFacts: HostFacts | undefined
  #complete = false
  #connected = false
  #revision = 0

  constructor(options: ReplicaOptions) {
    const { journal, clock, log } = options
    this.#options = options
    this.#log = log
    this.hostId = options.hostId
    this.#cache = new CacheWriter({ cache: journal.cache, clock, log: this.#log })
    this.#loadCopy()
    this.#takeJournal([
      ...HOST_RECORD_ROOTS.flatMap((root) => journal.list(root)),
      ...journal.list(keys.host(this.hostId)),
    ])
    this.#unsubscribe = journal.subscribe((records) => this.#tell(this.#takeJournal(records)))
    this.#task = this.#run(AbortSignal.any([options.signal, this.#stop.signal]))
  }

  get ready(): Promise<void> {
    return this.#ready.promise
  }
  get complete(): boolean {
    return this.#complete
  }
  get connected(): boolean {
    return this.#connected
  }
  get revision(): number {
    return this.#revision
  }

  network = (id: string) => this.#tables.networks.get(id)
  networkByName = (name: string) =>
    this.#tables.networks.get(this.#tables.networkIds.get(name) ?? '')
  networks = () => this.#tables.networks.values()
  host = (id: string) => this.#tables.hosts.get(id)
  hosts = () => this.#tables.hosts.values()
  alive = (id: string) => this.#tables.alive.get(id)
  facts = (id: string) =>
    (id === this.hostId ? this.#ownFacts : undefined) ?? this.#tables.facts.get(id)
  status = (id: string) => this.#tables.status.get(id)
  endpoint = (id: string) => this.#tables.endpoints.get(id)
  endpoints = (): Iterable<Endpoint | PublishedEndpoint> => this.#tables.endpoints.values()
  endpointsOf = (networkId: string) => this.#tables.endpoints.ofNetwork(networkId)
  endpointsOfHost = (hostId: string) => this.#tables.endpoints.ofHost(hostId)
  endpointNamed = (networkId: string, name: string) => this.#tables.endpoints.named(networkId, name)
  endpointCount = (ownerId?: string) =>
    ownerId === undefined ? this.#tables.endpoints.size : this.#tables.endpoints.countOf(ownerId)
  ownEndpoint = (id: string) => this.#own.get(id)
  ownEndpoints = () => this.#own.values()
  publication = (id: string) => this.#tables.publications.get(id)
  publications = () => this.#tables.publications.values()
  publicationsOf = (networkId: string) => this.#tables.publications.byNetwork.of(networkId)
  publicationsOfHost = (hostId: string) => this.#tables.publications.byHost.of(hostId)
  publicationsOfEndpoint = (endpointId: string) =>
    this.#tables.publicationsByEndpoint.of(endpointId)
  engineNetworks = (networkId?: string) => this.#tables.engineNetworks.of(networkId)
  blocks = (networkId: string) => this.#tables.blocks.of(networkId)
  addressClaims = (networkId: string) => this.#tables.addresses.of(networkId)
  reservations = (networkId: string) => this.#tables.reservations.of(networkId)

  subscribe(listener: (changes: readonly ReplicaChange[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  setOwnFacts(facts: HostFacts): void {
    this.#ownFacts = facts
    this.#tell([{ kind: 'facts', id: this.hostId }])
  }

  onListed(listener: () => void): () => void {
    this.#listedListeners.add(listener)
    return () => void this.#listedListeners.delete(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('closing'))
    this.#unsubscribe()
    await this.#task
    await this.#cache[Symbol.asyncDispose]()
  }

  #loadCopy(): void {
    const { cache } = this.#options.journal
    if (cache.revision === undefined) return
    for (const item of cache.load()) {
      const read = this.#read(item)
      if (read !== undefined) this.#take(read)
    }
    this.#revision = cache.revision
    this.#finishListing()
  }

  #takeJournal(records: readonly JournalRecord[]): ReplicaChange[] {
    return records.map((record) => this.#takeJournalRecord(record)).filter((c) => c !== undefined)
  }

  #takeJournalRecord({ key, value }: JournalRecord): ReplicaChange | undefined {
    const parsed = parseKey(key)
    if (parsed === undefined || !('hostId' in parsed)) return undefined
    if (parsed.kind === 'host' && parsed.hostId === this.hostId) {
      const journal = value === undefined ? undefined : this.#reader.readHost(value)
      return this.#takeOwnHost({ ...this.#ownHost, journal })
    }
    if (parsed.hostId !== this.hostId || !isOfHostRecord(parsed)) return undefined
    if (parsed.kind === 'endpoint') return this.#takeOwnEndpoint(key, parsed.id, value)
    return this.#takeOwnRecord(key, parsed, value)
  }

  #takeOwnEndpoint(key: string, id: string, value: string | undefined): ReplicaChange | undefined {
    const endpoint = value === undefined ? undefined : this.#reader.readOwn(value)
    if (endpoint === undefined) {
      if (value !== undefined) this.#log.error('own record is malformed', { endpoint: key })
      this.#own.delete(id)
      return this.#tables.removeEndpoint(id)
    }
    this.#own.set(id, endpoint)
    return this.#tables.putEndpoint(endpoint)
  }

  /** What else this host has in networks. */
  #takeOwnRecord(key: string, place: ParsedKey, value: string | undefined) {
    if (value === undefined) return this.#tables.remove(key, place)
    const parsed = this.#reader.read(key, place, value)
    if (parsed.ok) return this.#tables.put(key, parsed.item)
    this.#log.error('own record is malformed', { key, error: parsed.problem })
    return this.#tables.remove(key, place)
  }

  /** The journal says what this host is, the store which epoch it has and how far it has published. */
  #takeOwnHost(next: { journal?: Host | undefined; store?: Host | undefined }) {
    this.#ownHost = next
    const { journal, store } = next
    const host =
      journal !== undefined && store !== undefined
        ? { ...journal, epoch: store.epoch, publishedSequence: store.publishedSequence }
        : (journal ?? store)
    const change: ReplicaChange = { kind: 'host', id: this.hostId }
    if (host !== undefined) return this.#tables.putHost(host) ? change : undefined
    return this.#tables.hosts.delete(this.hostId) ? change : undefined
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random, listAfter } = this.#options
    if (this.#complete && !signal.aborted) await Promise.race([listAfter, once(signal, 'abort')])
    let failures = 0
    while (!signal.aborted) {
      try {
        await this.#list(signal)
        if (!this.#connected) this.#log.info('store connected', { revision: this.#revision })
        this.#connected = true
        failures = 0
        for (const listener of this.#listedListeners) listener()
        await this.#watch(signal)
      } catch (error) {
        if (signal.aborted) break
        if (!isNetworkError(error)) throw error
        if (failures++ === 0) this.#log.warn('store disconnected', { error: messageOf(error) })
        this.#connected = false
        await clock.sleep(backoffMs(failures, random), signal).catch(() => undefined)
      }
    }
    this.#connected = false
  }

  /** Lists everything at one revision, in pages, and takes over what is different. */
  async #list(signal: AbortSignal): Promise<void> {
    const { store } = this.#options
    const listed = new Set<string>()
    const different: Read[] = []
    let revision: number | undefined
    let { from }: { from: string } = RANGE
    for (;;) {
      const at = revision === undefined ? {} : { revision }
      const page = await store.range({ from, to: RANGE.to }, { limit: PAGE, ...at })
      signal.throwIfAborted()
      revision ??= page.revision
      for (const item of page.items) {
        listed.add(item.key)
        const read = this.#read(item)
        if (read === undefined || !this.#isDifferent(read)) continue
        // before the first listing is through nobody looks, and a large one need not be held twice
        if (this.#complete) different.push(read)
        else this.#takeRead(read)
      }
      const last = page.items.at(-1)
      if (!page.more || last === undefined) break
      from = `${last.key}\0`
    }
    const changes = different.map((read) => this.#takeRead(read))
    for (const key of [...this.#tables.storeKeys(this.hostId), ...this.#unreadable.keys()]) {
      if (!listed.has(key)) changes.push(this.#takeRemoved(key, revision))
    }
    this.#revision = revision
    this.#cache.whole(revision)
    const wasComplete = this.#complete
    this.#finishListing()
    const told = changes.filter((change) => change !== undefined)
    this.#tell(!wasComplete || told.length > MOST_TOLD ? [{ kind: 'all' }] : told)
  }

  /** Follows the store until the watch breaks (throws) or it is time to list again (returns). */
  async #watch(signal: AbortSignal): Promise<void> {
    const { store, clock, random } = this.#options
    const turn = new AbortController()
    const over = AbortSignal.any([signal, turn.signal])
    const timer = clock.sleep(jittered(LIST_AGAIN_MS, random), over).then(
      () => turn.abort(new Error('time to list again')),
      () => undefined, // the watch ended first
    )
    try {
      const options = { range: RANGE, fromRevision: this.#revision + 1, signal: over }
      for await (const batch of store.watch(options)) this.#takeBatch(batch)
      throw new NetworkError('unavailable', 'Cannot watch the store: the stream ended')
    } catch (error) {
      if (signal.aborted || !turn.signal.aborted) throw error
    } finally {
      turn.abort()
      await timer
    }
  }

  #takeBatch(batch: WatchBatch): void {
    if (batch.kind === 'compacted') {
      throw new NetworkError('unavailable', 'Cannot watch the store: history was compacted')
    }
    if (batch.kind === 'progress') {
      this.#revision = Math.max(this.#revision, batch.revision)
      return
    }
    const changes = batch.events.map((event) =>
      event.kind === 'put'
        ? this.#takeStored(event.item)
        : this.#takeRemoved(event.key, event.modRevision),
    )
    this.#revision = batch.revision
    this.#cache.whole(batch.revision)
    this.#tell(changes.filter((change) => change !== undefined))
  }

  /** A record of the store, read; undefined for what is not for the replica. */
  #read({
    key,
    value,
    modRevision,
  }: Pick<Read, 'key' | 'value' | 'modRevision'>): Read | undefined {
    const place = this.#placeOf(key)
    if (place === undefined) return undefined
    return { key, value, modRevision, place, parsed: this.#reader.read(key, place, value) }
  }

  /** True when what the store has is not what is here. */
  #isDifferent({ key, value, place, parsed }: Read): boolean {
    if (!parsed.ok) return this.#unreadable.get(key) !== value
    if (this.#isOwnHost(place)) return !sameRecord(this.#ownHost.store, parsed.item.record)
    return !this.#tables.has(key, parsed.item)
  }

  #takeStored(item: KeyValue): ReplicaChange | undefined {
    const read = this.#read(item)
    return read && this.#takeRead(read)
  }

  #takeRead(read: Read): ReplicaChange | undefined {
    this.#cache.add(read.key, read.value, read.modRevision)
    return this.#take(read)
  }

  #takeRemoved(key: string, modRevision: number): ReplicaChange | undefined {
    const parsed = this.#placeOf(key)
    if (parsed === undefined) return undefined
    this.#cache.add(key, undefined, modRevision)
    this.#unreadable.delete(key)
    if (this.#isOwnHost(parsed)) return this.#takeOwnHost({ ...this.#ownHost, store: undefined })
    return this.#tables.remove(key, parsed)
  }

  /** Takes in what the store says at a key. What cannot be read counts as absent, and is told once. */
  #take({ key, value, place, parsed }: Read): ReplicaChange | undefined {
    const own = this.#isOwnHost(place)
    if (parsed.ok) {
      this.#unreadable.delete(key)
      if (!own || parsed.item.kind !== 'host') return this.#tables.put(key, parsed.item)
      return this.#takeOwnHost({ ...this.#ownHost, store: parsed.item.record })
    }
    if (this.#unreadable.get(key) !== value && this.#unreadable.size < MOST_UNREADABLE) {
      this.#log.warn('record ignored', { key, error: parsed.problem })
      this.#unreadable.set(key, value)
    }
    if (own) return this.#takeOwnHost({ ...this.#ownHost, store: undefined })
    return this.#tables.remove(key, place)
  }

  /** Where the key belongs; undefined for what is not for the replica. */
  #placeOf(key: string): ParsedKey | undefined {
    const parsed = readKey(key)
    if (parsed === undefined) this.#log.debug('unknown key', { key })
    if (parsed === undefined || parsed === 'unread') return undefined
    return isOfHostRecord(parsed) && parsed.hostId === this.hostId ? undefined : parsed
  }

  #isOwnHost(parsed: ParsedKey): boolean {
    return parsed.kind === 'host' && parsed.hostId === this.hostId
  }

  #finishListing(): void {
    this.#complete = true
    this.#ready.resolve()
  }

  #tell(changes: readonly ReplicaChange[]): void {
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
  }
}
