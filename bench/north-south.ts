/**
 * Containers and the world outside: a container calls a plain process on another host through masquerade
 * (`outward`), and that host calls a container through a published port (`published`), beside a real Docker
 * engine's bridge doing the same with `-p`. Each subject has two hosts of its own on a bare wire.
 * Rounds are short and many: the subjects differ by less than the machine does from one second to the next.
 * `published-1000` publishes a thousand ports more and tells what that costs a connection, and how long one
 * more takes.
 */
import { DockerEngine, engineProblem, IMAGE } from '../src/lab/docker-engine.ts'
import type { Lab } from '../src/lab/lab.ts'
import { withBenchLab } from './bench-lab.ts'
import { attach, checkExecutable, type Daemon, startDaemon } from './fabric.ts'
import { interleave, type Measurement } from './interleave.ts'
import { waitUntilQuiet } from './quiet.ts'
import { type Bound, median, plainRow, type Row } from './rows.ts'
import type { Suite, SuiteOptions } from './suite.ts'
import {
  buildTraffic,
  measureTraffic,
  TRAFFIC,
  type TrafficEnds,
  type TrafficMetric,
} from './traffic.ts'

const SUITE = 'north-south'
const METRICS = ['tcp_rr', 'tcp_crr', 'tcp_stream'] as const satisfies readonly TrafficMetric[]
const PORT = 5201
const PUBLISHED = 6201
const MANY = 1000
const FIRST_OF_MANY = 20_000
const ONE_MORE_TIMES = 20

interface World {
  readonly subject: 'carrick' | 'carrick-1000' | 'docker-bridge'
  readonly outward: TrafficEnds
  readonly published: TrafficEnds
}

const bounds: readonly Bound[] = [
  ...['outward', 'published'].flatMap((path) =>
    METRICS.map(
      (metric): Bound => ({
        ...{ path, metric, subject: 'carrick', what: 'ratio', is: 'at least', value: 1 },
      }),
    ),
  ),
  // A connection may take 1.05 times as long.
  {
    ...{ path: 'published-1000', metric: 'tcp_crr', subject: 'carrick-1000' },
    ...{ what: 'ratio', is: 'at least', value: 1 / 1.05 },
  },
  {
    ...{ path: 'published-1000', metric: 'publish_ms', subject: 'carrick-1000' },
    ...{ what: 'median', is: 'at most', value: 5 },
  },
]

export const northSouth: Suite = { name: SUITE, bounds, run }

async function run(options: SuiteOptions): Promise<readonly Row[]> {
  const { quick, rounds, subjects, progress } = options
  const wanted = (name: string) => subjects === undefined || subjects.has(name)
  const problem = wanted('docker-bridge') ? engineProblem() : undefined
  if (problem !== undefined) throw new Error(problem)
  checkExecutable()
  await buildTraffic()
  return await withBenchLab('ns-a', (a) =>
    withBenchLab('ns-b', (b) =>
      withBenchLab('ns-c', async (c) => {
        progress('starting a daemon, another with a thousand ports, and a Docker engine')
        const docker = wanted('docker-bridge') ? [await makeDocker(a)] : []
        const carrick = await makeCarrick(b, 'carrick')
        const crowded = await makeCarrick(c, 'carrick-1000')
        await publishMany(crowded.daemon, crowded.endpointId)
        const worlds = [...docker, carrick.world]
        const rows = await interleave(measurementsOf(worlds, crowded.world, quick ? 0.3 : 0.4), {
          suite: SUITE,
          rounds: rounds ?? (quick ? 3 : 40),
          settle: () => waitUntilQuiet(quick ? 300 : 6000),
          progress,
        })
        return [...rows, await measureOneMore(crowded.daemon, crowded.endpointId)]
      }),
    ),
  )
}

/** Path by path and metric by metric, what is compared right after another. */
function measurementsOf(
  worlds: readonly World[],
  crowded: World,
  seconds: number,
): readonly Measurement[] {
  const against = worlds.some(({ subject }) => subject === 'docker-bridge')
    ? { against: 'docker-bridge' }
    : {}
  const one = (
    path: string,
    metric: TrafficMetric,
    { subject }: Pick<World, 'subject'>,
    ends: TrafficEnds,
    base: { readonly against?: string },
  ): Measurement => ({
    paths: [path],
    metric,
    unit: TRAFFIC[metric].unit,
    subject,
    ...base,
    measure: () => measureTraffic(metric, ends, seconds),
  })
  const carrick = worlds.find(({ subject }) => subject === 'carrick')
  return [
    ...(['outward', 'published'] as const).flatMap((path) =>
      METRICS.flatMap((metric) =>
        worlds.map((world) =>
          one(path, metric, world, world[path], world.subject === 'carrick' ? against : {}),
        ),
      ),
    ),
    ...(carrick === undefined
      ? []
      : [
          one('published-1000', 'tcp_crr', carrick, carrick.published, {}),
          one('published-1000', 'tcp_crr', crowded, crowded.published, { against: 'carrick' }),
        ]),
  ]
}

/** Both ways between a container on the first host and a plain process on the second. */
function worldOf(
  lab: Lab,
  subject: World['subject'],
  container: { readonly netns: string; readonly address: string },
): World {
  const [inside = '', outside = ''] = lab.hosts.map(({ underlay }) => underlay[0].ip)
  const plain = lab.netns('h2')
  return {
    subject,
    outward: { clientNetns: container.netns, serverNetns: plain, serverAddress: outside },
    published: {
      clientNetns: plain,
      serverNetns: container.netns,
      serverAddress: inside,
      translated: { port: PUBLISHED, bindAddress: container.address, bindPort: PORT },
    },
  }
}

async function makeCarrick(
  lab: Lab,
  subject: World['subject'],
): Promise<{ world: World; daemon: Daemon; endpointId: string }> {
  const daemon = await startDaemon(lab, 'h1')
  await daemon.api.createNetwork('shop', ['10.81.0.0/16'], 'local')
  const container = await lab.container('h1', 'web')
  const [address = ''] = await attach(daemon, 'shop', container)
  const { metadata } = await daemon.api.endpoint('web')
  await daemon.api.publish(metadata.id, { hostPort: PUBLISHED, containerPort: PORT })
  return {
    world: worldOf(lab, subject, { netns: container.pin, address }),
    daemon,
    endpointId: metadata.id,
  }
}

async function makeDocker(lab: Lab): Promise<World> {
  // The kernel's default, which the lab switches off: dockerd loads br_netfilter on every machine it runs on.
  for (const family of ['ip', 'ip6']) {
    await lab.run('h1', ['sysctl', '-w', `net.bridge.bridge-nf-call-${family}tables=1`])
  }
  const engine = await DockerEngine.start(lab, 'h1')
  const port = `${PUBLISHED}:${PORT}`
  await engine.docker('run', '-d', '--name', 'web', '-p', port, IMAGE, 'sleep', '86400')
  const address = await engine.docker(
    ...['inspect', '--format', '{{.NetworkSettings.IPAddress}}', 'web'],
  )
  const netns = `/proc/${await engine.pidOf('web')}/ns/net`
  return worldOf(lab, 'docker-bridge', { netns, address })
}

async function publishMany({ api }: Daemon, endpointId: string): Promise<void> {
  for (let i = 0; i < MANY; i++) {
    await api.publish(endpointId, { hostPort: FIRST_OF_MANY + i, containerPort: PORT })
  }
}

/** How long publishing takes where a thousand ports are published. */
async function measureOneMore({ api }: Daemon, endpointId: string): Promise<Row> {
  const took: number[] = []
  for (let i = 0; i < ONE_MORE_TIMES; i++) {
    const begun = performance.now()
    await api.publish(endpointId, { hostPort: FIRST_OF_MANY + MANY + i, containerPort: PORT })
    took.push(performance.now() - begun)
  }
  return plainRow({
    suite: SUITE,
    path: 'published-1000',
    metric: 'publish_ms',
    unit: 'ms',
    subject: 'carrick-1000',
    median: median(took),
    runs: took.length,
  })
}
