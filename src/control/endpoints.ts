/** The endpoints of all hosts, and how those of this host are found and detached. */

import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { isId } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import { endpointKey } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import type { Journal, JournalChange } from '../store/journal/journal.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Ports } from './control.ts'
import type { NameIndex } from './name-index.ts'
import type { OwnIndex } from './own-index.ts'
import type { Publications } from './publications.ts'
import { resolve } from './resolve.ts'
import { untilSettled } from './settled.ts'

export interface EndpointsDeps {
  readonly journal: Journal
  readonly replica: Replica
  readonly ports: Ports
  readonly names: NameIndex
  readonly own: OwnIndex
  readonly publications: Publications
  readonly log: Log
  readonly hostId: string
  /** How long the kernel has to agree with a change, in milliseconds. */
  readonly settleMs: number
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
    const work = this.remove(endpoint).finally(() => this.#detaching.delete(endpoint.id))
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

  /** Takes an endpoint of this host away, and waits until the kernel agrees. */
  async remove(endpoint: Endpoint): Promise<void> {
    const { own } = this.#deps
    own.leaving(endpoint)
    try {
      const revision = await this.#commitRemoval(endpoint)
      await untilSettled(this.#deps, revision, { endpoints: [endpoint] })
    } finally {
      own.left(endpoint.id)
    }
    await this.#deps.publications.left(endpoint.id)
  }

  /**
   * Deletes the record. Detaches that come in the same turn of the event loop are one commit, so that an
   * attach that came with them does not stand behind each.
   */
  #commitRemoval(endpoint: Endpoint): Promise<number> {
    this.#leavers.push(endpoint)
    this.#removal ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        const changes = this.#leavers
          .splice(0)
          .flatMap((leaver): JournalChange[] => [
            { kind: 'delete', key: endpointKey(leaver) },
            ...this.#deps.publications.removalsOf(leaver),
          ])
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
