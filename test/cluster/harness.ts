/**
 * What the cluster tests share: an executable as new as the sources, hosts with a daemon each that know each
 * other, and a failure that tells what the daemons logged. Whatever a test makes goes with its lab.
 */

import { afterAll, beforeAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Cluster, type DaemonOptions } from '../../src/lab/cluster.ts'
import { createLab, type Lab, listLabs, removeLab } from '../../src/lab/lab.ts'
import type { RunResult } from '../../src/lab/processes.ts'
import type { LabRequest } from '../../src/lab/spec.ts'
import { messageOf } from '../../src/lib/errors.ts'

const ROOT = dirname(dirname(import.meta.dirname))
const BUILT = join(ROOT, 'build', 'carrick')
/** A given one is tested as it is: a package's, or one that nobody builds anew meanwhile. */
const EXECUTABLE = process.env['CARRICK_EXECUTABLE'] ?? BUILT
const SOURCES = ['src', 'bpf', 'package.json']
const TEST_MS = 90_000
const PATIENCE_MS = 15_000
const LOG_TAIL = 3_000

export interface Shape extends Partial<Omit<LabRequest, 'name'>> {
  /** For every daemon, or by host. */
  readonly daemon?: DaemonOptions | ((host: string) => DaemonOptions)
  /** Which hosts have a daemon and belong to the cluster of the first; all unless told. */
  readonly members?: number
}

/** One test with a cluster of its own. */
export function clusterTest(
  name: string,
  shape: Shape,
  body: (cluster: Cluster) => Promise<void>,
): void {
  test(
    name,
    async () => {
      const lab = await makeLab(shape)
      try {
        await tellingLogs(lab, async () => body(await startCluster(lab, shape)))
      } finally {
        await removeLab(lab.name)
      }
    },
    TEST_MS,
  )
}

/** Tests of one file that share a cluster; each gets it when it runs. */
export function sharedCluster(
  shape: Shape,
): (name: string, body: (cluster: Cluster) => Promise<void>) => void {
  let shared: Cluster | undefined
  beforeAll(async () => {
    const lab = await makeLab(shape)
    try {
      shared = await startCluster(lab, shape)
    } catch (error) {
      await removeLab(lab.name)
      throw error
    }
  }, TEST_MS)
  afterAll(async () => {
    if (shared !== undefined) await removeLab(shared.lab.name)
  }, TEST_MS)
  return (name, body) =>
    test(
      name,
      async () => {
        const cluster = shared
        if (cluster === undefined) throw new Error('the cluster did not start')
        await tellingLogs(cluster.lab, () => body(cluster))
      },
      TEST_MS,
    )
}

/** Polls until it holds; throws with `what` when it does not. */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  for (const deadline = performance.now() + patienceMs; !(await holds()); await pause(20)) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
  }
}

/** Brings a further host with a running daemon into the cluster of the first. */
export async function joinFirst(cluster: Cluster, host: string): Promise<void> {
  await cluster.join(host, 'h1', `${addressOf(cluster.lab, 'h1')}:7441`)
  await cluster.settled(host)
}

/** IPv4 address of a host on the wire. */
export function addressOf(lab: Lab, host: string, family: 4 | 6 = 4): string {
  const found = lab.hosts.find(({ name }) => name === host)
  if (found === undefined) throw new Error(`no host ${host}`)
  return found.underlay[family === 4 ? 0 : 1].ip
}

/** Creates a network on the first host and waits until all members know it. */
export async function createNetwork(
  cluster: Cluster,
  name: string,
  flags: readonly string[],
  hosts: readonly string[] = cluster.lab.hosts.map((host) => host.name),
): Promise<void> {
  await cluster.carrick(hosts[0] ?? 'h1', 'network', 'create', name, ...flags)
  for (const host of hosts) {
    await until(`${name} is known on ${host}`, async () => {
      return (await cluster.run(host, 'network', 'get', name)).exitCode === 0
    })
  }
}

/** Waits until a host knows endpoints under these names and its kernel has them. */
export async function knows(
  cluster: Cluster,
  host: string,
  ...names: readonly string[]
): Promise<void> {
  await until(`${host} knows ${names.join(', ')}`, async () => {
    const known = await endpointNames(cluster, host)
    return names.every((name) => known.includes(name))
  })
  await cluster.settled(host)
}

export async function endpointNames(cluster: Cluster, host: string): Promise<readonly string[]> {
  const { items } = await cluster.json<{ items: { metadata: { name?: string } }[] }>(
    host,
    'endpoint',
    'ls',
  )
  return items.map(({ metadata }) => metadata.name ?? '')
}

/** Fails unless the command was refused as documented: exit code, and words of the message. */
export function assertRefused(
  result: RunResult,
  exitCode: number,
  ...words: readonly (RegExp | string)[]
): void {
  const said = `exit ${result.exitCode}: ${result.stderr}${result.stdout}`
  assert.equal(result.exitCode, exitCode, said)
  assert.match(result.stderr, /^error: /m, said)
  assert.doesNotMatch(result.stderr, /^\s+at /m, `a stack trace: ${said}`)
  for (const word of words) {
    if (typeof word === 'string') assert.ok(result.stderr.includes(word), `no "${word}" in ${said}`)
    else assert.match(result.stderr, word, said)
  }
}

/** Runs a command in a host by its shell; throws with what it said when it fails. */
export async function shell(cluster: Cluster, host: string, command: string): Promise<string> {
  const { stdout, stderr, exitCode } = await cluster.lab.run(host, ['sh', '-c', command])
  if (exitCode === 0) return stdout
  throw new Error(`${command} on ${host} ended with ${exitCode}: ${stderr}${stdout}`)
}

function makeLab({ daemon, members, ...request }: Shape): Promise<Lab> {
  buildExecutable()
  cleanUpWhenStopped()
  const serial = Math.floor(performance.now())
  return createLab({ ...request, hosts: request.hosts ?? 2, name: `ckt-${process.pid}-${serial}` })
}

async function startCluster(lab: Lab, shape: Shape): Promise<Cluster> {
  const cluster = new Cluster(lab, EXECUTABLE)
  const { daemon } = shape
  const optionsOf = typeof daemon === 'function' ? daemon : () => daemon
  const members = lab.hosts.slice(0, shape.members ?? lab.hosts.length).map(({ name }) => name)
  for (const host of members) cluster.startDaemon(host, optionsOf(host))
  for (const [i, host] of members.entries()) {
    await cluster.settled(host)
    if (i > 0) await joinFirst(cluster, host)
  }
  for (const host of members) {
    await until(`${host} knows all hosts`, async () => {
      const { items } = await cluster.json<{ items: unknown[] }>(host, 'host', 'ls')
      return items.length === members.length
    })
  }
  return cluster
}

/** What the daemons logged is half the explanation of a failure. */
async function tellingLogs(lab: Lab, body: () => Promise<void>): Promise<void> {
  const cluster = new Cluster(lab, EXECUTABLE)
  try {
    await body()
  } catch (error) {
    const logs = lab.hosts.map(({ name }) => `--- ${name}\n${cluster.log(name).slice(-LOG_TAIL)}`)
    throw new Error(`${messageOf(error)}\n${logs.join('\n')}`, { cause: error })
  }
}

/** A run over its budget is told to stop: its labs go with it. */
function cleanUpWhenStopped(): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    if (process.listenerCount(signal) > 0) continue
    process.once(signal, () => {
      const ours = listLabs().filter(({ name }) => name.startsWith(`ckt-${process.pid}-`))
      void Promise.all(ours.map(({ name }) => removeLab(name))).finally(() => process.exit(1))
    })
  }
}

/** The executable that is tested, for tests that need no lab. */
export function builtExecutable(): string {
  buildExecutable()
  return EXECUTABLE
}

/** Builds when there is no executable, or a source is newer. */
function buildExecutable(): void {
  if (EXECUTABLE !== BUILT) return
  const builtMs = existsSync(BUILT) ? statSync(BUILT).mtimeMs : 0
  if (SOURCES.every((source) => newestMs(join(ROOT, source)) <= builtMs)) return
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.ts')])
  if (status !== 0) throw new Error(`the build failed: ${stderr}`)
}

function newestMs(path: string): number {
  const { mtimeMs } = statSync(path)
  if (!statSync(path).isDirectory()) return mtimeMs
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => !name.endsWith('.test.ts'))
    .reduce((newest, name) => Math.max(newest, statSync(join(path, name)).mtimeMs), 0)
}
