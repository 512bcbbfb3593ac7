/**
 * Published ports: with an attach, in the commit of its endpoint, or one by one afterwards. Each is one record
 * of the host the container lives on; its ports are held from the check on, so that no two get the same.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { type FieldError, isNetworkError, NetworkError } from '../lib/errors.ts'
import { isId, newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import { isPodmans } from '../model/cni.ts'
import type { Endpoint, PublishedEndpoint, Sandbox } from '../model/endpoint.ts'
import type { ObjectFailure } from '../model/host.ts'
import { publicationKey } from '../model/keys.ts'
import type { Network } from '../model/network.ts'
import { hostPortsText, type Publication } from '../model/publication.ts'
import { familyOf } from '../net/ip.ts'
import { prefixFamily } from '../net/prefix.ts'
import type { Journal, JournalChange } from '../store/journal/journal.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Ports, PortWish, PublishedPort } from './control.ts'
import type { OwnIndex } from './own-index.ts'
import { PortHolder } from './port-holder.ts'
import { type CheckedPort, checkPorts, type PortsContext } from './publish-spec.ts'
import { resolve } from './resolve.ts'
import { untilSettled } from './settled.ts'

export interface PublicationsDeps {
  readonly journal: Journal
  readonly replica: Replica
  readonly ports: Pick<Ports, 'hostPorts' | 'settler'>
  readonly own: OwnIndex
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly hostId: string
  /** How long the kernel has to agree with a change. */
  readonly settleMs: number
}

/** Ports held for publications of an endpoint about to be made; disposing lets go of those that were not. */
export interface TakenPorts extends Disposable {
  /** The records, to be committed with the endpoint's. */
  recordsFor(endpoint: Endpoint): readonly Publication[]
}

/** A publication that leads to another endpoint than before, with its id and its port. */
export interface Move {
  readonly from: Publication
  readonly to: Publication
}

type AnyEndpoint = Endpoint | PublishedEndpoint

export class Publications implements AsyncDisposable {
  readonly #deps: PublicationsDeps
  readonly #holder: PortHolder

  constructor(deps: PublicationsDeps) {
    this.#deps = deps
    this.#holder = new PortHolder({ ...deps, sequence: () => deps.journal.sequence })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#holder[Symbol.asyncDispose]()
  }

  /** Of ports that somebody else has. */
  get failures(): readonly ObjectFailure[] {
    return this.#holder.failures
  }

  list(filter: { networkId?: string; hostId?: string } = {}): readonly Publication[] {
    const { replica } = this.#deps
    const { networkId, hostId } = filter
    const from =
      networkId === undefined ? replica.publications() : replica.publicationsOf(networkId)
    return [...from]
      .filter((one) => hostId === undefined || one.hostId === hostId)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  get(reference: string): Publication {
    const { replica } = this.#deps
    const exact = replica.publication(reference)
    return exact ?? resolve('publication', reference, replica.publications(), 'publish')
  }

  /** Holds the ports that an attach with these labels wants to publish; throws `invalid` with every wrong one. */
  async take(
    network: Network,
    wishes: readonly (string | PortWish)[],
    labels: Readonly<Record<string, string>> = {},
  ): Promise<TakenPorts> {
    const { clock, random } = this.#deps
    const families = new Set(network.prefixes.map(prefixFamily))
    const context = { network, families, pointer: '/publish' }
    const checked = check(wishes, `attach to network ${network.name}`, context)
    await this.#holder.vacated(checked)
    const taken: { readonly id: string; readonly port: CheckedPort }[] = []
    const cancel = (): void => {
      for (const { id } of taken) this.#holder.cancel(id)
    }
    try {
      for (const port of checked) {
        const id = newId(clock.wallMs(), random)
        const hostPort = this.#holder.take(id, port, isPodmans(labels))
        taken.push({ id, port: { ...port, hostPort } })
      }
    } catch (error) {
      cancel()
      throw error
    }
    return {
      recordsFor: (endpoint) => taken.map(({ id, port }) => this.#record(id, port, endpoint)),
      [Symbol.dispose]: cancel,
    }
  }

  /** Publishes one port, or one range, for an endpoint of this host, and waits for the kernel. */
  async publish(endpoint: AnyEndpoint, wish: string | PortWish): Promise<PublishedPort> {
    const { journal, log, clock, random } = this.#deps
    const name = endpoint.name ?? endpoint.id
    const { sandbox, order, addresses } = this.#ownOf(endpoint)
    const network = this.#networkOf(endpoint)
    const families = new Set(addresses.map(familyOf))
    this.refuseByway(network, sandbox, order)
    const context = { network, families, pointer: '/ports' }
    const [port] = check([wish], `publish a port of endpoint ${name}`, context)
    if (port === undefined) throw new Error('a checked wish is no port')
    await this.#holder.vacated([port])
    const own = this.#ownOf(endpoint) // it may have gone meanwhile
    const id = newId(clock.wallMs(), random)
    const publication = this.#record(id, { ...port, hostPort: this.#holder.take(id, port) }, own)
    try {
      const revision = journal.commit([putOf(publication)])
      await untilSettled(this.#deps, revision, { publications: [publication] })
      log.info('port published', fieldsOf(publication))
      return { publication, revision }
    } catch (error) {
      await this.#withdraw(publication)
      throw error
    } finally {
      this.#holder.cancel(id)
    }
  }

  /** The endpoint, whole; throws when it does not live here. */
  #ownOf({ id, name = id, hostId }: AnyEndpoint): Endpoint {
    const { replica, own, hostId: self } = this.#deps
    const endpoint = own.get(id)
    if (endpoint !== undefined) return endpoint
    if (hostId === self) {
      throw new NetworkError('not-found', `Cannot publish a port of endpoint ${name}: it is gone`)
    }
    const host = replica.host(hostId)?.name ?? hostId
    throw new NetworkError(
      'conflict',
      `Cannot publish a port of endpoint ${name}: it lives on host ${host}, and is published there`,
      { details: { endpoint: id, host: hostId, self } },
    )
  }

  #networkOf({ id, name = id, networkId }: AnyEndpoint): Network {
    const network = this.#deps.replica.network(networkId)
    if (network !== undefined) return network
    throw new NetworkError(
      'conflict',
      `Cannot publish a port of endpoint ${name}: its network is gone`,
    )
  }

  /**
   * Answers leave a sandbox by its default route. Throws `conflict` when that is another endpoint's than the one
   * in `network`, of rank `order` (absent: yet to come): they would leave under a wrong address.
   */
  refuseByway(network: Network, sandbox: Sandbox, order = Number.POSITIVE_INFINITY): void {
    const { own, replica } = this.#deps
    const ways = [...own.inSandbox(sandbox.inode)].filter(
      (other) =>
        other.order < order &&
        other.defaultRoute !== false &&
        replica.network(other.networkId)?.internal === false,
    )
    const [way] = ways
    const taken = new Set(ways.flatMap(({ addresses }) => addresses.map(familyOf)))
    if (way === undefined || network.prefixes.some((each) => !taken.has(prefixFamily(each)))) return
    const name = replica.network(way.networkId)?.name ?? way.networkId
    throw new NetworkError(
      'conflict',
      `Cannot publish a port in network ${network.name}: the namespace has its default route in network ${name}, and answers leave there`,
      {
        details: { network: name, endpoint: way.id },
        hint: `carrick publish add ${way.id} PORT`,
      },
    )
  }

  /** Takes a port back; content when it is known by its whole id and gone already. */
  async unpublish(reference: string): Promise<void> {
    const { replica, hostId, log } = this.#deps
    const publication = this.#find(reference)
    if (publication === undefined) return
    if (publication.hostId !== hostId) {
      const host = replica.host(publication.hostId)?.name ?? publication.hostId
      throw new NetworkError(
        'conflict',
        `Cannot unpublish ${hostPortsText(publication)}: it is published by host ${host}, and is taken back there`,
        { details: { publication: publication.id, host: publication.hostId, self: hostId } },
      )
    }
    await this.#remove(publication)
    log.info('port unpublished', fieldsOf(publication))
  }

  /** Undefined for a whole id that names nothing: it was taken back before. */
  #find(reference: string): Publication | undefined {
    try {
      return this.get(reference)
    } catch (error) {
      if (isNetworkError(error, 'not-found') && isId(reference)) return undefined
      throw error
    }
  }

  /** Those of `ids` that lead to other endpoints of the sandbox of `endpoint`, before and after they move to it. */
  movesTo(endpoint: Endpoint, ids: readonly string[]): readonly Move[] {
    const { replica, own } = this.#deps
    return ids.flatMap((id) => {
      const from = replica.publication(id)
      const other = from === undefined ? undefined : own.get(from.endpointId)
      if (from === undefined || other?.sandbox.inode !== endpoint.sandbox.inode) return []
      return [{ from, to: { ...from, networkId: endpoint.networkId, endpointId: endpoint.id } }]
    })
  }

  /** What takes back those moves after which nothing else has happened. */
  movesBack(moves: readonly Move[]): readonly JournalChange[] {
    const { replica, own } = this.#deps
    return moves.flatMap(({ from, to }) => {
      const stands = replica.publication(to.id)?.endpointId === to.endpointId
      return stands && own.get(from.endpointId) !== undefined
        ? changesOf({ from: to, to: from })
        : []
    })
  }

  /** What to commit with the removal of an endpoint. */
  removalsOf(endpoint: Endpoint): readonly JournalChange[] {
    const removals: JournalChange[] = []
    for (const publication of this.#deps.replica.publicationsOfEndpoint(endpoint.id)) {
      removals.push({ kind: 'delete', key: publicationKey(publication) })
    }
    return removals
  }

  /** Waits until the ports of an endpoint that was detached are free. */
  left(endpointId: string): Promise<void> {
    return this.#holder.leftBy(endpointId)
  }

  async #remove(publication: Publication): Promise<void> {
    const { journal } = this.#deps
    const revision = journal.commit([{ kind: 'delete', key: publicationKey(publication) }])
    await untilSettled(this.#deps, revision, { publications: [publication] })
    await this.#holder.left(publication.id)
  }

  async #withdraw(publication: Publication): Promise<void> {
    try {
      await this.#remove(publication)
    } catch (error) {
      // It has failed already, and the loop goes on removing.
      this.#deps.log.debug('port not unpublished yet', { ...fieldsOf(publication), error })
    }
  }

  #record(id: string, port: CheckedPort, endpoint: Endpoint): Publication {
    const { clock, hostId } = this.#deps
    const { protocol, hostAddress, hostPort, containerPort, count } = port
    return {
      schema: 1,
      id,
      networkId: endpoint.networkId,
      hostId,
      endpointId: endpoint.id,
      protocol,
      ...(hostAddress === undefined ? {} : { hostAddress }),
      hostPort,
      containerPort,
      count,
      createdAt: timestamp(clock.wallMs()),
    }
  }
}

/** The commit that makes it. */
export function putOf(publication: Publication): JournalChange {
  return { kind: 'put', key: publicationKey(publication), value: JSON.stringify(publication) }
}

/** The commit that moves it. */
export function changesOf({ from, to }: Move): readonly JournalChange[] {
  const put = putOf(to)
  return put.key === publicationKey(from)
    ? [put]
    : [{ kind: 'delete', key: publicationKey(from) }, put]
}

function fieldsOf(publication: Publication) {
  const { endpointId, networkId } = publication
  return { endpoint: endpointId, network: networkId, port: hostPortsText(publication) }
}

/** The checked wishes; throws `invalid` with everything that is wrong. */
function check(
  wishes: readonly (string | PortWish)[],
  attempted: string,
  context: PortsContext,
): readonly CheckedPort[] {
  const fields: FieldError[] = []
  const checked = checkPorts(wishes, context, fields)
  const [first] = fields
  if (first === undefined) return checked
  throw new NetworkError('invalid', `Cannot ${attempted}: ${first.message}`, {
    fields,
    details: { network: context.network.name },
  })
}
