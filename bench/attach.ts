/**
 * What it costs to attach a container, asked through the API as front ends do, in a cluster of 20,000 remote
 * endpoints in one network; and what the daemon itself costs then. Namespaces exist before the clock starts.
 *
 * Machines differ by two in what the same calls take, and one machine from minute to minute: what is asked in
 * milliseconds is held to what CNI's `bridge` with `host-local` takes for one ADD right before and right after, as a
 * share of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab, LabContainer } from '../src/lab/lab.ts'
import { withBenchLab } from './bench-lab.ts'
import { measureReferenceAdd, REFERENCE_ADD_MS, referenceProblem } from './cni/reference.ts'
import { processorPercent, residentMegabytes } from './daemon-usage.ts'
import { checkExecutable, type Daemon, startDaemon, until } from './fabric.ts'
import { waitUntilQuiet } from './quiet.ts'
import { RemoteWorld } from './remote-world.ts'
import { type Bound, median, plainRow, quantile, type Row, rounded } from './rows.ts'
import type { Suite, SuiteOptions } from './suite.ts'
import { buildTraffic, measureLoss } from './traffic.ts'

const SUITE = 'attach'
const PATH = 'api'
const NETWORK = 'bench'
const LOCAL = 1000
const REMOTE_HOSTS = 80
const REMOTE_PER_HOST = 250
const RESTARTED = 500
const AT_ONCE = 8
const CHANGES_PER_SECOND = 20
const LOSS_SECONDS = 6
/** What the last change leaves to compile, to collect and to compare is done by then. */
const REST_MS = 15_000
/** A whole period of comparison. */
const IDLE_SECONDS = 30

const MOST = {
  attach_p50_ms: 3,
  attach_p99_ms: 15,
  attach1000_ms: 3000,
  last_to_first: 2,
  detach1000_ms: 2000,
  rss_mb: 150,
  idle_percent: 0.5,
  settle_ms: 2000,
  lost_packets: 0,
} as const

const bounds: readonly Bound[] = [
  ...Object.entries(MOST)
    .filter(([metric]) => isTime(metric))
    .map(([metric, value]): Bound => {
      const share = value / REFERENCE_ADD_MS
      const why = `${value} ms where the bridge takes ${REFERENCE_ADD_MS}`
      return {
        ...{ path: PATH, metric, subject: 'carrick', is: 'at most', why },
        what: 'ratio',
        value: share,
      }
    }),
  ...Object.entries(MOST).map(
    ([metric, value]): Bound => ({
      ...{ path: PATH, metric, subject: 'carrick', what: 'median', is: 'at most', value },
    }),
  ),
]

export const attachSuite: Suite = { name: SUITE, bounds, run }

async function run(options: SuiteOptions): Promise<readonly Row[]> {
  checkExecutable()
  await buildTraffic()
  const problem = referenceProblem()
  if (problem !== undefined) {
    options.progress(`without a peer beside it: ${problem}`)
    return await measure(options)
  }
  const bridge = new Bridge(options)
  const rows = await measure(options, bridge)
  return [bridge.row, ...rows]
}

function isTime(metric: string): boolean {
  return metric.endsWith('_ms')
}

/** The peer, asked between phases. */
class Bridge {
  readonly #times: number
  readonly #progress: SuiteOptions['progress']
  readonly #addMs: number[] = []

  constructor({ quick, progress }: SuiteOptions) {
    this.#times = quick ? 10 : 40
    this.#progress = progress
  }

  async look(): Promise<void> {
    const addMs = await measureReferenceAdd(this.#times)
    this.#addMs.push(addMs)
    this.#progress(`one ADD of the bridge: ${addMs.toPrecision(4)} ms`)
  }

  /** Of what was measured between the last two looks. */
  beside(row: Row): Row {
    if (!isTime(row.metric)) return row
    const [before, after] = this.#addMs.slice(-2)
    if (before === undefined || after === undefined) throw new Error('A phase has two looks')
    return { ...row, against: 'bridge', ratio: rounded((2 * row.median) / (before + after)) }
  }

  get row(): Row {
    return plainRow({
      ...{ suite: SUITE, path: PATH, metric: 'add_ms', unit: 'ms', subject: 'bridge' },
      ...{ median: median(this.#addMs), runs: this.#addMs.length * this.#times },
    })
  }
}

async function measure(
  { quick, rounds, progress }: SuiteOptions,
  bridge?: Bridge,
): Promise<readonly Row[]> {
  return await withBenchLab(SUITE, async (lab) => {
    progress(`filling a store with ${REMOTE_HOSTS * REMOTE_PER_HOST} endpoints of made-up hosts`)
    const { world, daemon } = await makeCluster(lab)
    progress(`making ${LOCAL + AT_ONCE + 1} network namespaces`)
    const residents = await lab.containers(daemon.host, names('resident', LOCAL))
    const guests = await lab.containers(daemon.host, names('guest', AT_ONCE + 1))
    await waitUntilQuiet(6000)

    const rows: Row[] = []
    const tell = (metric: string, unit: string, value: number, runs = 1) => {
      const row = {
        suite: SUITE,
        path: PATH,
        metric,
        unit,
        subject: 'carrick',
        median: value,
        runs,
      }
      rows.push(plainRow(row))
      progress(`${metric}: ${value.toPrecision(4)} ${unit}`)
    }

    const phase = async (work: () => Promise<void>) => {
      const first = rows.length
      await work()
      await bridge?.look()
      if (bridge !== undefined) rows.push(...rows.splice(first).map((row) => bridge.beside(row)))
    }

    await bridge?.look()
    await phase(async () => {
      const took = await inTurn(residents, (container) => attachOne(daemon, container))
      tell('attach1000_ms', 'ms', sum(took))
      tell('last_to_first', '1', median(took.slice(-100)) / median(took.slice(0, 100)))
    })

    await sleep(quick ? 0 : REST_MS)
    await waitUntilQuiet(6000)
    const pid = daemon.process.pid ?? 0
    tell('idle_percent', '%', await processorPercent(pid, quick ? 3 : IDLE_SECONDS))
    tell('rss_mb', 'MB', residentMegabytes(pid))

    await bridge?.look()
    await phase(async () => {
      await world.ask({ ask: 'churn', changesPerSecond: CHANGES_PER_SECOND })
      const samples = rounds ?? (quick ? 100 : 500)
      const busy = await attachUnderDetaches(daemon, guests, samples)
      tell('attach_p50_ms', 'ms', quantile(busy, 0.5), samples)
      tell('attach_p99_ms', 'ms', quantile(busy, 0.99), samples)
      const together = await attachTogether(daemon, guests, Math.ceil(samples / 10))
      tell('add8_ms', 'ms', median(together), together.length)
      await world.ask({ ask: 'churn', changesPerSecond: 0 })
    })

    await phase(async () => {
      const left = await inTurn(residents, (container) => detachOne(daemon, container))
      tell('detach1000_ms', 'ms', sum(left))
    })

    await phase(async () => {
      const { settleMs, lost } = await restart(lab, daemon, world, residents.slice(0, RESTARTED))
      tell('settle_ms', 'ms', settleMs)
      tell('lost_packets', '1', lost)
    })
    return rows
  })
}

/** One real daemon in a cluster whose other hosts are made up. */
async function makeCluster(
  lab: Lab,
): Promise<{ readonly world: RemoteWorld; readonly daemon: Daemon }> {
  const world = await RemoteWorld.start(lab, 'h2')
  const daemon = await startDaemon(lab, 'h1', ['--store', world.storeUrl])
  const subnets = ['10.96.0.0/12', 'fd96::/48']
  const { metadata } = await daemon.api.createNetwork(NETWORK, subnets, 'vxlan')
  await world.ask({
    ask: 'fill',
    networkId: metadata.id,
    hosts: REMOTE_HOSTS,
    endpointsPerHost: REMOTE_PER_HOST,
  })
  await until('the daemon knows every remote endpoint', async () => {
    const { endpoints } = (await daemon.api.status()).status
    return endpoints.remote === REMOTE_HOSTS * REMOTE_PER_HOST
  })
  await daemon.api.settled(20_000)
  return { world, daemon }
}

async function attachOne({ api }: Daemon, { netns, name }: LabContainer): Promise<void> {
  await api.attach(NETWORK, { netns, name })
}

async function detachOne({ api }: Daemon, { name }: LabContainer): Promise<void> {
  await api.detach(name)
}

/** Milliseconds of each attach while eight detaches are under way, which were asked for just before. */
async function attachUnderDetaches(
  daemon: Daemon,
  guests: readonly LabContainer[],
  samples: number,
): Promise<readonly number[]> {
  const [guest, ...leaving] = guests
  if (guest === undefined) throw new Error('Needs guests')
  const took: number[] = []
  while (took.length < samples) {
    for (const container of leaving) await attachOne(daemon, container)
    const detaches = leaving.map((container) => detachOne(daemon, container))
    took.push(await timed(() => attachOne(daemon, guest)))
    await Promise.all(detaches)
    await detachOne(daemon, guest)
  }
  return took
}

/** Milliseconds until eight attaches asked for at once have all been answered. */
async function attachTogether(
  daemon: Daemon,
  guests: readonly LabContainer[],
  samples: number,
): Promise<readonly number[]> {
  const together = guests.slice(0, AT_ONCE)
  const took: number[] = []
  while (took.length < samples) {
    const all = () => Promise.all(together.map((container) => attachOne(daemon, container)))
    took.push(await timed(all))
    for (const container of together) await detachOne(daemon, container)
  }
  return took
}

/** Ends the daemon and starts it again while a packet a millisecond goes between two of its containers. */
async function restart(
  lab: Lab,
  daemon: Daemon,
  world: RemoteWorld,
  residents: readonly LabContainer[],
): Promise<{ readonly settleMs: number; readonly lost: number }> {
  const [client, server] = residents
  if (client === undefined || server === undefined) throw new Error('Needs two residents')
  for (const container of residents) await attachOne(daemon, container)
  const serverAddress = (await daemon.api.endpoint(server.name)).spec.addresses[0] ?? ''
  const ends = { clientNetns: client.pin, serverNetns: server.pin, serverAddress }
  const loss = measureLoss(ends, LOSS_SECONDS)
  const ended = new Promise((resolve) => daemon.process.once('exit', resolve))
  daemon.process.kill('SIGTERM')
  await ended
  daemon.api[Symbol.dispose]()
  const settleMs = await timed(async () => {
    const again = await startDaemon(lab, daemon.host, ['--store', world.storeUrl])
    await again.api.settled(20_000)
  })
  return { settleMs, lost: await loss }
}

/** Milliseconds of each, one after another. */
async function inTurn<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<readonly number[]> {
  const took: number[] = []
  for (const item of items) took.push(await timed(() => work(item)))
  return took
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function names(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
}
