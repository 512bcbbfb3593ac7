/**
 * What the dataplane's thread does, without the thread: apply, audit, and answer to the kernel's notices.
 * A notice about a thing of ours that is not as wanted brings one repair; what tells of nothing (entries of
 * maps, insides of namespaces) is compared when the agent asks for an audit, a few at a time.
 */

import { join } from 'node:path'
import type { Kind } from '../hoststate/state.ts'
import { KIND_ORDER, MARK } from '../hoststate/state.ts'
import type { Link } from '../kernel/kernel.ts'
import type { Notice } from '../kernel/notices.ts'
import { killAt } from '../lib/failpoint.ts'
import { take } from '../lib/take.ts'
import type { HostFacts } from '../model/host.ts'
import { Closing } from './closing.ts'
import { type Context, DeviceIndexes, HeldSandboxes } from './context.ts'
import type { OpenDatapath } from './datapath.ts'
import type { DataplaneSettings, DropCounter } from './dataplane.ts'
import { DeviceLinks } from './device-links.ts'
import { DoubtedPairs } from './doubted-pairs.ts'
import { EnginePairs } from './engine-pairs.ts'
import { FactsWatch, isOurs } from './facts.ts'
import { Hooks } from './hooks.ts'
import { type OwedFlow, OwedFlows } from './owed-flows.ts'
import type { Aside } from './put-aside.ts'
import type { Failure, ObjectChange, Repair } from './reconcile.ts'
import { OTHERS_KINDS, Reconciler } from './reconcile.ts'
import { allResources } from './resources/all.ts'
import { isHooked, isSound } from './resources/veths.ts'
import { gatewaySuspects, TABLE_KINDS } from './suspicions.ts'
import { SwitchesWatch } from './switches-watch.ts'
import type { Underlay } from './underlay.ts'
import { UnderlayWatch } from './underlay-watch.ts'

/** Notices come in flocks: one repair answers all of a flock. */
const FLOCK_MS = 50
/** The kernel tells nobody of a path MTU that it learned: whether it may have is asked this often. */
const PATH_PERIOD_MS = 1_000
/** Kinds of which there are many: compared a few at a time, spread over the period between two audits. */
const SPREAD_KINDS: readonly Kind[] = ['interior', 'endpoint']
const STEPS_PER_PERIOD = 10
const LONGEST_STEP_MS = 5_000

/** Kinds that are compared at once. */
const SWEPT_KINDS: readonly Kind[] = KIND_ORDER.filter((kind) => !SPREAD_KINDS.includes(kind))

/** These stand among many devices, and whoever asks for all of a kind reads every device. */
const FEW_AMONG_MANY: readonly Kind[] = ['gateway']

/** Every device that goes up brings these; none of them leads to another host. */
const LINK_ROUTES: readonly string[] = ['ff00::/8', 'fe80::/64']

export interface EngineEvents {
  repaired(repair: Repair): void
  /** Pairs are marked as dying, or connections to be forgotten, and nobody waits for it. */
  left(stale: readonly OwedFlow[]): void
  /** Sentences for the operator: what a firewall keeps us from, as of now. */
  obstacles(warnings: readonly string[]): void
  facts(facts: HostFacts): void
  underlay(underlay: Underlay): void
}

export class Engine {
  readonly #context: Context
  readonly #datapath: OpenDatapath
  readonly #links: DeviceLinks
  readonly #reconciler: Reconciler
  readonly #events: EngineEvents
  readonly #stopped = new AbortController()
  readonly #facts: FactsWatch
  readonly #underlay: UnderlayWatch
  readonly #suspects = new Set<Kind>()
  readonly #doubted = new DoubtedPairs(FLOCK_MS, (name) => this.#lookAtPair(name))
  /** Pairs marked as dying since somebody was told. */
  readonly #dying: Aside[] = []
  /** Connections to be forgotten since somebody was told; at first those that an earlier run still owed. */
  readonly #stale: OwedFlow[]
  #flock: ReturnType<typeof setTimeout> | undefined
  readonly #steps = new Map<Kind, ReturnType<typeof setTimeout>>()
  #synced = false
  readonly #auditPeriodMs: number
  #tooBigHints = 0
  readonly #switches: SwitchesWatch

  constructor(datapath: OpenDatapath, settings: DataplaneSettings, events: EngineEvents) {
    const { kernel } = datapath
    this.#datapath = datapath
    this.#events = events
    this.#auditPeriodMs = settings.auditPeriodMs
    this.#links = new DeviceLinks(settings.bpfDirectory, datapath)
    this.#context = {
      kernel,
      datapath,
      devices: new DeviceIndexes(kernel),
      sandboxes: new HeldSandboxes(kernel),
      enginePairs: new EnginePairs(kernel, settings.run),
      hooks: new Hooks(settings.bpfDirectory, settings.runDirectory),
      closing: new Closing(settings.bpfDirectory),
      deviceLinks: this.#links,
      settingsFile: join(settings.runDirectory, 'forwarding.json'),
      tableFile: join(settings.runDirectory, 'table.sha256'),
    }
    const owed = new OwedFlows(join(settings.runDirectory, 'owed'))
    this.#stale = [...owed.read()]
    this.#reconciler = new Reconciler(
      allResources(this.#context, {
        dying: (aside) => this.#dying.push(aside),
        stale: (flows) => this.#stale.push(...owed.note(flows)),
        obstacles: (warnings) => events.obstacles(warnings),
        remade: (device) => this.#remade(device),
      }),
      killAt(settings.failpoint),
    )
    const signal = this.#stopped.signal
    this.#facts = new FactsWatch(kernel, (facts) => events.facts(facts))
    this.#underlay = new UnderlayWatch(kernel, settings.underlay, (found) => events.underlay(found))
    void this.#listen(kernel.watch(['links', 'addresses', 'routes', 'rules', 'nft', 'tc'], signal))
    this.#switches = new SwitchesWatch(kernel)
    const paths = setInterval(() => {
      this.#askPaths()
      if (this.#switches.mayHaveChanged()) this.#repair(['forwarding', 'gateway'])
    }, PATH_PERIOD_MS)
    signal.addEventListener('abort', () => {
      clearInterval(paths)
      this.#switches[Symbol.dispose]()
      clearTimeout(this.#flock)
      this.#doubted.stop()
      this.#facts[Symbol.dispose]()
      this.#underlay[Symbol.dispose]()
      for (const step of this.#steps.values()) clearTimeout(step)
    })
  }

  /** `held`: namespaces that requests under way keep open, by inode. */
  apply(
    changes: readonly ObjectChange[],
    held: ReadonlyMap<number, number>,
  ): {
    failures: readonly Failure[]
    asides: readonly Aside[]
    stale: readonly OwedFlow[]
  } {
    const failures = this.#context.sandboxes.holding(held, () =>
      this.#reconciler.apply(this.#admitted(changes)),
    )
    return { failures, asides: this.#dying.splice(0), stale: this.#stale.splice(0) }
  }

  /** A part of everything there should be; nothing is done before `resync`. */
  announce(changes: readonly ObjectChange[]): void {
    this.#reconciler.announce(this.#admitted(changes))
  }

  resync(held: ReadonlyMap<number, number>, spareOthers: boolean): readonly Failure[] {
    const { failures } = this.#context.sandboxes.holding(held, () =>
      this.#reconciler.resync(spareOthers),
    )
    // Links that an earlier run had put aside and not yet deleted.
    this.#events.left(this.#stale.splice(0))
    this.#dying.length = 0
    this.#synced = true
    return failures
  }

  /** Before the first resync nothing is known to be wanted, and nothing is compared. */
  audit(kinds: readonly Kind[]): Repair {
    this.#facts.suspect()
    if (!this.#synced) return { repaired: {}, failures: [] }
    for (const kind of kinds) this.#auditInSteps(kind)
    this.#abandonGone(kinds)
    const repair = this.#reconciler.audit({
      kinds: kinds.filter((kind) => SWEPT_KINDS.includes(kind)),
    })
    this.#leave()
    return repair
  }

  /** Compares everything that may stand for other hosts, leftovers included. */
  sweep(): Repair {
    if (!this.#synced) return { repaired: {}, failures: [] }
    return this.#reconciler.audit({ kinds: [...OTHERS_KINDS, 'endpoint'] })
  }

  drops(): readonly DropCounter[] {
    return this.#datapath.drops().flatMap(({ ifindex, reason, packets, bytes }) => {
      const device = this.#context.devices.nameOf(ifindex)
      return device === undefined ? [] : [{ device, reason, packets, bytes }]
    })
  }

  stop(): void {
    this.#stopped.abort()
    this.#links[Symbol.dispose]()
    this.#context.hooks[Symbol.dispose]()
    this.#datapath[Symbol.dispose]()
  }

  async #listen(notices: AsyncIterable<Notice>): Promise<void> {
    for await (const notice of notices) {
      if (this.#stopped.signal.aborted) return
      const ofHost = this.#concernsHost(notice)
      if (ofHost) {
        this.#facts.suspect()
        this.#underlay.suspect()
      }
      if (this.#synced) this.#heard(notice, ofHost)
    }
  }

  /** A device that goes down takes its routes along without a word of each; what we put ourselves is no news. */
  #concernsHost(notice: Notice): boolean {
    switch (notice.kind) {
      case 'link':
        return !isOurs(notice.link)
      case 'route':
        return !LINK_ROUTES.includes(notice.route.destination) && !this.#isOnGateway(notice.route)
      case 'address':
        return !this.#isOnGateway(notice.address)
      default:
        return notice.kind === 'lost'
    }
  }

  /** The host's addresses in its networks come and go with every block, each with a route. */
  #isOnGateway({ device }: { readonly device: number | undefined }): boolean {
    const name = device === undefined ? undefined : this.#context.devices.knownName(device)
    return name !== undefined && this.#reconciler.wantedAt('gateway', name) !== undefined
  }

  #heard(notice: Notice, ofHost: boolean): void {
    const suspects = gatewaySuspects(
      notice,
      (kind, key) => this.#reconciler.wantedAt(kind, key),
      (device) => this.#context.devices.nameOf(device),
    )
    if (suspects.length > 0) this.#suspect(suspects)
    switch (notice.kind) {
      case 'link':
        this.#heardOfLink(notice.link)
        break
      case 'address':
      case 'route':
        if (ofHost) this.#suspect(['peer'])
        break
      case 'nft':
        this.#heardOfTable(notice)
        break
      case 'tc':
        if (notice.change === 'remove') this.#heardOfLostHook(notice.device)
        break
      case 'lost':
        this.#suspect(SWEPT_KINDS)
        break
      default:
        break // neighbours are no business of ours
    }
  }

  /** Our own changes are as wanted; a firewall's may have taken our rule along. */
  #heardOfTable({ table, elements, own }: Notice & { readonly kind: 'nft' }): void {
    if (own) return
    if (table === undefined || table === MARK.table) this.#suspect(TABLE_KINDS)
    if (table !== MARK.table && !elements) this.#suspect(['passage'])
  }

  #heardOfLink(link: Link): void {
    if (this.#reconciler.wantedAt('gateway', link.name) !== undefined) return
    const veth = this.#reconciler.wantedAt('veth', link.name)
    if (veth?.kind !== 'veth') {
      if (this.#carriesOurs(link.name)) {
        this.#suspect(['vxlan-device', 'config', 'block', 'program', 'peer'])
      }
      return
    }
    this.#doubted.hear(link.name, isSound(veth, link))
  }

  #lookAtPair(name: string): void {
    const veth = this.#reconciler.wantedAt('veth', name)
    if (veth?.kind !== 'veth' || isSound(veth, this.#context.kernel.links.get(name))) return
    this.#restore('veth', name)
  }

  /** A hook or filter went: that of a device that is being removed is none of ours any more. */
  #heardOfLostHook(device: number | undefined): void {
    const name = device === undefined ? undefined : this.#context.devices.nameOf(device)
    if (device === undefined || (name !== undefined && this.#carriesOurs(name))) {
      this.#suspect(['block', 'program'])
    } else if (name !== undefined && this.#isUnhooked(name, device)) {
      this.#restore('veth', name)
    } else if (name !== undefined && this.#reconciler.wantedAt('gateway', name) !== undefined) {
      this.#suspect(['gateway'])
    }
  }

  /** True for the end of a wanted pair at which something is missing: a limit that was lifted is not. */
  #isUnhooked(name: string, device: number): boolean {
    const veth = this.#reconciler.wantedAt('veth', name)
    return veth?.kind === 'veth' && !isHooked(this.#context.kernel, veth, device)
  }

  /** True for devices, endpoints' apart, on which something of ours stands. */
  #carriesOurs(name: string): boolean {
    const ours: readonly string[] = [MARK.vxlanDevice, MARK.anchorDevice, MARK.anchorPeer]
    return (
      ours.includes(name) || this.#reconciler.wantedAt('program', `device ${name}`) !== undefined
    )
  }

  #admitted(changes: readonly ObjectChange[]): readonly ObjectChange[] {
    return changes.map((change) => this.#context.enginePairs.admit(change))
  }

  /** What hangs on a pair that went with its container goes too; false when it has not gone. */
  #abandon(device: string): boolean {
    const want = this.#reconciler.wantedAt('veth', device)
    if (want?.kind !== 'veth' || !this.#context.enginePairs.hasGone(want)) return false
    const failures = this.#reconciler.abandon('veth', device)
    this.#tell({ repaired: {}, failures })
    this.#suspect(['device'])
    return true
  }

  /** Before pairs are compared: those of engines that went unnoticed. */
  #abandonGone(kinds: readonly Kind[]): void {
    if (!kinds.includes('veth')) return
    const devices = take(this.#reconciler.keysOf('veth'), Number.POSITIVE_INFINITY)
    for (const device of devices) this.#abandon(device)
  }

  /** Puts a pair and all that hangs on it again. A pair made anew leaves an entry of its old number. */
  #restore(kind: 'veth' | 'gateway', device: string): void {
    if (kind === 'veth' && this.#abandon(device)) return
    const failures = this.#reconciler.reapply(kind, device)
    this.#events.repaired({ repaired: failures.length === 0 ? { [kind]: 1 } : {}, failures })
    this.#suspect([kind === 'veth' ? 'device' : 'gateway-entry'])
  }

  /** Once what made it anew is through, all that goes with the gateway is put under its new number. */
  #remade(device: string): void {
    setTimeout(() => {
      if (!this.#stopped.signal.aborted) this.#restore('gateway', device)
    })
  }

  #suspect(kinds: readonly Kind[]): void {
    for (const kind of kinds) this.#suspects.add(kind)
    this.#flock ??= setTimeout(() => {
      const suspects = [...this.#suspects]
      this.#suspects.clear()
      this.#flock = undefined
      this.#repair(suspects)
    }, FLOCK_MS)
  }

  #repair(kinds: readonly Kind[]): void {
    if (!this.#synced) return
    this.#abandonGone(kinds)
    this.#tell(this.#reconciler.audit({ kinds, inPlace: FEW_AMONG_MANY }))
  }

  /** Asks the routes to all peers again when a router may have told of a smaller path. */
  #askPaths(): void {
    const hints = this.#context.kernel.tooBigHints()
    if (hints === this.#tooBigHints) return
    this.#tooBigHints = hints
    this.#repair(['peer'])
  }

  /** Compares what there is much of a part at a time, so that it is through once in a period. */
  #auditInSteps(kind: Kind): void {
    if (!SPREAD_KINDS.includes(kind) || !this.#synced || this.#steps.has(kind)) return
    const stepMs = Math.min(LONGEST_STEP_MS, this.#auditPeriodMs / STEPS_PER_PERIOD)
    const keys = this.#reconciler.keysOf(kind)
    const size = Math.ceil((this.#reconciler.countOf(kind) * stepMs) / this.#auditPeriodMs)
    const next = (): void => {
      const part = take(keys, size)
      this.#steps.delete(kind)
      if (part.length === 0) return
      this.#tell(this.#reconciler.audit({ kind, keys: part }))
      this.#steps.set(kind, setTimeout(next, stepMs))
    }
    next()
  }

  #leave(): void {
    const stale = this.#stale.splice(0)
    if (this.#dying.splice(0).length > 0 || stale.length > 0) this.#events.left(stale)
  }

  #tell(repair: Repair): void {
    this.#leave()
    if (Object.keys(repair.repaired).length > 0 || repair.failures.length > 0) {
      this.#events.repaired(repair)
    }
  }
}
