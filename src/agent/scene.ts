/** A host in a test: its journal in a file, a client of the memory store, a replica, a lease, a publisher. */

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log, LogFields } from '../lib/log.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { endpointKey, publicationKey } from '../model/keys.ts'
import type { Publication } from '../model/publication.ts'
import type { Journal } from '../store/journal/journal.ts'
import { openJournal } from '../store/journal/sqlite-journal.ts'
import { MemoryCluster } from '../store/memory.ts'
import { FakeClock } from '../store/replica/fake-clock.ts'
import { host } from '../store/replica/fixtures.ts'
import { createReplica } from '../store/replica/live-replica.ts'
import type { LiveReplica } from '../store/replica/replica.ts'
import type { Store } from '../store/store.ts'
import type { Adoption } from './adopt.ts'
import { openIdentity, registerHost } from './identity.ts'
import { type HostLease, holdLease } from './lease.ts'
import { type Publisher, startPublisher } from './publisher.ts'

export class Scene implements Disposable {
  readonly clock = new FakeClock()
  readonly cluster = new MemoryCluster({ now: () => this.clock.monotonicMs() })
  readonly lines: string[] = []
  readonly directory = mkdtempSync(join(tmpdir(), `ckt-agent-${process.pid}-`))
  #random = 0

  readonly log: Log = {
    debug() {},
    info() {},
    warn: (message: string, _fields?: LogFields) => void this.lines.push(message),
    error: (message: string, _fields?: LogFields) => void this.lines.push(message),
    child: () => this.log,
  }

  /** Different bytes at every call, the same ones in every run. */
  readonly random = (count: number): Uint8Array => {
    this.#random++
    return Uint8Array.from({ length: count }, (_, i) => (this.#random >> (8 * (i % 4))) & 255)
  }

  path(name: string): string {
    return join(this.directory, name, 'journal.db')
  }

  /** What a backup of a stopped host's state directory, or a cloned disk, would hold. */
  copyState(from: string, to: string): void {
    openJournal({ path: this.path(to) })[Symbol.dispose]()
    copyFileSync(this.path(from), this.path(to))
  }

  removeState(name: string): void {
    rmSync(join(this.directory, name), { recursive: true })
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface AgentOptions {
  /** Names the state directory. */
  readonly state: string
  readonly name?: string
  readonly joinedId?: string
  readonly bootId?: string
  readonly machineId?: string
  readonly store?: Store
  readonly adopt?: (found: Adoption) => readonly Endpoint[]
  /** Of `PublisherOptions`. */
  readonly gatherMs?: number
}

/** The host's state at work. `stop` ends it as a clean stop does, `kill` as a crash. */
export class Agent {
  readonly journal: Journal
  readonly hostId: string
  readonly store: Store
  readonly replica: LiveReplica
  readonly lease: HostLease
  readonly publisher: Publisher
  readonly adoptions: Adoption[]
  readonly #scene: Scene

  private constructor(
    scene: Scene,
    parts: Pick<Agent, 'journal' | 'hostId' | 'store' | 'replica' | 'lease' | 'publisher'>,
    adoptions: Adoption[],
  ) {
    this.#scene = scene
    this.journal = parts.journal
    this.hostId = parts.hostId
    this.store = parts.store
    this.replica = parts.replica
    this.lease = parts.lease
    this.publisher = parts.publisher
    this.adoptions = adoptions
  }

  static async start(scene: Scene, options: AgentOptions): Promise<Agent> {
    const { state, name = state, bootId = 'boot-1', machineId = 'machine-1' } = options
    const { clock, random, log, cluster } = scene
    const store = options.store ?? cluster.client()
    const journal = openJournal({ path: scene.path(state) })
    const joined = options.joinedId === undefined ? {} : { joinedId: options.joinedId }
    const hostId = openIdentity({ journal, machineId, clock, random, ...joined })
    const { underlay, vxlanPort, carriers, version } = host('x')
    const description = { name, underlay, vxlanPort, carriers, version }
    if (journal.get(`/carrick/hosts/${hostId}`) === undefined) {
      await registerHost({ store, journal, hostId, description, clock, random, log })
    }
    const signal = new AbortController().signal
    const common = { store, journal, hostId, clock, random, log, signal }
    const replica = createReplica(common)
    const instance = `instance-${random(4).join('-')}`
    const lease = holdLease({ ...common, bootId, instance })
    const adoptions: Adoption[] = []
    const publisher = startPublisher({
      ...common,
      ...(options.gatherMs === undefined ? {} : { gatherMs: options.gatherMs }),
      lease,
      onListed: (listener) => replica.onListed(listener),
      adopt: async (found) => {
        adoptions.push(found)
        return options.adopt?.(found) ?? []
      },
    })
    const parts = { journal, hostId, store, replica, lease, publisher }
    return new Agent(scene, parts, adoptions)
  }

  /** Commits the endpoint with its publications. */
  attach(endpoint: Endpoint, publications: readonly Publication[] = []): number {
    return this.journal.commit([
      { kind: 'put', key: endpointKey(endpoint), value: JSON.stringify(endpoint) },
      ...publications.map(
        (each) =>
          ({ kind: 'put', key: publicationKey(each), value: JSON.stringify(each) }) as const,
      ),
    ])
  }

  detach(endpoint: Endpoint, publications: readonly Publication[] = []): number {
    return this.journal.commit([
      { kind: 'delete', key: endpointKey(endpoint) },
      ...publications.map((each) => ({ kind: 'delete', key: publicationKey(each) }) as const),
    ])
  }

  async stop(): Promise<void> {
    await this.publisher[Symbol.asyncDispose]()
    await this.lease[Symbol.asyncDispose]()
    await this.replica[Symbol.asyncDispose]()
    this.journal[Symbol.dispose]()
  }

  /** The process is gone: nothing is given back, the lease ends by itself. */
  async kill(): Promise<void> {
    this.#scene.cluster.cut(this.store)
    await this.stop()
  }
}
