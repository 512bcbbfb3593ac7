/**
 * Changes of networks that are in use: one compare-and-swap of the record, and for the carrier one per step
 * (`carrier-change.ts`), each once the hosts have the one before. Whatever it is interrupted by, the record
 * tells how far it came and the same wish finishes it.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { addressKeysIn, blockKeysIn, keys, ROOT } from '../model/keys.ts'
import type { Carrier, Network } from '../model/network.ts'
import type { Prefix } from '../net/prefix.ts'
import { RecordReader, sameRecord } from '../store/replica/records.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Compare, KeyValue, Operation, Store } from '../store/store.ts'
import { nextCarrierStep } from './carrier-change.ts'
import type { ChangeOptions, NetworkChange } from './control.ts'
import { absent, unchanged } from './ipam/claims.ts'
import type { Ipam } from './ipam/ipam.ts'
import { retiredKey } from './ipam/retired.ts'
import {
  engineNote,
  leftNotes,
  mtuNote,
  refuseInhabited,
  refuseKept,
  refuseUnable,
} from './network-limits.ts'
import { type NetworkPatch, type PatchedNetwork, patchNetwork } from './network-patch.ts'
import type { Networks } from './networks.ts'
import { isFlat, refuseFlat, refuseOverlaps } from './overlap.ts'
import { FLAT_GUARD, readTogether } from './prefix-keys.ts'
import { untilReplica } from './wait-replica.ts'

const ATTEMPTS = 20
/** Two who change the carrier of one network at once would go on for ever. */
const MOST_STEPS = 8
const NETWORKS = `${ROOT}networks/`

export interface NetworkChangesDeps {
  readonly store: Store
  readonly replica: Replica
  readonly networks: Networks
  readonly ipam: Ipam
  readonly clock: Clock
  readonly log: Log
  /** How long the hosts have to apply one step, in milliseconds. */
  readonly applyMs: number
  readonly signal: AbortSignal
}

/** The record as the store has it. */
interface Stored {
  readonly network: Network
  readonly modRevision: number
}

export class NetworkChanges {
  readonly #deps: NetworkChangesDeps

  constructor(deps: NetworkChangesDeps) {
    this.#deps = deps
  }

  /**
   * Makes the network as the patch says. Throws `conflict` when the state of the cluster does not allow it,
   * or when `matches` does not hold for the record; nothing was written then.
   */
  async change(
    reference: string,
    patch: NetworkPatch,
    options: ChangeOptions = {},
  ): Promise<NetworkChange> {
    const { networks, replica, clock, log } = this.#deps
    const { id } = networks.get(reference)
    const { before, carrier } = await this.#rewrite(id, patch, options)
    const missing = carrier === undefined ? [] : await this.#changeCarrier(id, carrier)
    const { network, modRevision } = await this.#read(id)
    await untilReplica(replica, clock, this.#deps.applyMs, () => replica.revision >= modRevision)
    log.info('network changed', { network: network.name, carrier: network.carrier })
    const resized = patch.mtuBytes === undefined ? undefined : engineNote(replica.endpointsOf(id))
    const sizes = [mtuNote(network, replica.hosts()), resized].flatMap((note) => note ?? [])
    const left = leftNotes(before, network, replica)
    return { network, notes: [...missing, ...left, ...sizes] }
  }

  /** Everything but the carrier, and the carrier's first step; gives what was, and the carrier wished for. */
  async #rewrite(
    id: string,
    patch: NetworkPatch,
    options: ChangeOptions,
  ): Promise<{ readonly before: Network; readonly carrier: Carrier | undefined }> {
    const { ipam, signal } = this.#deps
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { stored, guard, others } = await this.#survey(id)
      const { network } = stored
      if (options.matches?.(network) === false) {
        throw new NetworkError('conflict', 'Cannot change it: it has changed since it was read')
      }
      const patched = patchNetwork(network, patch)
      const wanted = this.#checked(stored.network, patched, others, options)
      const done = { before: network, carrier: patched.carrier }
      if (sameRecord(wanted, network)) return done
      const write = async (): Promise<boolean> => {
        return this.#write(stored, guard, wanted, patched)
      }
      if (patched.removed.length === 0) {
        if (await write()) return done
        continue
      }
      if (await ipam.vacate(network, patched.removed, write, signal)) return done
      await this.#refuseStillKept(stored, patched.removed)
    }
    throw new NetworkError('unavailable', 'Cannot change the network: too many changes at once')
  }

  /** The record to write; throws `conflict` when something does not allow it. */
  #checked(
    before: Network,
    { network, carrier, added, removed }: PatchedNetwork,
    others: readonly Network[],
    { force, by = {} }: ChangeOptions,
  ): Network {
    const { replica, clock } = this.#deps
    const attempted = `change network ${before.name}`
    refuseInhabited(network, removed, replica)
    if (carrier !== undefined) refuseUnable(attempted, carrier, replica.hosts())
    const step = carrier === undefined ? undefined : nextCarrierStep(network, carrier)
    const next = step === undefined || step.afterAll ? network : step.network
    const flat = { ...next, carrier: carrier ?? next.carrier, attempted, networkId: next.id }
    refuseFlatNow(before, flat, others)
    const forced = refuseOverlaps(
      { ...flat, prefixes: added },
      { networks: others, hosts: replica.hosts(), facts: replica.facts },
      force === true ? { by, at: timestamp(clock.wallMs()) } : undefined,
    )
    return forced === undefined ? next : { ...next, forced }
  }

  /** False when somebody wrote meanwhile, or when somebody has addresses of a subnet that is to go. */
  async #write(
    { network, modRevision }: Stored,
    guard: KeyValue | undefined,
    wanted: Network,
    { added, removed }: Pick<PatchedNetwork, 'added' | 'removed'>,
  ): Promise<boolean> {
    const { id } = network
    const key = keys.network(id)
    const guarded = added.length + removed.length > 0 || isFlat(network) !== isFlat(wanted)
    const compare: Compare[] = [
      unchanged(key, modRevision),
      ...(guarded ? [unchanged(FLAT_GUARD, guard?.modRevision ?? 0)] : []),
      ...removed.flatMap((prefix) => [
        absent(blockKeysIn(id, prefix)),
        absent(addressKeysIn(id, prefix)),
      ]),
    ]
    const success: Operation[] = [
      { kind: 'put', key, value: JSON.stringify(wanted) },
      ...(guarded ? [{ kind: 'put', key: FLAT_GUARD, value: id } as const] : []),
      ...removed.map((prefix) => {
        return { kind: 'put', key: retiredKey(id, prefix), value: '{"schema":1}' } as const
      }),
      ...added.map((prefix) => {
        return { kind: 'delete', range: { key: retiredKey(id, prefix) } } as const
      }),
    ]
    return (await this.#deps.store.txn({ compare, success })).succeeded
  }

  /** Goes on with the carrier's change until it is done; what the user should know of it. */
  async #changeCarrier(id: string, target: Carrier): Promise<readonly string[]> {
    const { replica } = this.#deps
    const late = new Set<string>()
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const { stored, guard, others } = await this.#survey(id)
      const { network, modRevision } = stored
      const step = nextCarrierStep(network, target)
      if (step === undefined) break
      const missing = step.afterAll ? await this.#untilApplied(modRevision) : []
      for (const hostId of missing) late.add(hostId)
      if (step.last && missing.length > 0) break
      refuseFlatNow(network, { ...step.network, carrier: target }, others)
      await this.#write(stored, guard, step.network, { added: [], removed: [] })
    }
    const names = [...late].map((hostId) => replica.host(hostId)?.name ?? hostId).sort()
    const { network } = await this.#read(id)
    if (network.carrier !== target) {
      throw new NetworkError(
        'conflict',
        `Cannot change network ${network.name}: somebody else changes its carrier to ${network.carrier}`,
        { details: { network: network.name } },
      )
    }
    return [...lateNote(names), ...unfinishedNote(network)]
  }

  /** Waits until all hosts have what the store had at the revision; the hosts that are away or too late. */
  async #untilApplied(revision: number): Promise<readonly string[]> {
    const { replica, clock, applyMs } = this.#deps
    const behind = (hostId: string): boolean =>
      (replica.status(hostId)?.appliedRevision ?? 0) < revision
    const missing = (): string[] => {
      const ids = Array.from(replica.hosts(), ({ id }) => id)
      return ids.filter(behind)
    }
    // Nobody waits for those who give no sign of life.
    const awaited = (): boolean => missing().every((id) => replica.alive(id) === undefined)
    await untilReplica(replica, clock, applyMs, awaited)
    return missing()
  }

  async #survey(id: string): Promise<{
    readonly stored: Stored
    readonly guard: KeyValue | undefined
    readonly others: readonly Network[]
  }> {
    const [[guard] = [], items = []] = await readTogether(this.#deps.store, [
      { key: FLAT_GUARD },
      { prefix: NETWORKS },
    ])
    const networks = items.flatMap((item) => networkIn(item) ?? [])
    const own = items.find(({ key }) => key === keys.network(id))
    return { stored: storedIn(own, id), guard, others: elsewhere({ id }, networks) }
  }

  async #read(id: string): Promise<Stored> {
    const { items } = await this.#deps.store.range({ key: keys.network(id) })
    return storedIn(items[0], id)
  }

  /** Throws `conflict` naming who keeps addresses of the prefixes; content when nobody does. */
  async #refuseStillKept({ network }: Stored, removed: readonly Prefix[]): Promise<void> {
    const { store, replica } = this.#deps
    refuseInhabited(network, removed, replica)
    for (const prefix of removed) {
      const ranges = [blockKeysIn(network.id, prefix), addressKeysIn(network.id, prefix)]
      const kept = (await readTogether(store, ranges)).flat()
      refuseKept(network, prefix, kept, replica)
    }
  }
}

/** Throws `conflict` when packets will travel without a number that did not, and could be another network's. */
function refuseFlatNow(before: Network, next: Network, others: readonly Network[]): void {
  if (!isFlat(next) || isFlat(before)) return
  refuseFlat({ ...next, attempted: `change network ${before.name}` }, others)
}

function lateNote(hosts: readonly string[]): readonly string[] {
  if (hosts.length === 0) return []
  return [
    `${hosts.join(', ')} did not confirm the change in time: packets of their containers may be lost until they do`,
  ]
}

function unfinishedNote({ name, carrier, alsoAccepts }: Network): readonly string[] {
  if (alsoAccepts === undefined) return []
  return [
    `carrier ${alsoAccepts} is still accepted; when all hosts are back, finish by carrick network set ${name} --carrier ${carrier}`,
  ]
}

function elsewhere({ id }: { readonly id: string }, networks: readonly Network[]) {
  return networks.filter((other) => other.id !== id)
}

function storedIn(item: KeyValue | undefined, id: string): Stored {
  const network = item && networkIn(item)
  if (item === undefined || network === undefined) {
    throw new NetworkError('not-found', `Cannot change network ${id}: it was removed`)
  }
  return { network, modRevision: item.modRevision }
}

/** Undefined for a record that this version cannot read, and must not rewrite. */
function networkIn({ key, value }: KeyValue): Network | undefined {
  const networkId = key.slice(NETWORKS.length)
  const parsed = new RecordReader().read(key, { kind: 'network', networkId }, value)
  return parsed.ok && parsed.item.kind === 'network' ? parsed.item.record : undefined
}
