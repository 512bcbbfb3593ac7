/**
 * Attach and detach. An attach checks everything, keeps the namespace open, finds addresses and writes one
 * record to the journal; that record is at once the allocation and the wish. Then it waits until the kernel
 * agrees. When the kernel cannot, the record goes again and the loop removes what exists: there is no undo.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { ERROR_CODES, isNetworkError, NetworkError } from '../lib/errors.ts'
import { isId, newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import type { Endpoint, PublishedEndpoint, Sandbox } from '../model/endpoint.ts'
import type { ObjectFailure } from '../model/host.ts'
import { keys } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import { macForAddress } from '../net/mac.ts'
import type { Journal } from '../store/journal/journal.ts'
import type { Replica } from '../store/replica/replica.ts'
import { type CheckedAttach, checkAttach } from './attach-spec.ts'
import type { AttachedEndpoint, AttachSpec, Ports } from './control.ts'
import type { Ipam } from './ipam/ipam.ts'
import type { NameIndex } from './name-index.ts'
import type { Networks } from './networks.ts'
import type { OwnIndex } from './own-index.ts'
import { resolve } from './resolve.ts'

export interface EndpointsDeps {
  readonly journal: Journal
  readonly replica: Replica
  readonly ports: Ports
  readonly ipam: Ipam
  readonly networks: Networks
  readonly names: NameIndex
  readonly own: OwnIndex
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly hostId: string
  /** How long the kernel has to agree with a change. */
  readonly settleMs: number
  readonly signal: AbortSignal
}

export class Endpoints {
  readonly #deps: EndpointsDeps
  readonly #detaching = new Map<string, Promise<void>>()
  /** Endpoints whose records the next commit deletes, and that commit. */
  readonly #leavers: Endpoint[] = []
  #removal: Promise<number> | undefined

  constructor(deps: EndpointsDeps) {
    this.#deps = deps
  }

  list(
    filter: { networkId?: string; hostId?: string } = {},
  ): readonly (Endpoint | PublishedEndpoint)[] {
    const { replica } = this.#deps
    const { networkId, hostId } = filter
    const from =
      networkId !== undefined
        ? replica.endpointsOf(networkId)
        : hostId !== undefined
          ? replica.endpointsOfHost(hostId)
          : replica.endpoints()
    return [...from]
      .filter((endpoint) => hostId === undefined || endpoint.hostId === hostId)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  get(reference: string, network?: Network): Endpoint | PublishedEndpoint {
    const { replica, names } = this.#deps
    const named = Array.from(network === undefined ? replica.networks() : [network]).flatMap(
      ({ id }) => names.find(id, reference) ?? [],
    )
    // Looking through all endpoints is for parts of ids, and for names that several networks have.
    const exact = named.length > 1 ? undefined : replica.endpoint(named[0] ?? reference)
    if (exact !== undefined && (network === undefined || exact.networkId === network.id)) {
      return exact
    }
    const among = network === undefined ? replica.endpoints() : replica.endpointsOf(network.id)
    return resolve('endpoint', reference, among)
  }

  async attach(spec: AttachSpec): Promise<AttachedEndpoint> {
    const { ports, own, names, networks } = this.#deps
    const network = networks.get(spec.network)
    const checked = checkAttach(network, spec)
    using _name = names.claim(network, checked.name)
    const sandbox = ports.sandboxes.hold(checked.target)
    try {
      const attempted = `attach ${checked.targetName} to network ${network.name}`
      using _place = own.claimPlace(sandbox.inode, checked.ifname, attempted)
      return await this.#attachTo(network, checked, sandbox)
    } finally {
      // Held any longer it would outlive its container; from here on its inode tells whether it is the same.
      ports.sandboxes.release(sandbox.inode)
    }
  }

  async #attachTo(
    network: Network,
    checked: CheckedAttach,
    sandbox: Sandbox,
  ): Promise<AttachedEndpoint> {
    const { clock, random, log } = this.#deps
    const startedMs = clock.monotonicMs()
    const { endpoint, revision } = await this.#commit(network, checked, {
      id: newId(clock.wallMs(), random),
      sandbox: { path: sandbox.path, inode: sandbox.inode },
    })
    try {
      await this.#settle(endpoint, revision)
    } catch (error) {
      await this.#withdraw(endpoint)
      throw error
    }
    const durationMs = clock.monotonicMs() - startedMs
    log.debug('endpoint attached', {
      endpoint: endpoint.id,
      network: network.name,
      address: endpoint.addresses.join(' '),
      revision,
      durationMs,
    })
    return { endpoint, revision }
  }

  /** Finds addresses and writes the record; from the check of ownership to the commit nothing else runs. */
  async #commit(
    network: Network,
    checked: CheckedAttach,
    { id, sandbox }: { readonly id: string; readonly sandbox: Sandbox },
  ): Promise<AttachedEndpoint> {
    const { journal, ipam, networks, own, clock, hostId, signal } = this.#deps
    const wish = { network, endpointId: id, addresses: checked.addresses }
    using reservation = await ipam.reserve(wish, signal)
    const { addresses } = reservation
    const [first] = addresses
    if (first === undefined) throw new Error(`network ${network.id} has no prefix`)
    if (!networks.isOpen(network)) {
      throw new NetworkError(
        'not-found',
        `Cannot attach to network ${network.name}: it was removed`,
      )
    }
    const lost = addresses.find((address) => !ipam.owns(network, address))
    if (lost !== undefined) {
      throw new NetworkError(
        'conflict',
        `Cannot attach: ${lost} was taken from this host meanwhile`,
        {
          details: { network: network.name, address: lost },
        },
      )
    }
    const { name } = checked
    const endpoint: Endpoint = {
      schema: 1,
      id,
      networkId: network.id,
      hostId,
      addresses,
      mac: checked.mac ?? macForAddress(network.vni, first),
      ...(name === undefined ? {} : { name }),
      labels: checked.labels,
      sandbox,
      ifname: checked.ifname,
      order: 0,
      device: own.deviceFor(id),
      number: own.freeNumber(),
      createdAt: timestamp(clock.wallMs()),
    }
    const revision = journal.commit([
      { kind: 'put', key: keyOf(endpoint), value: JSON.stringify(endpoint) },
    ])
    return { endpoint, revision }
  }

  /** Waits for the kernel; throws what kept it from agreeing. */
  async #settle(endpoint: Endpoint, revision: number): Promise<void> {
    const { ports, settleMs } = this.#deps
    const failures = await ports.settler.settled(revision, settleMs)
    const failure = failures.find(({ object }) => object === `endpoint/${endpoint.id}`)
    if (failure !== undefined) throw errorOf(failure, endpoint)
  }

  async #withdraw(endpoint: Endpoint): Promise<void> {
    try {
      await this.#remove(endpoint)
    } catch (error) {
      // The attach has failed already, and the loop goes on removing.
      this.#deps.log.debug('endpoint not removed yet', { endpoint: endpoint.id, error })
    }
  }

  /** Content when an endpoint known by its whole id is gone already. */
  async detach(reference: string, network?: Network): Promise<void> {
    const underway = this.#detaching.get(reference)
    if (underway !== undefined) return underway
    const { hostId, replica, own } = this.#deps
    const found = this.#find(reference, network)
    if (found === undefined) return
    const endpoint = own.get(found.id)
    if (endpoint === undefined) {
      const host = replica.host(found.hostId)?.name ?? found.hostId
      throw new NetworkError(
        'conflict',
        `Cannot detach endpoint ${found.name ?? found.id}: it lives on host ${host}, and is detached there`,
        { details: { endpoint: found.id, host: found.hostId, self: hostId } },
      )
    }
    const work = this.#remove(endpoint).finally(() => this.#detaching.delete(endpoint.id))
    this.#detaching.set(endpoint.id, work)
    await work
    this.#deps.log.debug('endpoint detached', { endpoint: endpoint.id })
  }

  /** Undefined for a whole id that names nothing: it was detached before. */
  #find(reference: string, network?: Network): Endpoint | PublishedEndpoint | undefined {
    try {
      return this.get(reference, network)
    } catch (error) {
      if (isNetworkError(error, 'not-found') && isId(reference)) return undefined
      throw error
    }
  }

  async #remove(endpoint: Endpoint): Promise<void> {
    const { own } = this.#deps
    own.leaving(endpoint)
    try {
      await this.#settle(endpoint, await this.#commitRemoval(endpoint))
    } finally {
      own.left(endpoint.id)
    }
  }

  /**
   * Deletes the record. Detaches that come in the same turn of the event loop are one commit, so that an
   * attach that came with them does not stand behind each.
   */
  #commitRemoval(endpoint: Endpoint): Promise<number> {
    this.#leavers.push(endpoint)
    this.#removal ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        const changes = this.#leavers.splice(0).map((leaver) => {
          return { kind: 'delete', key: keyOf(leaver) } as const
        })
        this.#removal = undefined
        try {
          resolve(this.#deps.journal.commit(changes))
        } catch (error) {
          reject(error)
        }
      })
    })
    return this.#removal
  }
}

function keyOf({ networkId, hostId, id }: Endpoint): string {
  return keys.endpoint(networkId, hostId, id)
}

function errorOf(failure: ObjectFailure, endpoint: Endpoint): NetworkError {
  const code = ERROR_CODES.find((known) => known === failure.code) ?? 'kernel'
  return new NetworkError(code, failure.message, { details: { endpoint: endpoint.id } })
}
