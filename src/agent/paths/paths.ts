/**
 * The ways from this host to all others, kept under observation: each in use is probed when it appears, when
 * either end moves, when the other daemon comes to life, and now and then. What is found goes into the plan
 * (sizes, checksums), into this host's status, and to the operator. One timer serves all of them. A host
 * without a sign of life is asked only as long as it answers: it may just be cut off from the store.
 */

import type { Clock } from '../../lib/clock.ts'
import { isNetworkError, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Host } from '../../model/host.ts'
import type { PathReport } from '../../model/path.ts'
import { PROBE_PORT, probeAddress } from '../../model/probe-network.ts'
import { familyOf, type IP } from '../../net/ip.ts'
import { limitsOf, type PathLimits } from '../../plan/paths.ts'
import type { Replica } from '../../store/replica/replica.ts'
import { Doors } from './doors.ts'
import { examinePath, type PathLink } from './examine.ts'
import { type Belief, freshBelief, judge } from './judge.ts'
import type { PathMemory } from './memory.ts'
import { type OpenMailbox, Post } from './post.ts'
import { openStreamDoor, type StreamDoor, streamTo } from './streams.ts'
import { sharedFamilies, type Target, targetKey, targetsOf } from './targets.ts'

export interface PathsOptions {
  readonly replica: Pick<Replica, 'hostId' | 'host' | 'hosts' | 'networks' | 'alive' | 'subscribe'>
  readonly memory: PathMemory
  readonly self: () => Host
  readonly open: OpenMailbox
  /** Is told of news from other hosts, who prove themselves in it. */
  readonly onNews: (body: Uint8Array) => void
  /** Each way is looked at this often, a little more or less. */
  readonly periodMs: number
  readonly clock: Clock
  /** A number of 32 bits. */
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

interface Way {
  target: Target
  belief: Belief
  /** Undefined: not yet. */
  probedAt: string | undefined
  dueMs: number
  running: boolean
  /** The last examination was answered. */
  answers: boolean
  /** Examinations in a row without any answer. */
  silences: number
  rttMs: number | undefined
}

const MOST_AT_ONCE = 4
/** What is new is looked at within this time: hosts that start together do not ask together. */
const SOON_MS = 1_500
const AGAIN_MS = 1_000
/** The runtime's timers know no longer ones than of some weeks. */
const LONGEST_PAUSE_MS = 3_600_000
const FIRST_SILENCE_MS = 4_000
/** A question waits for its answer: this long at first, then some times what an answer took. */
const PATIENCE_MS = { first: 1_000, least: 200, most: 1_500, factor: 4 } as const
const STREAM_MS = 4_000
/** What a record may hold; those with problems first. */
const MOST_REPORTS = 200
const UDP_BYTES = 8
const ANNOUNCE_AFTER_MS = [100, 500, 1_500, 4_000] as const

export class Paths {
  readonly #options: PathsOptions
  readonly #post: Post
  readonly #doors: Doors
  readonly #ways = new Map<string, Way>()
  readonly #listeners: (() => void)[] = []
  #members: ReadonlySet<IP> = new Set()
  #timer: ReturnType<typeof setTimeout> | undefined
  #running = 0

  constructor(options: PathsOptions) {
    this.#options = options
    const { open, onNews, random, log, signal } = options
    const isMember = (address: IP): boolean => this.#members.has(address)
    this.#post = new Post({ open, port: PROBE_PORT, isMember, onNews, random })
    const openDoor = (address: IP): Promise<StreamDoor> =>
      openStreamDoor(address, PROBE_PORT, isMember)
    this.#doors = new Doors({ post: this.#post, openDoor, log, signal })
  }

  /** Begins with what an earlier run of the daemon had found. */
  start(): void {
    const { replica, signal } = this.#options
    const stop = replica.subscribe((changes) => {
      for (const change of changes) {
        if (change.kind === 'alive') this.#wake(change.id)
        else if (change.kind === 'host' || change.kind === 'network' || change.kind === 'all') {
          this.refresh()
        }
      }
    })
    signal.addEventListener('abort', () => {
      stop()
      clearTimeout(this.#timer)
    })
    this.refresh()
  }

  /** Is told when the limits are others than before. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** What the plan should keep to. */
  get limits(): PathLimits {
    return limitsOf(this.#reports())
  }

  /** Every way in use that was looked at, those with problems first. */
  get reports(): readonly PathReport[] {
    const reports = this.#reports()
    const troubled = reports.filter(({ problems }) => problems.length > 0)
    const others = reports.filter(({ problems }) => problems.length === 0)
    return [...troubled, ...others].slice(0, MOST_REPORTS)
  }

  /** Tells all other hosts, from wherever this one is now; some times, since nobody confirms it. */
  announce(body: Uint8Array): void {
    for (const pauseMs of ANNOUNCE_AFTER_MS) {
      const timer = setTimeout(() => this.#tellAll(body), pauseMs)
      this.#options.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
    }
  }

  #tellAll(body: Uint8Array): void {
    const { replica, self } = this.#options
    const own = self()
    for (const host of replica.hosts()) {
      if (host.id === own.id) continue
      for (const { local, remote } of sharedFamilies(own, host)) {
        this.#post.tell(local.address, remote.address, body)
      }
    }
  }

  /** Hosts, networks or this host's underlay may have changed. */
  refresh(): void {
    const { replica, self, signal } = this.#options
    if (signal.aborted) return
    const own = self()
    const targets = targetsOf(own, replica.hosts(), replica.networks())
    const others = [...replica.hosts()].filter(({ id }) => id !== own.id)
    this.#members = new Set(
      others.flatMap(({ index, underlay }) => [
        ...underlay.map(({ address }) => address),
        probeAddress(index),
      ]),
    )
    const keys = new Set(targets.map(targetKey))
    for (const key of this.#ways.keys()) if (!keys.has(key)) this.#ways.delete(key)
    for (const target of targets) this.#follow(target)
    this.#doors.want(
      own.underlay.map(({ address }) => address),
      new Set(targets.map(({ local }) => local)),
    )
    this.#schedule()
  }

  /** A way that is new or leads elsewhere than before is looked at soon. */
  #follow(target: Target): void {
    const key = targetKey(target)
    const way = this.#ways.get(key)
    if (way === undefined) {
      const before = this.#options.memory.of(target)
      const finding = before ?? freshBelief(target.expectedBytes).finding
      this.#ways.set(key, {
        target,
        belief: { finding, doubt: undefined },
        probedAt: before?.probedAt,
        dueMs: this.#soonMs(),
        running: false,
        answers: false,
        silences: 0,
        rttMs: undefined,
      })
      return
    }
    if (JSON.stringify(way.target) === JSON.stringify(target)) return
    const asExpected = way.belief.finding.mtuBytes >= way.target.expectedBytes
    const { mtuBytes, problems } = way.belief.finding
    const fits = asExpected ? target.expectedBytes : Math.min(mtuBytes, target.expectedBytes)
    way.belief = { finding: { mtuBytes: fits, problems }, doubt: undefined }
    way.target = target
    way.silences = 0
    way.dueMs = this.#soonMs()
  }

  /** The daemon of a host came to life: it answers now. */
  #wake(hostId: string): void {
    for (const way of this.#ways.values()) {
      if (way.target.hostId !== hostId) continue
      way.silences = 0
      way.dueMs = Math.min(way.dueMs, this.#soonMs())
    }
    this.#schedule()
  }

  #soonMs(): number {
    return this.#nowMs() + this.#fraction() * SOON_MS
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#options.signal.aborted || this.#running >= MOST_AT_ONCE) return
    let dueMs = Number.POSITIVE_INFINITY
    for (const way of this.#ways.values()) {
      if (this.#isWaiting(way)) dueMs = Math.min(dueMs, way.dueMs)
    }
    if (!Number.isFinite(dueMs)) return
    const pauseMs = Math.min(Math.max(0, dueMs - this.#nowMs()), LONGEST_PAUSE_MS)
    this.#timer = setTimeout(() => this.#begin(), pauseMs)
  }

  #isWaiting({ running, answers, target }: Way): boolean {
    return !running && (answers || this.#options.replica.alive(target.hostId) !== undefined)
  }

  #begin(): void {
    const nowMs = this.#nowMs()
    const due = [...this.#ways.values()].filter((way) => this.#isWaiting(way) && way.dueMs <= nowMs)
    due.sort((a, b) => a.dueMs - b.dueMs)
    for (const way of due.slice(0, MOST_AT_ONCE - this.#running)) {
      way.running = true
      this.#running++
      void this.#look(way)
    }
    this.#schedule()
  }

  async #look(way: Way): Promise<void> {
    const { log } = this.#options
    const { target } = way
    try {
      await this.#post.open(target.local)
      const found = await examinePath(this.#linkOf(way), {
        expectedBytes: target.expectedBytes,
        limitBytes: way.belief.finding.mtuBytes,
        bare: target.carrier === 'direct',
      })
      if (way.target === target) this.#learn(way, judge(way.belief, found, target.expectedBytes))
    } catch (error) {
      if (!isNetworkError(error, 'unavailable')) throw error
      log.debug('path not probed', { host: target.hostId, error: messageOf(error) })
      way.dueMs = this.#nowMs() + AGAIN_MS * 2 ** Math.min(way.silences++, 5)
    } finally {
      way.running = false
      this.#running--
      this.#schedule()
    }
  }

  #learn(way: Way, { belief, again }: ReturnType<typeof judge>): void {
    const { log, periodMs, clock, memory } = this.#options
    const before = way.belief.finding
    const silent = belief.finding.problems.includes('no-answer')
    way.belief = belief
    way.probedAt = new Date(clock.wallMs()).toISOString()
    way.answers = !silent
    way.silences = silent ? way.silences + 1 : 0
    const pauseMs = again
      ? AGAIN_MS
      : silent
        ? Math.min(periodMs, FIRST_SILENCE_MS * 2 ** Math.min(way.silences - 1, 10))
        : periodMs
    way.dueMs = this.#nowMs() + pauseMs * (0.8 + 0.4 * this.#fraction())
    if (JSON.stringify(before) === JSON.stringify(belief.finding)) return
    memory.keep(this.#reports())
    const { hostId, carrier } = way.target
    const { mtuBytes, problems } = belief.finding
    log.info('path changed', { host: hostId, carrier, mtuBytes, problems: problems.join() })
    for (const listener of this.#listeners) listener()
  }

  #linkOf(way: Way): PathLink {
    const { clock, random } = this.#options
    const post = this.#post
    const { target } = way
    const { local, remote, overheadBytes } = target
    const headerBytes = overheadBytes + (familyOf(local) === 4 ? 20 : 40) + UDP_BYTES
    return {
      async ask({ sizeBytes, checksum, inPieces = false }) {
        const how = { sumNow: checksum === 'done', inPieces }
        const startMs = clock.monotonicMs()
        const passed = await post.ask(local, remote, sizeBytes - headerBytes, how, patienceMs(way))
        if (passed) way.rttMs = clock.monotonicMs() - startMs
        return passed
      },
      stream: () => streamTo({ local, remote, port: PROBE_PORT }, random(), STREAM_MS),
    }
  }

  #reports(): PathReport[] {
    return Array.from(this.#ways.values()).flatMap(({ target, belief, probedAt }) => {
      if (probedAt === undefined) return []
      const { hostId, carrier, expectedBytes } = target
      return [{ hostId, carrier, expectedBytes, ...belief.finding, probedAt }]
    })
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  #fraction(): number {
    return this.#options.random() / 2 ** 32
  }
}

function patienceMs({ rttMs }: Way): number {
  if (rttMs === undefined) return PATIENCE_MS.first
  const patience = PATIENCE_MS.least + rttMs * PATIENCE_MS.factor
  return Math.min(PATIENCE_MS.most, patience)
}
