/**
 * What a packet's way costs: containers joined by carrick against containers joined by nothing but a veth
 * pair (`same-host`), and across two hosts against the wire between two hosts itself (`across-*`). The
 * wire is a veth pair, so what is compared is processor time per packet and nothing else. It lies between hosts of
 * its own, without a daemon, whose tables would be part of what it costs.
 */
import type { Lab } from '../src/lab/lab.ts'
import { bareVeth, bareWire } from './bare.ts'
import { withBenchLab } from './bench-lab.ts'
import { attach, checkExecutable, startFabric } from './fabric.ts'
import { interleave, type Measurement } from './interleave.ts'
import { waitUntilQuiet } from './quiet.ts'
import type { Bound, Row } from './rows.ts'
import type { Suite, SuiteOptions } from './suite.ts'
import {
  buildTraffic,
  measureTraffic,
  TRAFFIC,
  type TrafficEnds,
  type TrafficMetric,
} from './traffic.ts'

const SUITE = 'datapath'
const CARRIERS = ['local', 'vxlan', 'direct'] as const
const PATHS = { local: 'same-host', vxlan: 'across-vxlan', direct: 'across-direct' } as const

interface Subject {
  readonly name: 'veth' | 'wire' | 'carrick'
  readonly paths: readonly string[]
  readonly against?: 'veth' | 'wire'
  readonly ends: TrafficEnds
}

/** Least ratios to the bare path: request rate, connections, one stream, UDP packets. */
const LEAST = {
  'same-host': { tcp_rr: 0.9, tcp_crr: 0.92, tcp_stream: 0.93, udp_pps: 0.88 },
  'across-vxlan': { tcp_rr: 0.76, tcp_crr: 0.74, tcp_stream: 0.78, udp_pps: 0.65 },
  'across-direct': { tcp_rr: 0.8, tcp_crr: 0.76, tcp_stream: 0.82, udp_pps: 0.65 },
} as const

const bounds: readonly Bound[] = Object.entries(LEAST).flatMap(([path, least]) =>
  Object.entries(least).map(
    ([metric, value]): Bound => ({
      path,
      metric,
      subject: 'carrick',
      what: 'ratio',
      is: 'at least',
      value,
    }),
  ),
)

export const datapath: Suite = { name: SUITE, bounds, run }

async function run({ quick, rounds, subjects, progress }: SuiteOptions): Promise<readonly Row[]> {
  const wanted = (name: string) => subjects === undefined || subjects.has(name)
  if (wanted('carrick')) checkExecutable()
  await buildTraffic()
  const seconds = quick ? 0.3 : 1
  return await withBenchLab(SUITE, (lab) =>
    withBenchLab('bare', async (bare) => {
      const nobodys: readonly Subject[] = [
        { name: 'veth', paths: [PATHS.local], ends: await bareVeth(bare) },
        { name: 'wire', paths: [PATHS.vxlan, PATHS.direct], ends: bareWire(bare) },
      ]
      const found = [
        ...nobodys.filter(({ name }) => wanted(name)),
        ...(wanted('carrick') ? await makeCarrick(lab, progress) : []),
      ]
      return await interleave(measurementsOf(found, seconds), {
        suite: SUITE,
        rounds: rounds ?? (quick ? 3 : 15),
        settle: () => waitUntilQuiet(quick ? 300 : 6000),
        progress,
      })
    }),
  )
}

/** Metric by metric and base by base, so that what is compared is measured within seconds. */
function measurementsOf(subjects: readonly Subject[], seconds: number): readonly Measurement[] {
  const metrics = Object.keys(TRAFFIC) as TrafficMetric[]
  const present = new Set(subjects.map(({ name }) => name))
  const grouped = subjects.toSorted((a, b) => byBase(a) - byBase(b))
  return metrics.flatMap((metric) =>
    grouped.map(({ name, paths, against, ends }): Measurement => {
      const base = against !== undefined && present.has(against) ? { against } : {}
      const { unit } = TRAFFIC[metric]
      const measure = () => measureTraffic(metric, ends, seconds)
      return { paths, metric, unit, subject: name, ...base, measure }
    }),
  )
}

/** A base comes right before the subjects that are compared with it. */
function byBase({ name, against }: Subject): number {
  return ((against ?? name) === 'veth' ? 0 : 2) + (against === undefined ? 0 : 1)
}

/** One network per carrier with a container at either end, on daemons as users run them. */
async function makeCarrick(
  lab: Lab,
  progress: SuiteOptions['progress'],
): Promise<readonly Subject[]> {
  progress('starting a daemon in each of two hosts')
  const [first, second] = await startFabric(lab)
  if (first === undefined || second === undefined) throw new Error('Two hosts have two daemons')
  const subjects: Subject[] = []
  for (const [index, carrier] of CARRIERS.entries()) {
    const network = `bench-${carrier}`
    await first.api.createNetwork(network, [`10.8${index}.0.0/16`, `fd8${index}::/48`], carrier)
    const there = carrier === 'local' ? first : second
    await there.api.settled(20_000)
    const client = await lab.container(first.host, `${carrier}-client`)
    const server = await lab.container(there.host, `${carrier}-server`)
    await attach(first, network, client)
    const [serverAddress = ''] = await attach(there, network, server)
    subjects.push({
      name: 'carrick',
      paths: [PATHS[carrier]],
      against: carrier === 'local' ? 'veth' : 'wire',
      ends: { clientNetns: client.pin, serverNetns: server.pin, serverAddress },
    })
  }
  return subjects
}
