/**
 * Follows the container engine of this host and makes both sides agree: networks, labels, and what the engine
 * forgot. One session lasts as long as the engine's stream of events: it begins with everything that there is, then
 * follows what is told, and looks at everything again once in a while. Stands outside of every call of an engine,
 * and nobody waits for it.
 */

import type { DockerView } from '../../control/docker-view.ts'
import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, messageOf, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Wakeup } from '../../lib/wakeup.ts'
import type { ReplicaChange } from '../../store/replica/replica.ts'
import { Applier } from './applier.ts'
import { EngineApi } from './engine-api.ts'
import type { FollowerControl, FollowerReplica } from './engine-control.ts'
import type { EngineEvent, InspectedNetwork, ListedNetwork } from './engine-shapes.ts'
import { Labeller } from './labeller.ts'
import { type NetworkState, planNetworks } from './network-plan.ts'
import { findOrphans, GRACE_MS, type Orphans } from './orphans.ts'
import type { Memory } from './remembered-ids.ts'
import { sweep } from './sweep.ts'
import { viewOf } from './view.ts'

export interface DockerWatcherOptions {
  /** Path of the engine's socket. */
  readonly socketPath: string
  /** Name under which the engine knows this program as a driver. */
  readonly driver: string
  /** Path at which the engine finds the driver. */
  readonly pluginSocket?: string
  /** False when the engine finds no driver: then no network is made on it. */
  readonly served: boolean
  readonly control: FollowerControl
  readonly replica: FollowerReplica
  /** Survives the daemon. */
  readonly memory: Memory
  /** What is not wired on this host; asked when somebody wants to see it. */
  readonly hints: () => readonly string[]
  readonly clock: Clock
  readonly log: Log
}

/** How often everything is looked at, whatever was told. */
const PERIOD_MS = 60_000
/** What happens within this time is looked at once. */
const GATHER_MS = 20
const SHORTEST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000
/** After something could not be done, at first; then twice as long each time. */
const RETRY_MS = 1_000
/** Looks that follow each other because the one before changed something. */
const MOST_IN_A_ROW = 4
/** Under which the engine's own mark is remembered: a network it makes when it knows nothing, and keeps. */
const ENGINE_MEMORY = 'docker.engine'
const INSPECTIONS_AT_ONCE = 8

export class DockerWatcher implements AsyncDisposable {
  readonly #options: DockerWatcherOptions
  readonly #log: Log
  readonly #stop = new AbortController()
  readonly #api: EngineApi
  readonly #applier: Applier
  readonly #labeller: Labeller
  readonly #unsubscribe: () => void
  readonly #task: Promise<void>
  /** Own records of networks on the engine: the engine's id to ours. */
  #bound: ReadonlyMap<string, string>
  readonly #manage = new Wakeup()
  readonly #label = new Wakeup()
  readonly #touched = { containers: new Set<string>(), networks: new Set<string>() }
  #engine: DockerView['engine']
  #states: readonly NetworkState[] = []
  #waiting: Orphans['waiting'] = []
  /** When nobody listened, last: the engine's present session began later. Milliseconds since 1970. */
  #awayMs = 0

  constructor(options: DockerWatcherOptions) {
    const { socketPath, control, replica, driver, memory } = options
    this.#options = options
    this.#log = options.log.child('engine')
    this.#api = new EngineApi(socketPath, this.#stop.signal)
    this.#applier = new Applier({ api: this.#api, control, log: this.#log, driver, memory })
    this.#labeller = new Labeller({ api: this.#api, control, log: this.#log })
    this.#engine = { state: 'away', socket: socketPath, reason: 'not asked yet' }
    this.#bound = this.#own()
    this.#unsubscribe = replica.subscribe((changes) => this.#changed(changes))
    this.#task = this.#run()
  }

  get view(): DockerView {
    const { driver, pluginSocket, control, hints } = this.#options
    return viewOf({
      engine: this.#engine,
      plugin: { driver, ...(pluginSocket === undefined ? {} : { socket: pluginSocket }) },
      networks: control.listNetworks(),
      states: this.#states,
      failures: this.#applier.failures,
      endpoints: control.listEngineEndpoints(),
      waiting: this.#waiting,
      hints: hints(),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('closing'))
    this.#unsubscribe()
    await this.#task
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#stop
    for (let pauseMs = SHORTEST_PAUSE_MS; !signal.aborted; ) {
      try {
        await this.#session()
        pauseMs = SHORTEST_PAUSE_MS
      } catch (error) {
        if (signal.aborted) return
        if (isNetworkError(error)) this.#isAway(error)
        else this.#log.error('following the engine failed', { error })
        pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }

  #isAway(error: NetworkError): void {
    const { clock, socketPath } = this.#options
    const { errno } = error.details
    if (errno === 'ECONNREFUSED' || errno === 'ENOENT') this.#awayMs = clock.wallMs()
    if (this.#engine.state === 'connected') {
      this.#log.info('engine does not answer', { error: error.message })
    }
    this.#engine = { state: 'away', socket: socketPath, reason: error.message }
  }

  /** From the first answer of the engine to the end of its events; throws when it does not answer. */
  async #session(): Promise<void> {
    const { socketPath } = this.#options
    const { engine, api } = await this.#api.connect()
    const over = new AbortController()
    const signal = AbortSignal.any([this.#stop.signal, over.signal])
    const events = await this.#api.events(signal)
    if (this.#engine.state !== 'connected') this.#log.info('engine answers', { version: engine })
    this.#engine = { state: 'connected', socket: socketPath, version: engine, apiVersion: api }
    const parts = [this.#follow(events), this.#keepManaged(signal), this.#keepLabelled(signal)]
    try {
      await Promise.race(parts)
    } finally {
      over.abort(new Error('the engine’s session is over'))
      await Promise.allSettled(parts)
    }
    this.#isAway(new NetworkError('unavailable', 'The engine ended the connection'))
  }

  async #follow(events: AsyncIterable<EngineEvent>): Promise<void> {
    for await (const { type, action, id, attributes } of events) {
      if (type === 'network' && (action === 'create' || action === 'destroy')) this.#manage.ring()
      const joins = type === 'network' && action === 'connect'
      if (joins && this.#isOurs(attributes['type'] ?? '')) {
        this.#touched.networks.add(id)
        this.#touched.containers.add(attributes['container'] ?? '')
        this.#label.ring()
      }
      if (type === 'container' && (action === 'start' || action === 'rename')) {
        this.#touched.containers.add(id)
        this.#label.ring()
      }
    }
  }

  /** Of the cluster: networks come and go, and users take them off this engine. */
  #changed(changes: readonly ReplicaChange[]): void {
    const { hostId } = this.#options.replica
    let concerned = false
    for (const change of changes) {
      if (change.kind === 'network' || change.kind === 'all') concerned = true
      else if (change.kind === 'engine-network' && change.hostId === hostId) concerned = true
    }
    if (!concerned) return
    const before = this.#bound
    this.#bound = this.#own()
    for (const [engineId, networkId] of before) {
      if (this.#bound.has(engineId) || this.#applier.removing.has(engineId)) continue
      if (this.#applier.creating.has(networkId)) continue
      const wanted = this.#options.replica.network(networkId)?.docker !== undefined
      if (wanted) this.#applier.takenAway.add(networkId)
    }
    this.#manage.ring()
  }

  async #keepLabelled(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const { containers, networks } = this.#touched
    for (;;) {
      await this.#label.wait(clock, undefined, signal)
      await clock.sleep(GATHER_MS, signal)
      const [ids, networkIds] = [[...containers].filter((id) => id !== ''), [...networks]]
      containers.clear()
      networks.clear()
      try {
        await this.#labeller.look(ids, networkIds)
      } catch (error) {
        if (!isNetworkError(error)) throw error
        this.#log.debug('containers not asked', { error: error.message })
        this.#manage.ring() // looks at all of them
      }
    }
  }

  async #keepManaged(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    let retryMs = RETRY_MS
    for (let row = 1; ; ) {
      const { changed, done } = await this.#look()
      if (changed && done && row < MOST_IN_A_ROW) {
        row++
        continue
      }
      row = 1
      retryMs = done ? RETRY_MS : Math.min(2 * retryMs, PERIOD_MS)
      const due = this.#waiting.map(({ dueMs }) => dueMs - clock.wallMs() + GATHER_MS)
      const pauseMs = Math.max(GATHER_MS, Math.min(done ? PERIOD_MS : retryMs, ...due))
      await this.#manage.wait(clock, pauseMs, signal)
      await clock.sleep(GATHER_MS, signal)
    }
  }

  /** Looks at everything once and does what is due; throws when the engine does not say what it has. */
  async #look(): Promise<{ readonly changed: boolean; readonly done: boolean }> {
    const { control, replica, clock, memory, served } = this.#options
    const own = control.listEngineEndpoints()
    const pending = control.pendingPools()
    const startedMs = clock.wallMs()
    const listed = await this.#api.networks()
    const mark = listed.find(({ driver }) => driver === 'null')?.id
    if (mark === undefined) {
      throw new NetworkError('unavailable', 'The engine does not list its networks yet')
    }
    const { inspected, missing } = await this.#inspect(listed)
    const containers = await this.#api.containers()
    const sessionMs = Math.max(this.#awayMs, sessionStartMs(listed))

    const bound = this.#ownRecords()
    const unseen = bound.filter(({ id }) => missing.has(id)).map(({ networkId }) => networkId)
    const orphans = findOrphans({
      ...{ own, pending, inspected, sessionMs },
      nowMs: startedMs,
      complete: missing.size === 0,
      unseen: new Set(unseen),
      // One that ended while nobody could be told keeps the ids that it had.
      listed: new Set(
        containers.flatMap(({ running, endpointIds }) => (running ? endpointIds : [])),
      ),
    })
    this.#waiting = orphans.waiting
    const swept = await sweep(orphans, { control, log: this.#log })
    await this.#labeller.apply(
      containers,
      inspected.flatMap(({ endpoints }) => endpoints),
    )
    if (!replica.complete) return { changed: false, done: swept }

    const known = memory.get(ENGINE_MEMORY)
    const { actions, states } = planNetworks({
      networks: [...replica.networks()],
      ...{ bound, listed, isOurs: (driver: string) => this.#isOurs(driver) },
      takenAway: this.#applier.takenAway.all,
      settledMs: Math.max(sessionMs, startedMs - GRACE_MS),
      sameEngine: known === undefined || known === mark,
    })
    this.#states = states
    const possible = actions.filter(({ kind }) => kind !== 'create' || served)
    const applied = await this.#applier.apply(possible)
    if (applied && known !== mark) memory.set(ENGINE_MEMORY, mark)
    return { changed: possible.length > 0, done: applied && swept }
  }

  /** Every network that uses one of our drivers; `missing` are those that could not be looked at. */
  async #inspect(listed: readonly ListedNetwork[]): Promise<{
    readonly inspected: readonly InspectedNetwork[]
    readonly missing: ReadonlySet<string>
  }> {
    const waiting = listed.filter(({ driver, ipamDriver }) => {
      return this.#isOurs(driver) || this.#isOurs(ipamDriver)
    })
    const inspected: InspectedNetwork[] = []
    const missing = new Set<string>()
    const ask = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        try {
          inspected.push(await this.#api.network(next.id))
        } catch (error) {
          if (!isNetworkError(error) || error.code === 'timeout') throw error
          if (error.code === 'unavailable') throw error
          this.#log.debug('network not inspected', { network: next.name, error: messageOf(error) })
          missing.add(next.id)
        }
      }
    }
    await Promise.all(Array.from({ length: INSPECTIONS_AT_ONCE }, ask))
    return { inspected, missing }
  }

  /** As a managed plug-in its name has a tag. */
  #isOurs(driver: string): boolean {
    const { driver: name } = this.#options
    return driver === name || driver.startsWith(`${name}:`)
  }

  #ownRecords() {
    const { replica } = this.#options
    return [...replica.engineNetworks()].filter(({ hostId }) => hostId === replica.hostId)
  }

  #own(): ReadonlyMap<string, string> {
    return new Map(this.#ownRecords().map(({ id, networkId }) => [id, networkId]))
  }
}

/**
 * When the engine started, as far as its networks tell: it makes its network `bridge` anew whenever it starts,
 * unless containers have outlived it. Milliseconds since 1970; 0 when nothing tells.
 */
function sessionStartMs(listed: readonly ListedNetwork[]): number {
  const bridge = listed.find(({ name, driver }) => name === 'bridge' && driver === 'bridge')
  const madeMs = Date.parse(bridge?.createdAt ?? '')
  return Number.isNaN(madeMs) ? 0 : madeMs
}
