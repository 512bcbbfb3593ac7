/**
 * The composition root of the daemon: every part is built here, in reading order, and handed what it needs;
 * the parts go in reverse when the daemon is to end or joins another cluster, whereupon they are built again
 * around that one's store. Nothing here stops a packet: what the kernel holds stays when the parts go.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import { adoptEndpoints } from './agent/adopt.ts'
import { describeHost, openIdentity, registerHost } from './agent/identity.ts'
import { holdLease } from './agent/lease.ts'
import { Loop } from './agent/loop.ts'
import { OwnUnderlay } from './agent/own-underlay.ts'
import { PathMemory } from './agent/paths/memory.ts'
import { Paths } from './agent/paths/paths.ts'
import { pathWarnings } from './agent/paths/sentences.ts'
import { startPublisher } from './agent/publisher.ts'
import { reportStatus } from './agent/status-reporter.ts'
import type { CniDoor } from './api/cni/door.ts'
import type { NetavarkDoor } from './api/netavark/door.ts'
import { createRestApi } from './api/rest/api.ts'
import type { RestDoor } from './api/rest/door.ts'
import { bootId, machineId, openHostJournal, persist } from './beginning.ts'
import { callerOf } from './caller.ts'
import type { Settings } from './cli/settings.ts'
import { startCni } from './cni-service.ts'
import { createControl } from './control/create-control.ts'
import { deviceNameOf } from './control/own-index.ts'
import { findSandboxes } from './dataplane/find-sandboxes.ts'
import { HostPorts } from './dataplane/host-ports.ts'
import { Inspector } from './dataplane/inspector.ts'
import { Sandboxes } from './dataplane/sandboxes.ts'
import { startDataplane } from './dataplane/threads.ts'
import { readUnderlay } from './dataplane/underlay.ts'
import { DockerDoor } from './docker-door.ts'
import { type DockerWatch, watchDocker } from './docker-watch.ts'
import { documentChanges } from './documents.ts'
import { endpointShapes } from './endpoint-shapes.ts'
import { programPages } from './kernel/program-pages.ts'
import { openKernel } from './kernel/real.ts'
import { openUdp } from './kernel/udp.ts'
import { systemClock } from './lib/clock.ts'
import { NetworkError } from './lib/errors.ts'
import { killAt } from './lib/failpoint.ts'
import type { Log } from './lib/log.ts'
import { Lull } from './lib/lull.ts'
import { VERSION } from './lib/version.ts'
import type { Host } from './model/host.ts'
import { PROBE_PORT } from './model/probe-network.ts'
import { startNameService } from './name-service.ts'
import type { HandedOver, Service } from './service.ts'
import { SlowStart } from './slow-start.ts'
import { readMembership, writeMembership } from './store/membership.ts'
import { createReplica } from './store/replica/live-replica.ts'
import { openSharedStore } from './store/shared.ts'
import { unpublishedFailures } from './unpublished.ts'

/** A first start needs the shared store; it is asked again for this long. Later starts can wait for it. */
const REGISTER_MS = 30_000
/** Long enough that an attach has answered, short enough that nobody waits for the news. */
const GATHER_MS = 20

/** Without a change for this long the daemon is at rest. */
const LULL_MS = 3_000

/** A store that does not answer is given up this long after the daemon was told to stop. */
const FAREWELL_MS = 500

/** Why the parts are taken down, when it is not the daemon’s end. */
class Joined extends Error {}

/** What outlives the parts. */
export interface Surroundings {
  readonly door: RestDoor
  readonly cni: CniDoor
  readonly netavark: NetavarkDoor
  readonly sockets: HandedOver
  readonly service: Service
}

/** Builds everything and holds it until the daemon is stopped or joins another cluster. */
export async function runParts(
  settings: Settings,
  log: Log,
  { door, cni, netavark, sockets, service }: Surroundings,
  stop: AbortSignal,
): Promise<void> {
  const parts = new AbortController()
  const ended = Promise.withResolvers<void>()
  const fail = (error: unknown): void => ended.reject(error)
  stop.addEventListener('abort', () => parts.abort(stop.reason), { once: true })
  if (stop.aborted) return
  parts.signal.addEventListener('abort', () => ended.resolve())
  ended.promise.catch(() => undefined) // told to whoever waits for it, at the latest when all is built
  const signal = parts.signal
  const clock = systemClock()
  const now = (): Date => new Date(clock.wallMs())
  const random = (count: number): Uint8Array => randomBytes(count)
  const failpoint = process.env['CARRICK_FAILPOINT']

  // Who this host is, and how it is reached.
  await using cleanup = new AsyncDisposableStack()
  using start = new SlowStart(clock, log)
  const kernel = cleanup.use(openKernel())
  const { underlayAddresses, underlayDevice } = settings
  const underlayWish = {
    ...(underlayAddresses.length === 0 ? {} : { addresses: underlayAddresses }),
    ...(underlayDevice === undefined ? {} : { device: underlayDevice }),
  }
  const firstUnderlay = readUnderlay(kernel, underlayWish)
  const membership =
    settings.store.kind === 'etcd' ? undefined : readMembership(settings.stateDir, now())
  const journal = cleanup.use(openHostJournal(settings.stateDir, membership, log))
  const hostId = openIdentity({
    journal,
    machineId: machineId(),
    ...(membership === undefined ? {} : { joinedId: membership.hostId }),
    clock,
    random,
  })
  const underlay = new OwnUnderlay({
    first: firstUnderlay,
    description: {
      name: settings.hostName,
      vxlanPort: settings.vxlanPort,
      carriers: ['vxlan', 'direct', 'local'],
      version: VERSION,
    },
    journal,
    hostId,
    log: log.child('underlay'),
  })

  const dockerDoor = new DockerDoor({ settings, clock, log, inherited: sockets.docker })
  const toWait = (): void =>
    service.ready('Waiting for the shared store, and unable to do much before')

  // The shared store, and this host's place in it.
  start.at('open the shared store')
  const shared = cleanup.use(
    await openSharedStore({
      stateDir: settings.stateDir,
      hostId,
      hostName: settings.hostName,
      underlay: () => underlay.addresses,
      ...(settings.store.kind === 'etcd'
        ? {
            etcd: {
              endpoints: settings.store.endpoints,
              caFile: settings.storeCa,
              certFile: settings.storeCert,
              keyFile: settings.storeKey,
            },
          }
        : {}),
      membership,
      listen: settings.listen,
      joinListen: settings.joinListen,
      now,
      log: log.child('store'),
    }),
  )
  signal.addEventListener('abort', () => setTimeout(() => shared.hangUp(), FAREWELL_MS).unref())
  const { store } = shared
  const base = { store, journal, hostId, clock, random, signal }
  const register = async (): Promise<Host> => {
    const description = underlay.describe()
    const host = await registerHost({ ...base, description, log: log.child('identity') })
    // It may have moved meanwhile.
    return describeHost(journal, hostId, underlay.describe()) ?? host
  }
  const registered =
    describeHost(journal, hostId, underlay.describe()) ??
    (await dockerDoor.whileWaiting(persist(register, signal, REGISTER_MS), toWait))
  if (shared.kind === 'embedded') {
    await register()
    await shared.openDoor()
  } else {
    persist(register, signal, Number.POSITIVE_INFINITY).catch((error: unknown) => {
      if (!signal.aborted) fail(error)
    })
  }
  const instance = randomBytes(8).toString('hex')
  const lease = cleanup.use(
    holdLease({ ...base, bootId: bootId(), instance, log: log.child('lease') }),
  )
  lease.acquired.catch((error: unknown) => {
    if (!signal.aborted) fail(error)
  })

  // What is known, and what of it is told to others.
  start.at('hear from the shared store')
  const looped = Promise.withResolvers<void>()
  const replica = cleanup.use(
    createReplica({ ...base, log: log.child('replica'), listAfter: looped.promise }),
  )
  if (!replica.complete) log.info('waiting for the shared store', { store: shared.address })
  await dockerDoor.whileWaiting(Promise.race([replica.ready, ended.promise]), toWait)
  if (signal.aborted) return
  const publisher = cleanup.use(
    startPublisher({
      ...base,
      lease,
      gatherMs: GATHER_MS,
      onListed: (listener) => replica.onListed(listener),
      adopt: async (found) =>
        adoptEndpoints(found, {
          find: (macs) => findSandboxes(kernel, macs),
          takenNumbers: new Set(Array.from(replica.ownEndpoints(), ({ number }) => number)),
          deviceNameOf,
          log: log.child('adopt'),
        }),
      log: log.child('publisher'),
    }),
  )

  // The kernel, and the loop that keeps it as wanted.
  start.at('open the kernel')
  const run = randomUUID()
  const sandboxes = cleanup.use(new Sandboxes(kernel))
  const hostPorts = cleanup.use(new HostPorts(kernel))
  const inspector = new Inspector(kernel)
  const dataplane = cleanup.use(
    await startDataplane(
      {
        run,
        bpfDirectory: settings.bpfDir,
        runDirectory: settings.runDir,
        auditPeriodMs: settings.reconcilePeriodMs,
        underlay: { wish: underlayWish, first: firstUnderlay },
        ...(failpoint === undefined ? {} : { failpoint }),
      },
      () => sandboxes.list(),
      log.child('dataplane'),
    ),
  )
  const self = (): Host => replica.host(hostId) ?? registered
  const paths = new Paths({
    replica,
    memory: new PathMemory(journal, log.child('paths')),
    self,
    open: (address, onDatagram) => openUdp({ address, port: PROBE_PORT, onDatagram }),
    onNews: (body) => shared.hear(body),
    periodMs: settings.probePeriodMs,
    clock,
    random: () => randomBytes(4).readUInt32BE(),
    log: log.child('paths'),
    signal,
  })
  const loop = new Loop({
    replica,
    dataplane,
    self,
    underlayDevices: () => underlay.devices,
    paths: () => paths.limits,
    sequence: () => journal.sequence,
    now,
    log: log.child('loop'),
    signal,
    auditPeriodMs: settings.reconcilePeriodMs,
    packetMarkMask: settings.packetMarkMask,
    resolvers: settings.resolverAddresses,
  })
  journal.subscribe(() => killAt(failpoint)('commit'))

  dataplane.onFacts((facts) => {
    replica.setOwnFacts(facts)
    publisher.setFacts(facts)
  })
  paths.onChange(() => loop.lookAtPaths())
  underlay.onChange(() => void moved().catch(fail))
  dataplane.onUnderlay((found) => underlay.follow(found))

  // The use cases, and the doors through which they are asked.
  const control = cleanup.use(
    createControl({
      ...base,
      run,
      replica,
      ports: {
        ...{ sandboxes, hostPorts, inspector, settler: loop },
        shapes: endpointShapes(self, settings.resolverAddresses),
      },
      reports: {
        version: VERSION,
        store: { kind: shared.kind, address: () => shared.address },
        publishedSequence: () => publisher.publishedSequence,
        settled: () => loop.settledSequence >= journal.sequence && loop.failures.length === 0,
        driftRepaired: () => loop.drift,
        failures: () => [...loop.failures, ...unpublishedFailures(publisher.unpublished, now())],
        warnings: () => [
          ...dataplane.warnings,
          ...underlay.warnings,
          ...dockerDoor.warnings,
          ...pathWarnings(paths.reports, (id) => replica.host(id)?.name ?? id),
        ],
        paths: () => paths.reports,
      },
      caughtUp: publisher.ready,
      distrust: () => lease.distrust() ?? publisher.distrust(),
      createToken: ({ ttlSeconds }) => shared.createToken(ttlSeconds),
      readDrops: async () => {
        const numbers = new Map(
          Array.from(replica.ownEndpoints(), ({ device, number }) => [device, number]),
        )
        return (await dataplane.drops()).map(({ device, ...drop }) => ({
          ...drop,
          endpointNumber: numbers.get(device) ?? 0,
        }))
      },
      log: log.child('control'),
    }),
  )
  /** This host is elsewhere now: its plan follows, its store's door, and whoever asks there. */
  async function moved(): Promise<void> {
    loop.lookAtSelf()
    paths.refresh()
    const news = await shared.moved()
    if (news !== undefined) paths.announce(news)
  }

  const tellStatus = reportStatus(
    {
      read: () => ({
        appliedRevision: loop.appliedRevision,
        endpoints: replica.endpointCount(hostId),
        failures: loop.failures,
        paths: paths.reports,
      }),
      milestone: () => loop.networksRevision,
    },
    (status, milestone) => publisher.setStatus(status, milestone),
    now,
    signal,
  )
  loop.onNetworks(tellStatus)
  let watched: DockerWatch | undefined
  const api = createRestApi({
    control,
    docker: () => watched?.view,
    hostName: registered.name,
    log,
    version: VERSION,
    ready: () => replica.complete,
    caller: (pid) => callerOf(sockets.api?.path ?? settings.socket, pid),
    subscribe: documentChanges(replica),
    ...(shared.kind === 'embedded' ? { join: joinElsewhere } : {}),
  })
  paths.start()
  start.at('make the kernel as wanted')
  await loop.start()
  start.at('open the doors')
  looped.resolve()
  cleanup.use(startNameService({ replica, settings, clock, log: log.child('names') }))
  await using _serving = door.serve(api)
  const { stateDir, runDir } = settings
  await using _attaching = startCni({ control, door: cni, stateDir, runDir, clock, log })
  using _podman = netavark.serve({ control, clock, log: log.child('netavark') })
  await using _engines = await dockerDoor.open(control, hostId)
  // What the start needed of the program, or many changes at once, need not stay in memory.
  const pages = programPages()
  const lull = cleanup.use(new Lull(LULL_MS, () => pages.letGo()))
  replica.subscribe(() => lull.busy())
  lull.busy()
  await using watch = watchDocker({ settings, control, replica, journal, clock, log })
  watched = watch
  using _alive = service.watch(() => dataplane.apply([]))
  start[Symbol.dispose]()
  service.ready(`Answering as host ${registered.name}, store ${shared.address}`)
  log.info('daemon ready', { host: hostId, store: shared.address, revision: replica.revision })
  await ended.promise
  log.info('daemon stopping', { reason: signal.reason instanceof Joined ? 'joined' : 'signal' })

  /** Gives up this host's own, empty cluster for the one at `address`. */
  async function joinElsewhere(request: { address: string; token: string }): Promise<{
    hostId: string
    hostName: string
    store: string
  }> {
    const used = [...replica.networks()].length > 0 || [...replica.hosts()].length > 1
    if (used) {
      throw new NetworkError(
        'conflict',
        'Cannot join another cluster: this host has one of its own, with networks or other hosts in it',
        { hint: 'remove its networks and hosts first: carrick network ls; carrick host ls' },
      )
    }
    const { joinCluster } = await import('./store/served/join-client.ts')
    const joined = await joinCluster({ ...request, name: settings.hostName, hostId, now: now() })
    writeMembership(settings.stateDir, joined)
    log.info('joined', { host: joined.hostId, store: joined.storeEndpoints.join(',') })
    door.hold()
    setImmediate(() => parts.abort(new Joined('joined')))
    return {
      hostId: joined.hostId,
      hostName: settings.hostName,
      store: joined.storeEndpoints.join(','),
    }
  }
}
