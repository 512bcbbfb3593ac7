/**
 * Calls of CNI: what ours takes with everything on (masquerade, a published port, spoof protection, isolation)
 * beside Debian's reference plug-ins, one after another (`bare`, `masq`, `full`) and eight at once (`…-8`), and
 * beside itself where 500 containers with a port each are attached (`crowded`). `client` is the process of a call alone.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programOfCni } from '../src/cli/cni-programs.ts'
import { DEFAULT_SOCKET } from '../src/cni/exchange.ts'
import type { Lab } from '../src/lab/lab.ts'
import { withBenchLab } from './bench-lab.ts'
import { type BaselineResult, type Chain, middleOf, runBaseline } from './cni/baseline.ts'
import { addAll, deleteAll } from './cni/calls.ts'
import { buildWatch, type ClientUse, watchClient } from './cni/client.ts'
import { referenceChain, referenceProblem } from './cni/reference.ts'
import { checkExecutable, executable, startDaemon } from './fabric.ts'
import { type Compared, rowsOf } from './interleave.ts'
import { waitUntilQuiet } from './quiet.ts'
import { type Bound, median, plainRow, type Row } from './rows.ts'
import type { Suite, SuiteOptions } from './suite.ts'

const SUITE = 'cni'
const NETWORK = 'bench'
const RESIDENTS = 500
const AT_ONCE = 8

/** What is compared with what, by path; `-8` is added for eight at once. */
const COMPARED: Readonly<Record<string, { readonly subject: string; readonly against: string }>> = {
  bare: { subject: 'carrick', against: 'bridge' },
  masq: { subject: 'carrick', against: 'bridge-masq' },
  full: { subject: 'carrick', against: 'bridge-masq-portmap-firewall' },
  crowded: { subject: 'carrick-500', against: 'carrick' },
}

const bounds: readonly Bound[] = [
  ...(
    [
      ['bare', 'add_ms', 'carrick', 0.9],
      ['bare', 'del_ms', 'carrick', 0.5],
      ['full', 'add_ms', 'carrick', 0.12],
      ['full-8', 'add_ms', 'carrick', 0.1],
      ['crowded', 'add_ms', 'carrick-500', 1.2],
      ['crowded', 'del_ms', 'carrick-500', 1.2],
    ] as const
  ).map(
    ([path, metric, subject, value]): Bound => ({
      ...{ path, metric, subject, what: 'ratio', is: 'at most', value },
    }),
  ),
  ...(
    [
      ['version_ms', 6],
      ['add_ms', 6],
      ['version_mb', 40],
      ['add_mb', 40],
    ] as const
  ).map(
    ([metric, value]): Bound => ({
      ...{ path: 'client', metric, subject: 'carrick', what: 'median', is: 'at most', value },
    }),
  ),
]

export const cniSuite: Suite = { name: SUITE, bounds, run }

async function run(options: SuiteOptions): Promise<readonly Row[]> {
  const { quick, progress } = options
  const problem = referenceProblem()
  if (problem !== undefined) throw new Error(problem)
  checkExecutable()
  await buildWatch()
  const directory = mkdtempSync(join(tmpdir(), 'carrick-bench-cni-'))
  try {
    const plugins = join(directory, 'bin')
    mkdirSync(plugins)
    symlinkSync(programOfCni(plugins, executable), join(plugins, 'carrick'))
    return await withBenchLab(SUITE, async (lab) => {
      const client = await measureClient(lab, join(plugins, 'carrick'), directory, options)
      progress(
        `starting two daemons, and attaching ${RESIDENTS} containers to each; the first lets go of them`,
      )
      const chains = await makeChains(lab, directory, plugins)
      await waitUntilQuiet(quick ? 300 : 6000)
      return [...(await measureChains(lab, directory, chains, options)), ...client]
    })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** In the order in which a round takes them: next to each other what is compared, and the slow ones last. */
async function makeChains(lab: Lab, directory: string, plugins: string): Promise<readonly Chain[]> {
  for (const host of ['h1', 'h2']) {
    const { api } = await startDaemon(lab, host)
    await api.createNetwork(NETWORK, ['10.232.0.0/16'], 'vxlan')
    const names = Array.from({ length: RESIDENTS }, (_, index) => `resident-${index}`)
    const residents = await lab.containers(host, names)
    const target = { socket: lab.outside(host, DEFAULT_SOCKET), network: NETWORK }
    // Both daemons have seen as many come and go before the clock starts.
    await addAll(target, residents)
    await deleteAll(target, residents)
    if (host === 'h2') await addAll(target, residents)
  }
  const capabilities = { portMappings: true }
  const ours = { hostMode: 'current', plugins, list: [{ type: 'carrick', capabilities }] } as const
  return [
    referenceChain('bridge', directory, { ipMasq: false }),
    { subject: 'carrick', host: 'h1', ...ours },
    { subject: 'carrick-500', host: 'h2', ...ours },
    referenceChain('bridge-masq-portmap-firewall', directory, {
      ipMasq: true,
      behind: [
        { type: 'portmap', capabilities },
        { type: 'firewall', backend: 'iptables' },
      ],
    }),
    referenceChain('bridge-masq', directory, { ipMasq: true }),
  ]
}

/** Rounds of all chains, there and back again: what the machine does meanwhile meets the ones as the others. */
async function measureChains(
  lab: Lab,
  directory: string,
  chains: readonly Chain[],
  { quick, rounds = quick ? 1 : 6, subjects, progress }: SuiteOptions,
): Promise<readonly Row[]> {
  const times = quick ? 10 : 16
  const wanted = chains.filter(({ subject }) => subjects?.has(subject) ?? true)
  const results = new Map<string, BaselineResult[]>(wanted.map(({ subject }) => [subject, []]))
  for (let round = 1; round <= rounds; round++) {
    const halves = new Map<string, BaselineResult>()
    for (const chain of [...wanted, ...wanted.toReversed()]) {
      await waitUntilQuiet(quick ? 300 : 3000)
      const result = await runBaseline(lab, directory, chain, { times, together: AT_ONCE })
      const { alone, together } = result
      progress(
        `round ${round}/${rounds} ${chain.subject}: ADD ${said(alone.add.median)}, DEL ${said(alone.del.median)}, ` +
          `${AT_ONCE} at once ADD ${said(together.add.median)}, DEL ${said(together.del.median)} ms`,
      )
      const before = halves.get(chain.subject)
      if (before === undefined) halves.set(chain.subject, result)
      else results.get(chain.subject)?.push(middleOf(before, result))
    }
  }
  return Object.entries(COMPARED).flatMap(([path, pair]) => rowsOfPair(path, pair, results))
}

/** A number a round each: the medians, and the values that one in twenty exceeds. */
function rowsOfPair(
  path: string,
  { subject, against }: { readonly subject: string; readonly against: string },
  results: ReadonlyMap<string, readonly BaselineResult[]>,
): readonly Row[] {
  const values = new Map<Compared, readonly number[]>()
  for (const [mode, suffix] of [
    ['alone', ''],
    ['together', `-${AT_ONCE}`],
  ] as const) {
    for (const verb of ['add', 'del'] as const) {
      for (const [of, metric] of [
        ['median', `${verb}_ms`],
        ['p95', `${verb}_p95_ms`],
      ] as const) {
        for (const [name, base] of [
          [against, {}],
          [subject, results.has(against) ? { against } : {}],
        ] as const) {
          const taken = results.get(name)?.map((result) => result[mode][verb][of])
          const row = { paths: [`${path}${suffix}`], metric, unit: 'ms', subject: name, ...base }
          if (taken !== undefined) values.set(row, taken)
        }
      }
    }
  }
  return rowsOf(SUITE, values)
}

/** What runtimes start, and the executable itself, which that becomes when a call is not simple. */
async function measureClient(
  lab: Lab,
  plugin: string,
  directory: string,
  { quick, progress }: SuiteOptions,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const [subject, program] of [
    ['carrick', plugin],
    ['executable', executable],
  ] as const) {
    await waitUntilQuiet(quick ? 300 : 6000)
    const times = quick ? 40 : 200
    const { VERSION, ADD } = await watchClient(lab, 'h1', { program, directory, times })
    rows.push(...rowsOfClient(subject, 'version', VERSION), ...rowsOfClient(subject, 'add', ADD))
  }
  for (const { subject, metric, unit, median } of rows) {
    progress(`client ${metric} ${subject}: ${said(median)} ${unit}`)
  }
  return rows
}

function rowsOfClient(
  subject: string,
  verb: string,
  { wallMs, cpuMs, maxRssKib }: ClientUse,
): readonly Row[] {
  const row = { suite: SUITE, path: 'client', subject, runs: wallMs.length }
  return [
    plainRow({ ...row, metric: `${verb}_ms`, unit: 'ms', median: median(wallMs) }),
    plainRow({ ...row, metric: `${verb}_min_ms`, unit: 'ms', median: Math.min(...wallMs) }),
    plainRow({ ...row, metric: `${verb}_cpu_ms`, unit: 'ms', median: median(cpuMs) }),
    plainRow({ ...row, metric: `${verb}_mb`, unit: 'MB', median: (maxRssKib * 1024) / 1e6 }),
  ]
}

function said(value: number): string {
  return value.toPrecision(4)
}
