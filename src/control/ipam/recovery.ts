/**
 * What happens when the shared store went back in time (restored from a backup): blocks that hosts own are
 * missing from it, and a new claim could be granted a block somebody lives in. The first host that notices
 * raises a marker that holds up all new claims. Every host claims again what its endpoints have had all along
 * and says so; when all have, the marker goes.
 */

import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { ObjectFailure } from '../../model/host.ts'
import { keys, ROOT } from '../../model/keys.ts'
import type { Network } from '../../model/network.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { Replica } from '../../store/replica/replica.ts'
import type { KeyValue, Store } from '../../store/store.ts'
import type { Asker } from './asker.ts'
import type { Claimer } from './claimer.ts'
import { absent, unchanged } from './claims.ts'
import { ipamKeys } from './ipam-keys.ts'
import type { OwnAddress, Territory } from './territory.ts'

/** After so many attempts another host's claim counts as standing. */
const FINAL_ATTEMPTS = 3

export interface RecoveryDeps {
  readonly store: Store
  readonly replica: Replica
  readonly territory: Territory
  readonly claimer: Claimer
  readonly asker: Asker
  readonly hostId: string
  readonly now: () => string
  readonly log: Log
}

export class Recovery {
  readonly #deps: RecoveryDeps
  #high = 0
  #noticed = false
  #suspect = true
  /** `changes` of the territory when all own addresses were last found covered. */
  #coveredAt = -1
  #open: KeyValue | undefined
  #done = new Set<string>()
  readonly #failures = new Map<string, ObjectFailure>()

  constructor(deps: RecoveryDeps) {
    this.#deps = deps
    this.#high = deps.replica.revision
  }

  /** Endpoints whose address another host owns since the store was restored. */
  get failures(): readonly ObjectFailure[] {
    return [...this.#failures.values()]
  }

  /** True while a store that went back in time may still lack what hosts own. */
  get inProgress(): boolean {
    return this.#noticed || this.#open !== undefined
  }

  /** Compares the replica's revision with the highest there was. */
  watchRevision(): void {
    const { revision } = this.#deps.replica
    if (revision < this.#high) {
      this.#deps.territory.ledger.reopenAfter(revision)
      this.wentBack()
    }
    this.#high = revision
  }

  /** Somebody saw an answer older than what was known. */
  wentBack(): void {
    if (this.#noticed) return
    this.#noticed = true
    this.#suspect = true
    this.#deps.territory.holdings.forgetWon()
    this.#deps.log.warn('the store went back in time; addresses are claimed again', {})
  }

  /** Own blocks may be missing from the store: the next review looks, unless nothing changed since the last. */
  suspect(): void {
    if (this.#deps.territory.changes !== this.#coveredAt) this.#suspect = true
  }

  /** Takes note of the marker and of who is done. */
  saw(items: ReadonlyMap<string, KeyValue>): void {
    this.#open = items.get(ipamKeys.restoreOpen)
    const prefix = ipamKeys.restoreDone('')
    this.#done = new Set(
      [...items.keys()]
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length)),
    )
  }

  /** Does what is to be done now; throws `unavailable` when the store does not answer. */
  async review(signal: AbortSignal): Promise<void> {
    const { replica, store, territory, hostId } = this.#deps
    if (!replica.connected) return
    if (this.#noticed) await this.#raise()
    if (this.#suspect || territory.shrank() || this.#open !== undefined) {
      const { changes } = territory
      await this.#claimUncovered(signal)
      this.#suspect = this.#undecided()
      this.#coveredAt = this.#failures.size === 0 ? changes : -1
    }
    if (this.#open === undefined) return
    if (this.#suspect) {
      throw new NetworkError('unavailable', 'Cannot confirm the addresses of this host yet')
    }
    if (!this.#done.has(hostId)) {
      await store.txn({
        compare: [unchanged(ipamKeys.restoreOpen, this.#open.modRevision)],
        success: [{ kind: 'put', key: ipamKeys.restoreDone(hostId), value: this.#deps.now() }],
      })
    }
    await this.#close()
  }

  /** True while a claim that failed may have met one that is just being undone. */
  #undecided(): boolean {
    return [...this.#failures.values()].some(({ attempts }) => attempts < FINAL_ATTEMPTS)
  }

  async #raise(): Promise<void> {
    const { store, now } = this.#deps
    await store.txn({
      compare: [absent({ key: ipamKeys.restoreOpen })],
      success: [{ kind: 'put', key: ipamKeys.restoreOpen, value: now() }],
    })
    this.#noticed = false
  }

  async #claimUncovered(signal: AbortSignal): Promise<void> {
    const { territory, now, log } = this.#deps
    const uncovered = territory.uncovered()
    const concerned = new Set(uncovered.map(({ own }) => own.endpointId))
    for (const id of this.#failures.keys()) if (!concerned.has(id)) this.#failures.delete(id)
    for (const { network, prefix, own } of uncovered) {
      // An earlier one of the same block has brought it back.
      if (territory.owns(network, own.address)) continue
      if (await this.#claimAgain(network, prefix, own, signal)) {
        this.#failures.delete(own.endpointId)
        continue
      }
      const before = this.#failures.get(own.endpointId)
      const message = `Cannot keep ${own.address}: another host claimed it after the store was restored`
      if (before === undefined) log.error(message, { endpoint: own.endpointId })
      this.#failures.set(own.endpointId, {
        object: `endpoint/${own.endpointId}`,
        code: 'conflict',
        message,
        since: before?.since ?? now(),
        attempts: (before?.attempts ?? 0) + 1,
      })
    }
  }

  /** From the store; or from the host in whose block the address lies, which had granted it. */
  async #claimAgain(
    network: Network,
    prefix: Prefix,
    { address, endpointId, name }: OwnAddress,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { claimer, territory, asker } = this.#deps
    if (await claimer.claimAgain(network, prefix, address, endpointId)) return true
    const owner = territory.foreignOwner(network, prefix, address)
    if (owner === undefined) return false
    try {
      await asker.requestAddress({ network, address, endpointId, name, owner }, signal)
      return true
    } catch (error) {
      if (isNetworkError(error)) return false
      throw error
    }
  }

  /** Takes the marker away once every host of the cluster is done. */
  async #close(): Promise<void> {
    const { store } = this.#deps
    const seen = await store.txn({
      success: [
        { kind: 'range', range: { prefix: keys.host('') }, options: { keysOnly: true } },
        { kind: 'range', range: { prefix: ipamKeys.restore }, options: { keysOnly: true } },
      ],
    })
    const [hosts = [], marks = []] = seen.results.map((part) =>
      part.kind === 'range' ? part.items : [],
    )
    const open = marks.find((item) => item.key === ipamKeys.restoreOpen)
    const done = new Set(marks.map((item) => item.key))
    const all = hosts.every((item) =>
      done.has(ipamKeys.restoreDone(item.key.slice(`${ROOT}hosts/`.length))),
    )
    if (open === undefined || !all) return
    await store.txn({
      compare: [unchanged(ipamKeys.restoreOpen, open.modRevision)],
      success: [{ kind: 'delete', range: { prefix: ipamKeys.restore } }],
    })
    this.#deps.log.info('all hosts confirmed their addresses', {})
  }
}
