/**
 * Which network a container engine has under which id and name: what this host's engine has is a record of this
 * host, how a network is to appear on all engines is part of the network. Pools that an engine has asked for
 * before it made a network of them are known to this host only.
 */

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Clock, timestamp } from '../lib/clock.ts'
import { NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { DockerSide, EngineNetwork } from '../model/engine-network.ts'
import { keys } from '../model/keys.ts'
import { isName } from '../model/names.ts'
import type { Network } from '../model/network.ts'
import type { Prefix } from '../net/prefix.ts'
import type { Journal, JournalChange } from '../store/journal/journal.ts'
import { poolOf } from '../store/replica/engine-records.ts'
import { asObject } from '../store/replica/fields.ts'
import { RecordReader } from '../store/replica/records.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Compare, Operation, Store } from '../store/store.ts'
import type { EngineNetworkSpec, PendingPool } from './docker-control.ts'
import { checkDocker, LONGEST_NAME, slugOf } from './docker-side.ts'
import type { EngineIndex } from './engine-index.ts'
import { absent, unchanged } from './ipam/claims.ts'
import { nameProblem } from './network-spec.ts'
import type { Networks } from './networks.ts'
import { untilReplica } from './wait-replica.ts'

const PENDING = 'docker.pools'
const ATTEMPTS = 20
/** How long a caller waits for this host to see what it wrote. */
const SEEN_MS = 2_000
/** Hexadecimal digits that tell two networks apart whose names come out the same. */
const SUFFIX_LENGTH = 4

export interface EngineNetworksDeps {
  readonly store: Store
  readonly journal: Journal
  readonly replica: Replica
  readonly networks: Networks
  readonly index: EngineIndex
  readonly clock: Clock
  readonly log: Log
  readonly hostId: string
}

export class EngineNetworks {
  readonly #deps: EngineNetworksDeps
  /** Ids of networks that are just being made on the engine. */
  readonly #expected = new Set<string>()

  constructor(deps: EngineNetworksDeps) {
    this.#deps = deps
  }

  get(id: string): EngineNetwork | undefined {
    return this.#deps.index.network(id)
  }

  list(filter: { networkId?: string; hostId?: string } = {}): readonly EngineNetwork[] {
    return Array.from(this.#deps.replica.engineNetworks(filter.networkId))
      .filter(({ hostId }) => filter.hostId === undefined || hostId === filter.hostId)
      .sort((a, b) => (`${a.id} ${a.hostId}` < `${b.id} ${b.hostId}` ? -1 : 1))
  }

  bind(spec: EngineNetworkSpec): EngineNetwork {
    const { journal, replica, clock, hostId } = this.#deps
    const before = this.get(spec.id)
    if (replica.network(spec.networkId) === undefined) {
      throw new NetworkError(
        'not-found',
        `Cannot bind network ${spec.id}: ${spec.networkId} is gone`,
      )
    }
    const createdAt = before?.createdAt ?? timestamp(clock.wallMs())
    const next: EngineNetwork = { schema: 1, ...spec, engine: 'docker', hostId, createdAt }
    if (before !== undefined && isDeepStrictEqual(before, next)) return before
    const changes: JournalChange[] = []
    if (before !== undefined && before.networkId !== next.networkId) {
      changes.push({ kind: 'delete', key: keyOf(before) })
    }
    journal.commit([...changes, { kind: 'put', key: keyOf(next), value: JSON.stringify(next) }])
    return next
  }

  unbind(id: string): void {
    const network = this.get(id)
    if (network !== undefined) this.#deps.journal.commit([{ kind: 'delete', key: keyOf(network) }])
  }

  expect(networkId: string): Disposable {
    this.#expected.add(networkId)
    return { [Symbol.dispose]: () => void this.#expected.delete(networkId) }
  }

  expected(prefixes: readonly Prefix[]): Network | undefined {
    for (const id of this.#expected) {
      const network = this.#deps.replica.network(id)
      if (network?.prefixes.length !== prefixes.length) continue
      if (network.prefixes.every((prefix) => prefixes.includes(prefix))) return network
    }
    return undefined
  }

  async setDocker(reference: string, docker: DockerSide | undefined): Promise<Network> {
    const { networks, replica } = this.#deps
    const { id } = networks.get(reference)
    return this.#rewrite(id, ({ docker: _before, ...network }) => {
      if (docker !== undefined) checkDocker(network, docker, replica.networks())
      return { network: docker === undefined ? network : { ...network, docker } }
    })
  }

  async rename(reference: string, name: string): Promise<Network> {
    const { id, name: old } = this.#deps.networks.get(reference)
    const attempted = `rename network ${old}`
    if (!isName(name)) {
      const fields = [{ pointer: '/name', message: nameProblem(name) }]
      throw new NetworkError('invalid', `Cannot ${attempted}: ${nameProblem(name)}`, { fields })
    }
    return this.#rewrite(id, (network) => {
      if (network.name === name) return { network }
      if (this.#deps.replica.networkByName(name) !== undefined) throw taken(attempted, name)
      return {
        network: { ...network, name },
        compare: [absent({ key: keys.networkName(name) })],
        success: [
          { kind: 'delete', range: { key: keys.networkName(network.name) } },
          { kind: 'put', key: keys.networkName(name), value: id },
        ],
      }
    })
  }

  nameFor(engineName: string): string {
    const { replica } = this.#deps
    const slug = slugOf(engineName)
    const isFree = (name: string): boolean => replica.networkByName(name) === undefined
    for (let salt = 0; ; salt++) {
      if (salt === 0 && isFree(slug)) return slug
      const hash = createHash('sha256').update(`${engineName} ${salt}`).digest('hex')
      const head = slug.slice(0, LONGEST_NAME - SUFFIX_LENGTH - 1).replace(/-+$/, '')
      const name = `${head}-${hash.slice(0, SUFFIX_LENGTH)}`
      if (isFree(name)) return name
    }
  }

  pending(): readonly PendingPool[] {
    const text = this.#deps.journal.settings.get(PENDING)
    const rows: unknown = text === undefined ? [] : JSON.parse(text)
    return Array.isArray(rows) ? rows.flatMap((row) => pendingPoolOf(row) ?? []) : []
  }

  keepPending(pool: PendingPool): void {
    this.#savePending([...this.pending().filter(({ poolId }) => poolId !== pool.poolId), pool])
  }

  dropPending(id: string): void {
    const pools = this.pending()
    const kept = pools.filter(({ poolId }) => poolId !== id)
    if (kept.length < pools.length) this.#savePending(kept)
  }

  #savePending(pools: readonly PendingPool[]): void {
    this.#deps.journal.settings.set(PENDING, JSON.stringify(pools))
  }

  /** Makes the record another, in one transaction with what else is asked for; waits until it is seen here. */
  async #rewrite(
    id: string,
    change: (network: Network) => {
      readonly network: Network
      readonly compare?: readonly Compare[]
      readonly success?: readonly Operation[]
    },
  ): Promise<Network> {
    const { store, replica, clock, log } = this.#deps
    const key = keys.network(id)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { items } = await store.range({ key })
      const [item] = items
      const before = item && networkIn(id, item.value)
      if (item === undefined || before === undefined) {
        throw new NetworkError('not-found', `Cannot change network ${id}: it was removed`)
      }
      const { network, compare = [], success = [] } = change(before)
      if (isDeepStrictEqual(network, before)) return before
      const written = await store.txn({
        compare: [unchanged(key, item.modRevision), ...compare],
        success: [{ kind: 'put', key, value: JSON.stringify(network) }, ...success],
      })
      if (!written.succeeded) {
        await this.#refuseTakenName(before, network)
        continue
      }
      await untilReplica(replica, clock, SEEN_MS, () => replica.revision >= written.revision)
      log.info('network changed', { network: network.name })
      return network
    }
    throw new NetworkError('unavailable', 'Cannot change the network: too many changes at once')
  }

  async #refuseTakenName(before: Network, { name }: Network): Promise<void> {
    if (before.name === name) return
    const { items } = await this.#deps.store.range({ key: keys.networkName(name) })
    if (items.length > 0) throw taken(`rename network ${before.name}`, name)
  }
}

function taken(attempted: string, name: string): NetworkError {
  return new NetworkError(
    'already-exists',
    `Cannot ${attempted}: there is a network named "${name}"`,
    { details: { network: name }, hint: `carrick network get ${name}` },
  )
}

function keyOf({ networkId, hostId, id }: EngineNetwork): string {
  return keys.engineNetwork(networkId, hostId, id)
}

/** Undefined for a record that this version cannot read, and must not rewrite. */
function networkIn(networkId: string, text: string): Network | undefined {
  const parsed = new RecordReader().read(
    keys.network(networkId),
    { kind: 'network', networkId },
    text,
  )
  return parsed.ok && parsed.item.kind === 'network' ? parsed.item.record : undefined
}

function pendingPoolOf(row: unknown): PendingPool | undefined {
  const pool = poolOf(row)
  const { space, automatic, createdAt } = asObject(row) ?? {}
  if (pool === undefined || typeof space !== 'string' || typeof createdAt !== 'string') return
  return { ...pool, space, automatic: automatic === true, createdAt }
}
