/**
 * Containers of real Docker engines: on one engine (`same-host`) beside the engine's own bridge, across two engines
 * (`across`) beside a real swarm overlay, and what the network adds to `docker run` (`start`). Ours and theirs have
 * two hosts each on a bare wire, so that neither meets the other's rules; starts are compared on one engine. What
 * nobody can beat is measured along: a bare veth pair, the bare wire, and Docker's own driver that does least.
 */
import { DockerEngine, engineProblem, IMAGE } from '../src/lab/docker-engine.ts'
import type { Lab } from '../src/lab/lab.ts'
import { bareVeth, bareWire } from './bare.ts'
import { withBenchLab } from './bench-lab.ts'
import { checkExecutable, startFabric, until } from './fabric.ts'
import { interleave, type Measurement } from './interleave.ts'
import { waitUntilQuiet } from './quiet.ts'
import { type Bound, median, type Row, rounded } from './rows.ts'
import type { Suite, SuiteOptions } from './suite.ts'
import {
  buildTraffic,
  measureTraffic,
  TRAFFIC,
  type TrafficEnds,
  type TrafficMetric,
} from './traffic.ts'

const SUITE = 'docker'
const METRICS = ['tcp_rr', 'tcp_crr', 'tcp_stream', 'udp_pps'] as const
const NETWORK = 'blue'
const BRIDGE = 'beside'
const OVERLAY = 'over'
/** A device in the container and nothing else: what is left of a start's cost is the engine's own. */
const MACVLAN = 'least'
/** A start takes a quarter of a second and scatters by a fifth of it. */
const STARTS = 40

type Path = 'same-host' | 'across'

/** How one subject carries packets. */
interface Subject {
  readonly name: 'docker-bridge' | 'docker-overlay' | 'carrick' | 'veth' | 'wire'
  readonly ends: Partial<Readonly<Record<Path, TrafficEnds>>>
}

/** What Docker itself has on that path: everything else is compared with it. */
const THEIRS = { 'same-host': 'docker-bridge', across: 'docker-overlay' } as const

const bounds: readonly Bound[] = [
  ...(
    [
      ['same-host', 'tcp_rr', 1.25],
      ['same-host', 'tcp_crr', 1.35],
      ['across', 'tcp_rr', 1.5],
      ['across', 'tcp_crr', 1.7],
    ] as const
  ).map(
    ([path, metric, value]): Bound => ({
      ...{ path, metric, subject: 'carrick', what: 'ratio', is: 'at least', value },
    }),
  ),
  {
    ...{ path: 'start', metric: 'network_ms', subject: 'carrick' },
    ...{ what: 'ratio', is: 'at most', value: 0.5 },
  },
]

export const dockerSuite: Suite = { name: SUITE, bounds, run }

async function run(options: SuiteOptions): Promise<readonly Row[]> {
  const { quick, rounds, progress } = options
  const problem = engineProblem()
  if (problem !== undefined) throw new Error(problem)
  checkExecutable()
  await buildTraffic()
  return await withBenchLab('docker-a', (theirs) =>
    withBenchLab('docker-b', (ours) =>
      withBenchLab('docker-c', async (nobodys) => {
        progress('starting two engines in a swarm, and two beside a daemon each')
        const docker = await makeDocker(theirs)
        const bare: readonly Subject[] = [
          { name: 'veth', ends: { 'same-host': await bareVeth(nobodys) } },
          { name: 'wire', ends: { across: bareWire(nobodys) } },
        ]
        const { subject, engine } = await makeCarrick(ours)
        const traffic = await interleave(
          measurementsOf([...docker, ...bare, subject], quick ? 0.3 : 1),
          {
            ...{ suite: SUITE, rounds: rounds ?? (quick ? 3 : 7), progress },
            settle: () => waitUntilQuiet(quick ? 300 : 6000),
          },
        )
        return [...traffic, ...(await measureStarts(engine, quick ? 8 : STARTS, progress))]
      }),
    ),
  )
}

/** Path by path and metric by metric, theirs and ours right after another. */
function measurementsOf(subjects: readonly Subject[], seconds: number): readonly Measurement[] {
  return (['same-host', 'across'] as const).flatMap((path) =>
    METRICS.flatMap((metric) =>
      subjects.flatMap(({ name, ends }): Measurement[] => {
        const found = ends[path]
        if (found === undefined) return []
        return [measurementOf(path, metric, name, found, seconds)]
      }),
    ),
  )
}

function measurementOf(
  path: Path,
  metric: TrafficMetric,
  subject: Subject['name'],
  ends: TrafficEnds,
  seconds: number,
): Measurement {
  return {
    ...{ paths: [path], metric, unit: TRAFFIC[metric].unit, subject },
    ...(subject === THEIRS[path] ? {} : { against: THEIRS[path] }),
    measure: () => measureTraffic(metric, ends, seconds),
  }
}

async function makeDocker(lab: Lab): Promise<readonly Subject[]> {
  const [first, second] = await startEngines(lab)
  await first.docker('network', 'create', BRIDGE)
  const address = lab.hosts[0]?.underlay[0].ip ?? ''
  await first.docker('swarm', 'init', '--advertise-addr', address)
  const token = await first.docker('swarm', 'join-token', '-q', 'worker')
  await second.docker('swarm', 'join', '--token', token, `${address}:2377`)
  await first.docker('network', 'create', '-d', 'overlay', '--attachable', OVERLAY)
  return [
    {
      name: 'docker-bridge',
      ends: { 'same-host': await endsIn(BRIDGE, [first, 'b1'], [first, 'b2']) },
    },
    {
      name: 'docker-overlay',
      ends: { across: await endsIn(OVERLAY, [first, 'o1'], [second, 'o2']) },
    },
  ]
}

async function makeCarrick(lab: Lab): Promise<{ subject: Subject; engine: DockerEngine }> {
  await startFabric(lab)
  const [first, second] = await startEngines(lab)
  await first.docker('network', 'create', BRIDGE)
  await first.docker(
    ...['network', 'create', '-d', 'carrick', '--ipam-driver', 'carrick'],
    ...['--subnet', '10.90.0.0/16', '-o', 'carrick.carrier=vxlan', NETWORK],
  )
  await until(`the second engine shows ${NETWORK}`, async () => {
    return (await second.run('network', 'inspect', NETWORK)).exitCode === 0
  })
  const ends = {
    'same-host': await endsIn(NETWORK, [first, 'c1'], [first, 'c2']),
    across: await endsIn(NETWORK, [first, 'c3'], [second, 'c4']),
  }
  return { subject: { name: 'carrick', ends }, engine: first }
}

async function startEngines(lab: Lab): Promise<readonly [DockerEngine, DockerEngine]> {
  const [first, second] = lab.hosts
  if (first === undefined || second === undefined) throw new Error('A bench has two hosts')
  return [await DockerEngine.start(lab, first.name), await DockerEngine.start(lab, second.name)]
}

/** A container at either end; the first calls. */
async function endsIn(
  network: string,
  [clientEngine, client]: readonly [DockerEngine, string],
  [serverEngine, server]: readonly [DockerEngine, string],
): Promise<TrafficEnds> {
  for (const [engine, name] of [
    [clientEngine, client],
    [serverEngine, server],
  ] as const) {
    await engine.docker('run', '-d', '--name', name, '--network', network, IMAGE, 'sleep', '86400')
  }
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`
  return {
    clientNetns: `/proc/${await clientEngine.pidOf(client)}/ns/net`,
    serverNetns: `/proc/${await serverEngine.pidOf(server)}/ns/net`,
    serverAddress: await serverEngine.docker('inspect', '--format', format, server),
  }
}

/**
 * Milliseconds of `docker run` by network, in turns, and what each network adds to having none; without and with a
 * published port. Most of it is the engine's own, whatever the driver: for every network of a user's it runs
 * iptables a dozen times in the container, for its name server.
 */
async function measureStarts(
  engine: DockerEngine,
  times: number,
  progress: SuiteOptions['progress'],
): Promise<readonly Row[]> {
  const plain = {
    ...{ none: 'none', 'docker-bridge': BRIDGE, carrick: NETWORK },
    ...((await hasMacvlan(engine)) ? { 'docker-macvlan': MACVLAN } : {}),
  }
  const published = { 'docker-bridge': BRIDGE, carrick: NETWORK }
  const starts = [
    ...Object.entries(plain).map(([subject, network]) => new Starts('start', subject, network, [])),
    ...Object.entries(published).map(
      ([subject, network]) => new Starts('start-published', subject, network, ['-p', '80']),
    ),
  ]
  for (let time = 0; time < times; time++) {
    // Whoever comes first after the removals before is not always the same.
    for (const i of starts.keys()) await starts[(i + time) % starts.length]?.take(engine)
  }
  const none = starts.find(({ subject }) => subject === 'none')?.tookMs ?? []
  const rows = starts.flatMap(({ path, subject, tookMs }): Row[] => {
    const cost = median(tookMs.map((value, time) => value - (none[time] ?? Number.NaN)))
    const row = (metric: string, value: number): Row => ({
      ...{ suite: SUITE, path, metric, unit: 'ms', subject, median: rounded(value) },
      ...{ runs: times, against: null, ratio: null },
    })
    return [row('run_ms', median(tookMs)), ...(subject === 'none' ? [] : [row('network_ms', cost)])]
  })
  for (const { path, metric, subject, median: value } of rows) {
    progress(`${path} ${metric} ${subject}: ${value.toPrecision(4)} ms`)
  }
  return rows.map((row) => {
    if (row.subject === 'docker-bridge' || row.metric !== 'network_ms') return row
    const base = rows.find(
      ({ path, metric, subject }) =>
        path === row.path && metric === row.metric && subject === 'docker-bridge',
    )
    if (base === undefined) throw new Error(`No docker-bridge for ${row.path}`)
    return { ...row, against: base.subject, ratio: rounded(row.median / base.median) }
  })
}

/** Some kernels have none. */
async function hasMacvlan(engine: DockerEngine): Promise<boolean> {
  await engine.docker(
    ...['network', 'create', '-d', 'macvlan', '-o', 'parent=eth0'],
    ...['--subnet', '198.51.100.0/24', MACVLAN],
  )
  const { exitCode } = await engine.run('run', '--rm', '--network', MACVLAN, IMAGE, 'true')
  return exitCode === 0
}

/** Starts of one kind of container, one after another. */
class Starts {
  readonly path: string
  readonly subject: string
  readonly tookMs: number[] = []
  readonly #argv: readonly string[]

  constructor(path: string, subject: string, network: string, flags: readonly string[]) {
    this.path = path
    this.subject = subject
    this.#argv = ['run', '-d', '--name', 'start', '--network', network, ...flags]
  }

  async take(engine: DockerEngine): Promise<void> {
    const began = performance.now()
    await engine.docker(...this.#argv, IMAGE, 'sleep', '60')
    this.tookMs.push(performance.now() - began)
    await engine.docker('rm', '-f', 'start')
  }
}
