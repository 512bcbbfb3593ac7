/**
 * Runs `cni-baseline.sh`, which drives a list of plug-ins as libcni does and takes the time of each call. It is the
 * measure that the reference's numbers come from and no part of the project: it lies beside it, in shared/bench.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Lab } from '../../src/lab/lab.ts'

const SCRIPT = fileURLToPath(new URL('../../../shared/bench/cni-baseline.sh', import.meta.url))
/** A run of the slowest chain takes a quarter of a second on a machine that does nothing else. */
const PATIENCE_MS = 600_000

/** One list of plug-ins on one host. */
export interface Chain {
  readonly subject: string
  readonly host: string
  /** `new`: the script makes a host of its own; `current`: there is a daemon on this one. */
  readonly hostMode: 'new' | 'current'
  /** Where the plug-ins are, as the host sees it. */
  readonly plugins: string
  /** `plugins` of the network configuration list. */
  readonly list: readonly object[]
}

/** Milliseconds of one verb. */
export interface Taken {
  readonly median: number
  readonly p95: number
}

/** What one run of the script says of one chain. */
export interface BaselineResult {
  readonly alone: Readonly<Record<'add' | 'del', Taken>>
  /** With as many at once as were asked for. */
  readonly together: Readonly<Record<'add' | 'del', Taken>>
}

/** One port of its own for every container. */
const CAPABILITIES = JSON.stringify({
  portMappings: [{ hostPort: 0, containerPort: 80, protocol: 'tcp' }],
})

/** Why it cannot be run here, or undefined when it can. */
export function baselineProblem(): string | undefined {
  return existsSync(SCRIPT)
    ? undefined
    : `Cannot find ${SCRIPT}: this suite runs it, and it is no part of the project; put shared/ beside the clone`
}

/** Runs it in the chain's host, first one container after another, then `together` at once. */
export async function runBaseline(
  lab: Lab,
  directory: string,
  chain: Chain,
  { times, together }: { readonly times: number; readonly together: number },
): Promise<BaselineResult> {
  const { subject, host, hostMode, plugins, list } = chain
  mkdirSync(directory, { recursive: true })
  const conflist = join(directory, `${subject}.conflist`)
  const output = join(directory, `${subject}.jsonl`)
  writeFileSync(conflist, JSON.stringify({ cniVersion: '1.0.0', name: 'bench', plugins: list }))
  rmSync(output, { force: true })
  const { exitCode, stdout, stderr } = await lab.run(
    host,
    [
      ...['bash', SCRIPT, '-q', '-p', plugins, '-c', conflist, '-H', hostMode, '-r', CAPABILITIES],
      ...['-n', String(times), '-j', String(together), '-o', output],
    ],
    { timeoutMs: PATIENCE_MS },
  )
  if (exitCode !== 0) throw new Error(`${subject}: ${stderr.trim() || stdout.trim() || exitCode}`)
  // Written by the script: one object per mode, in this order.
  const [alone, atOnce] = readFileSync(output, 'utf8').trim().split('\n').map(readMode)
  if (alone === undefined || atOnce === undefined) throw new Error(`${subject}: ${stdout.trim()}`)
  return { alone, together: atOnce }
}

/** Between two runs of the same chain. */
export function middleOf(one: BaselineResult, other: BaselineResult): BaselineResult {
  const middle = (a: Taken, b: Taken): Taken => ({
    median: (a.median + b.median) / 2,
    p95: (a.p95 + b.p95) / 2,
  })
  const modeOf = (mode: keyof BaselineResult) => ({
    add: middle(one[mode].add, other[mode].add),
    del: middle(one[mode].del, other[mode].del),
  })
  return { alone: modeOf('alone'), together: modeOf('together') }
}

function readMode(line: string): BaselineResult['alone'] {
  const { add, del } = JSON.parse(line) as Readonly<Record<string, Taken | undefined>>
  if (add === undefined || del === undefined) throw new Error(`Cannot read ${line}`)
  return { add, del }
}
