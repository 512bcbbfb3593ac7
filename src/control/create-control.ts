/** The use cases, built from what main hands in. Starts the background work of address management. */

import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import type { ObjectFailure } from '../model/host.ts'
import type { PathReport } from '../model/path.ts'
import type { Journal } from '../store/journal/journal.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Store } from '../store/store.ts'
import { createAddressControl } from './address-control.ts'
import { Attacher } from './attacher.ts'
import type { CniControl } from './cni-control.ts'
import { CniEndpoints } from './cni-endpoints.ts'
import { CniIndex } from './cni-index.ts'
import type { Control, DropCount, Ports, StatusView, Token } from './control.ts'
import { createDockerControl } from './create-docker-control.ts'
import type { DockerControl } from './docker-control.ts'
import { Endpoints } from './endpoints.ts'
import { EngineIndex } from './engine-index.ts'
import { Fence } from './fence.ts'
import { Hosts } from './hosts.ts'
import { IPAM_DEFAULTS, Ipam, type IpamSettings } from './ipam/ipam.ts'
import { NameIndex } from './name-index.ts'
import { NetworkChanges } from './network-changes.ts'
import { Networks } from './networks.ts'
import { fullnessOf } from './obstacle.ts'
import { OverlapWarnings } from './overlap-warnings.ts'
import { OwnEndpoints } from './own-endpoints.ts'
import { OwnIndex } from './own-index.ts'
import { Publications } from './publications.ts'

/** A count of the datapath, as it keeps it: by the endpoint's number, 0 for none. */
export interface RawDrop {
  readonly reason: string
  readonly endpointNumber: number
  readonly packets: number
  readonly bytes: number
}

/** What other rooms report; asked anew at each `status()`. */
export interface Reports {
  readonly version: string
  readonly store: { readonly kind: StatusView['store']['kind']; address(): string }
  publishedSequence(): number
  /** True when the kernel reflects everything known here. */
  settled(): boolean
  driftRepaired(): Readonly<Record<string, number>>
  /** Of the loop and of the publisher. */
  failures(): readonly ObjectFailure[]
  warnings(): readonly string[]
  /** What this host found about its ways to others. */
  paths(): readonly PathReport[]
}

export interface ControlDeps {
  readonly store: Store
  readonly journal: Journal
  readonly replica: Replica & { onListed(listener: () => void): () => void }
  readonly ports: Ports
  readonly reports: Reports
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly hostId: string
  /** Names this run of the daemon, as the dataplane was told it. */
  readonly run: string
  /** Why this host's state is not to be trusted with addresses, as lease and publisher say; or undefined. */
  readonly distrust?: () => string | undefined
  /** Resolves when the store was compared with the journal once (the publisher's `ready`). */
  readonly caughtUp?: Promise<void>
  readonly createToken: (options: { readonly ttlSeconds: number }) => Promise<Token>
  readonly readDrops: () => Promise<readonly RawDrop[]>
  readonly settings?: Partial<IpamSettings & { readonly settleMs: number }>
}

/** Drops that are part of every start (R29): shown only when asked for. */
const QUIET_REASONS: ReadonlySet<string> = new Set(['ignored'])
const SETTLE_MS = 10_000
/** How long the hosts have to apply one step of a network's change. */
const APPLY_MS = 8_000

export function createControl(
  deps: ControlDeps,
): Control & DockerControl & CniControl & AsyncDisposable {
  const { store, journal, replica, ports, reports, clock, random, hostId } = deps
  const log = deps.log.child('control')
  const closing = new AbortController()
  const fence = new Fence(deps)
  const settings = { ...IPAM_DEFAULTS, ...deps.settings }
  const ownEndpoints = new OwnEndpoints(journal, hostId)
  const ipam = new Ipam({
    ...{ store, journal, ownEndpoints, replica, fence, clock, random, log, hostId, settings },
    caughtUp: deps.caughtUp ?? Promise.resolve(),
  })
  const own = new OwnIndex(ownEndpoints)
  const names = new NameIndex(replica)
  const overlaps = new OverlapWarnings(replica)
  const networks = new Networks({ store, replica, clock, random, log, signal: closing.signal })
  const hosts = new Hosts({ store, replica, log, hostId, paths: () => reports.paths() })
  const networkChanges = new NetworkChanges({
    ...{ store, replica, networks, ipam, clock, log },
    applyMs: APPLY_MS,
    signal: closing.signal,
  })
  const settleMs = deps.settings?.settleMs ?? SETTLE_MS
  const publications = new Publications({
    ...{ journal, replica, ports, own, clock, random, log, hostId, settleMs },
  })
  const endpoints = new Endpoints({
    ...{ journal, replica, ports, names, own, publications, log, hostId, settleMs },
  })
  const attacher = new Attacher({
    ...{ journal, replica, ports, ipam, networks, names, own, publications },
    ...{ clock, random, log, hostId, settleMs },
    signal: closing.signal,
    remove: (endpoint) => endpoints.remove(endpoint),
  })
  const index = new EngineIndex(journal, ownEndpoints, hostId)
  const docker = createDockerControl({
    ...{ store, journal, replica, ports, ipam, networks, names, own, index },
    ...{ clock, random, log, hostId, settleMs, run: deps.run },
    signal: closing.signal,
    detach: (id) => endpoints.detach(id),
    hostOf: (reference) => hosts.get(reference).host.id,
  })
  const cniIndex = new CniIndex(ownEndpoints)
  const cni = new CniEndpoints({
    ...{ journal, index: cniIndex, attacher, networks, names },
    detach: (id) => endpoints.detach(id),
  })

  const networkOf = (reference: string | undefined) =>
    reference === undefined ? undefined : networks.get(reference)

  const status = (): StatusView => {
    const fenced = fence.reason
    return {
      hostId,
      hostName: replica.host(hostId)?.name ?? hostId,
      version: reports.version,
      store: {
        kind: reports.store.kind,
        address: reports.store.address(),
        connected: replica.connected,
        revision: replica.revision,
      },
      journalSequence: journal.sequence,
      publishedSequence: reports.publishedSequence(),
      settled: reports.settled(),
      networks: count(replica.networks()),
      endpoints: { local: own.count, remote: replica.endpointCount() - own.count },
      driftRepaired: reports.driftRepaired(),
      failures: [...reports.failures(), ...ipam.failures, ...publications.failures],
      warnings: [
        ...(fenced === undefined ? [] : [`No address can be given: ${fenced}`]),
        ...overlaps.all,
        ...reports.warnings(),
      ],
    }
  }

  return {
    ...createAddressControl({
      ...{ store, replica, networks, clock, random, log, signal: closing.signal },
      find: (networkId, name) => names.find(networkId, name),
    }),
    ...docker,
    createNetwork: (spec) => networks.create(spec),
    changeNetwork: (reference, patch, options) => networkChanges.change(reference, patch, options),
    listNetworks: () => networks.list(),
    getNetwork: (reference) => networks.get(reference),
    removeNetwork: (reference) => networks.remove(reference, (id) => own.countIn(id)),
    attach: (spec) => attacher.attach(spec),
    attachAll: (spec) => attacher.attachAll(spec),
    detach: async (reference, network) => endpoints.detach(reference, networkOf(network)),
    listEndpoints: ({ network, host } = {}) =>
      endpoints.list({
        ...(network === undefined ? {} : { networkId: networks.get(network).id }),
        ...(host === undefined ? {} : { hostId: hosts.get(host).host.id }),
      }),
    getEndpoint: (reference, network) => endpoints.get(reference, networkOf(network)),
    publish: async (endpoint, wish, network) =>
      publications.publish(endpoints.get(endpoint, networkOf(network)), wish),
    unpublish: (reference) => publications.unpublish(reference),
    listPublications: ({ network, host } = {}) =>
      publications.list({
        ...(network === undefined ? {} : { networkId: networks.get(network).id }),
        ...(host === undefined ? {} : { hostId: hosts.get(host).host.id }),
      }),
    getPublication: (reference) => publications.get(reference),
    publicationsOf: (endpointId) => [...replica.publicationsOfEndpoint(endpointId)],
    attachCni: (spec) => cni.attach(spec.attachment, (attach) => attach(spec)),
    attachCniWith: (attachment, work) => cni.attach(attachment, work),
    detachCni: (attachment, after) => cni.detach(attachment, after),
    followMac: (endpointId, mac) => cni.followMac(endpointId, mac),
    cniEndpoint: (attachment) => cniIndex.find(attachment),
    cniEndpointsOf: (container) => cniIndex.ofContainer(container),
    cniEndpoints: (network) => cni.list(network),
    staleCni: (network, valid, until) => cni.stale(network, valid, until),
    obstacle: (network) => fence.reason ?? fullnessOf(network, replica),
    failureOf: (kind, id) =>
      reports.failures().find(({ object }) => object === `${kind}/${id}`)?.message,
    inspector: ports.inspector,
    shapes: ports.shapes,
    listHosts: () => hosts.list(),
    getHost: (reference) => hosts.get(reference),
    removeHost: (reference) => hosts.remove(reference),
    createToken: deps.createToken,
    status,
    waitSettled: async (timeoutMs) => {
      await ports.settler.allSettled(journal.sequence, timeoutMs)
      return status()
    },
    listDrops: async (options = {}) => {
      const drops = await deps.readDrops()
      return drops
        .filter(({ reason }) => options.all === true || !QUIET_REASONS.has(reason))
        .map((drop) => namedDrop(drop, own, replica))
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort(new Error('closing'))
      await publications[Symbol.asyncDispose]()
      overlaps[Symbol.dispose]()
      own[Symbol.dispose]()
      index[Symbol.dispose]()
      cniIndex[Symbol.dispose]()
      await ipam[Symbol.asyncDispose]()
      ownEndpoints[Symbol.dispose]()
    },
  }
}

function namedDrop(drop: RawDrop, own: OwnIndex, replica: Replica): DropCount {
  const { reason, packets, bytes } = drop
  const endpoint = own.byNumber(drop.endpointNumber)
  if (endpoint === undefined) return { reason, packets, bytes }
  const network = replica.network(endpoint.networkId)?.name
  return {
    reason,
    packets,
    bytes,
    endpointId: endpoint.id,
    ...(endpoint.name === undefined ? {} : { endpointName: endpoint.name }),
    ...(network === undefined ? {} : { network }),
  }
}

function count(items: Iterable<unknown>): number {
  let total = 0
  for (const _item of items) total++
  return total
}
