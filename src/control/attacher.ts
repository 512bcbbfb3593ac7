/**
 * Attach: checks everything, keeps the namespace open, finds addresses and writes one record per network to
 * the journal, in one commit; a record is at once the allocation and the wish. Then it waits until the kernel
 * agrees. When the kernel cannot, the records go again and the loop removes what exists: there is no undo.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { NetworkError } from '../lib/errors.ts'
import { newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import type { Endpoint, Sandbox } from '../model/endpoint.ts'
import { endpointKey } from '../model/keys.ts'
import type { Publication } from '../model/publication.ts'
import type { IP } from '../net/ip.ts'
import { macForAddress } from '../net/mac.ts'
import type { Journal } from '../store/journal/journal.ts'
import type { Replica } from '../store/replica/replica.ts'
import {
  assignAddresses,
  type CheckedAttach,
  type CheckedPart,
  checkAttach,
  companionProblem,
  networksNamed,
} from './attach-spec.ts'
import type { AttachAllSpec, AttachedEndpoint, AttachSpec, Ports } from './control.ts'
import type { Ipam } from './ipam/ipam.ts'
import type { NameIndex } from './name-index.ts'
import type { Networks } from './networks.ts'
import type { OwnIndex, Place } from './own-index.ts'
import { changesOf, type Move, type Publications, putOf, type TakenPorts } from './publications.ts'
import { refuseLost } from './refuse-lost.ts'
import { untilSettled } from './settled.ts'

export interface AttacherDeps {
  readonly journal: Journal
  readonly replica: Replica
  readonly ports: Ports
  readonly ipam: Ipam
  readonly networks: Networks
  readonly names: NameIndex
  readonly own: OwnIndex
  readonly publications: Publications
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly hostId: string
  /** How long the kernel has to agree with a change, in milliseconds. */
  readonly settleMs: number
  readonly signal: AbortSignal
  /** Takes an endpoint away again. */
  readonly remove: (endpoint: Endpoint) => Promise<void>
}

/** An attach under way: checked, its sandbox open, its interfaces' names kept. */
interface AttachWork {
  readonly checked: CheckedAttach
  /** For messages: `attach /run/netns/web to network blue`. */
  readonly attempted: string
  /** One per part, same order. */
  readonly ifnames: readonly string[]
  readonly sandbox: Sandbox
  /** Ports to publish, and the part they lead to. */
  readonly published: { readonly ports: TakenPorts; readonly part: CheckedPart } | undefined
}

interface Made {
  readonly endpoints: readonly Endpoint[]
  readonly publications: readonly Publication[]
  /** Ports that led to other endpoints before. */
  readonly moves: readonly Move[]
  readonly revision: number
}

interface Given {
  readonly id: string
  readonly addresses: readonly IP[]
}

export class Attacher {
  readonly #deps: AttacherDeps

  constructor(deps: AttacherDeps) {
    this.#deps = deps
  }

  async attach(spec: AttachSpec): Promise<AttachedEndpoint> {
    const network = this.#deps.networks.get(spec.network)
    const [attached] = await this.#attach(checkAttach(spec, [{ ...spec, network, pointer: '' }]))
    if (attached === undefined) throw new Error('an attach to one network made no endpoint')
    return attached
  }

  async attachAll({ networks, addresses = [], ...target }: AttachAllSpec) {
    const found = networks.map(({ network }) => this.#deps.networks.get(network))
    const assigned = assignAddresses(found, addresses)
    const parts = found.map((network, i) => {
      const part = networks[i]
      const wanted = [...(part?.addresses ?? []), ...(assigned[i] ?? [])]
      return { ...part, network, addresses: wanted, pointer: `/networks/${i}` }
    })
    return this.#attach(checkAttach(target, parts))
  }

  async #attach(checked: CheckedAttach): Promise<readonly AttachedEndpoint[]> {
    const { ports, own, names } = this.#deps
    const { target, targetName, parts } = checked
    using claimed = new DisposableStack()
    for (const { network } of parts) claimed.use(names.claim(network, checked.name))
    const sandbox = ports.sandboxes.hold(target)
    try {
      const attempted = `attach ${targetName} to ${networksNamed(parts.map((p) => p.network.name))}`
      this.#refuseCompanions(parts, sandbox, attempted)
      const places = new Map<CheckedPart, Place>()
      // Names that were asked for first, so that none of the others takes one.
      for (const part of [...parts].sort((a, b) => chosen(a) - chosen(b))) {
        places.set(part, claimed.use(own.claimPlace(sandbox.inode, part.ifname, attempted)))
      }
      const ifnames = parts.map((part) => places.get(part)?.ifname ?? '')
      const published =
        checked.publish.length === 0 ? undefined : await this.#takePorts(checked, sandbox)
      if (published !== undefined) claimed.use(published.ports)
      return await this.#attachTo({ checked, attempted, ifnames, sandbox, published })
    } finally {
      // Held any longer it would outlive its container; from here on its inode tells whether it is the same.
      ports.sandboxes.release(sandbox.inode)
    }
  }

  /** Holds the ports that shall lead to the network whose default route the answers will take. */
  async #takePorts(
    { publish, parts, labels }: CheckedAttach,
    sandbox: Sandbox,
  ): Promise<AttachWork['published']> {
    const part = partWithPorts(parts)
    if (part === undefined) return undefined
    const { publications } = this.#deps
    if (!part.defaultRoute) publications.refuseByway(part.network, sandbox)
    return { part, ports: await publications.take(part.network, publish, labels) }
  }

  async #attachTo(work: AttachWork): Promise<readonly AttachedEndpoint[]> {
    const { clock, log } = this.#deps
    const startedMs = clock.monotonicMs()
    const { endpoints, publications, moves, revision } = await this.#commit(work)
    try {
      await untilSettled(this.#deps, revision, { endpoints, publications })
      // A caller that asks again must not find what its first call left.
      if (work.checked.signal?.aborted) throw new Error('the caller of an attach is gone')
    } catch (error) {
      await this.#withdraw(endpoints, moves)
      throw error
    }
    const durationMs = clock.monotonicMs() - startedMs
    for (const { id, networkId, addresses } of endpoints) {
      log.debug('endpoint attached', {
        endpoint: id,
        network: networkId,
        address: addresses.join(' '),
        revision,
        durationMs,
      })
    }
    return endpoints.map((endpoint) => {
      const own = publications.filter(({ endpointId }) => endpointId === endpoint.id)
      return { endpoint, publications: own, revision }
    })
  }

  /** Finds addresses and writes the records; from the check of ownership to the commit nothing else runs. */
  async #commit(work: AttachWork): Promise<Made> {
    const { journal, ipam, clock, random, signal } = this.#deps
    const { parts, name } = work.checked
    using reserved = new DisposableStack()
    const given: Given[] = []
    for (const { network, addresses: wanted, choice } of parts) {
      const id = newId(clock.wallMs(), random)
      const wish = { network, endpointId: id, name, addresses: wanted, ...choice }
      const { addresses } = reserved.use(await ipam.reserve(wish, signal))
      given.push({ id, addresses })
    }
    for (const [i, { network }] of parts.entries()) {
      refuseLost(this.#deps, network, given[i]?.addresses ?? [], 'attach to')
    }
    this.#refuseCompanions(parts, work.sandbox, work.attempted)
    const endpoints = this.#records(work, given)
    const moves = this.#movesOf(work, endpoints)
    const fresh = publicationsOf(work, endpoints)
    const publications = [...fresh, ...moves.map(({ to }) => to)]
    const revision = journal.commit([
      ...moves.flatMap(changesOf),
      ...[...endpoints, ...this.#outranked(work)].map((endpoint) => {
        return { kind: 'put', key: endpointKey(endpoint), value: JSON.stringify(endpoint) } as const
      }),
      ...fresh.map(putOf),
    ])
    return { endpoints, publications, moves, revision }
  }

  #movesOf({ checked }: AttachWork, endpoints: readonly Endpoint[]): readonly Move[] {
    const { parts, movePorts } = checked
    const part = partWithPorts(parts)
    const endpoint = part && endpoints[parts.indexOf(part)]
    return endpoint === undefined ? [] : this.#deps.publications.movesTo(endpoint, movePorts)
  }

  #records(
    { checked, ifnames, sandbox }: AttachWork,
    given: readonly Given[],
  ): readonly Endpoint[] {
    const { own, clock, hostId } = this.#deps
    const { name, labels, delegate, parts } = checked
    const numbers = own.freeNumbers(parts.length)
    const orders = this.#ordersOf(parts, sandbox)
    const createdAt = timestamp(clock.wallMs())
    return parts.map(({ network, mac, shape }, i): Endpoint => {
      const { id = '', addresses = [] } = given[i] ?? {}
      const [first] = addresses
      if (first === undefined) throw new Error(`network ${network.id} has no prefix`)
      return {
        schema: 1,
        id,
        networkId: network.id,
        hostId,
        addresses,
        mac: mac ?? macForAddress(network.vni, first),
        ...(name === undefined ? {} : { name }),
        labels,
        sandbox: { path: sandbox.path, inode: sandbox.inode },
        ifname: ifnames[i] ?? '',
        order: orders[i] ?? 0,
        ...shape,
        device: own.deviceFor(id),
        number: numbers[i] ?? 0,
        ...(delegate === undefined ? {} : { delegate }),
        createdAt,
      }
    })
  }

  /** Ranks behind those of the sandbox's endpoints; the one that is to give the default route gets 0. */
  #ordersOf(parts: readonly CheckedPart[], sandbox: Sandbox): readonly number[] {
    const first = parts.findIndex(({ defaultRoute }) => defaultRoute)
    let next = first < 0 ? 0 : 1
    for (const { order } of this.#deps.own.inSandbox(sandbox.inode)) {
      next = Math.max(next, order + (first < 0 ? 1 : 2))
    }
    return parts.map((_, i) => (i === first ? 0 : next++))
  }

  /** The sandbox's endpoints that make room for a new default route, with their new ranks. */
  #outranked({ checked, sandbox }: AttachWork): readonly Endpoint[] {
    if (!checked.parts.some(({ defaultRoute }) => defaultRoute)) return []
    const standing = [...this.#deps.own.inSandbox(sandbox.inode)]
    return standing.map((endpoint) => ({ ...endpoint, order: endpoint.order + 1 }))
  }

  /** Throws when a network cannot be in the sandbox beside those that are there. */
  #refuseCompanions(parts: readonly CheckedPart[], sandbox: Sandbox, attempted: string): void {
    const { own, replica } = this.#deps
    for (const { networkId, id, name } of own.inSandbox(sandbox.inode)) {
      const other = replica.network(networkId)
      if (other === undefined) continue
      for (const { network, ifname } of parts) {
        const problem = companionProblem(network, ifname, other)
        if (problem === undefined) continue
        const code = network.id === other.id ? 'already-exists' : 'conflict'
        throw new NetworkError(code, `Cannot ${attempted}: ${problem}`, {
          details: { network: network.name, endpoint: id },
          hint: `carrick endpoint get ${name ?? id}`,
        })
      }
    }
  }

  async #withdraw(endpoints: readonly Endpoint[], moves: readonly Move[]): Promise<void> {
    const back = this.#deps.publications.movesBack(moves)
    if (back.length > 0) this.#deps.journal.commit(back)
    const removals = endpoints.map((endpoint) => this.#deps.remove(endpoint))
    for (const [i, result] of (await Promise.allSettled(removals)).entries()) {
      if (result.status === 'fulfilled') continue
      // The attach has failed already, and the loop goes on removing.
      const { reason: error } = result
      this.#deps.log.debug('endpoint not removed yet', { endpoint: endpoints[i]?.id, error })
    }
  }
}

/** The part whose default route the answers from its ports will take. */
function partWithPorts(parts: readonly CheckedPart[]): CheckedPart | undefined {
  return (
    parts.find(({ defaultRoute }) => defaultRoute) ??
    parts.find(({ network }) => !network.internal) ??
    parts[0]
  )
}

/** The records of the ports that were taken, for the endpoint of their part. */
function publicationsOf(
  { checked, published }: AttachWork,
  endpoints: readonly Endpoint[],
): readonly Publication[] {
  if (published === undefined) return []
  const endpoint = endpoints[checked.parts.indexOf(published.part)]
  return endpoint === undefined ? [] : published.ports.recordsFor(endpoint)
}

/** Sorts parts whose interface was named before the others. */
function chosen({ ifname }: CheckedPart): number {
  return ifname === undefined ? 1 : 0
}
