/** A real etcd of three members on loopback, from the distribution, in a directory of its own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectEtcd } from '../../src/store/etcd/client.ts'

const MEMBERS = 3
const START_DEADLINE_MS = 30_000

export interface EtcdCluster extends AsyncDisposable {
  readonly endpoints: readonly string[]
  readonly pids: readonly number[]
  /** Ends one member at once, as a power cut would. */
  kill(member: number): Promise<void>
  /** Stops a member from running, without closing its connections; `SIGCONT` lets it go on. */
  signal(member: number, signal: 'SIGSTOP' | 'SIGCONT'): void
}

/** Starts the cluster and waits until it answers. */
export async function startEtcd(): Promise<EtcdCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-etcd-'))
  const ports = await freePorts(MEMBERS * 2)
  const url = (index: number): string => `http://127.0.0.1:${ports[index] ?? 0}`
  const endpoints = Array.from({ length: MEMBERS }, (_, member) => url(member))
  const cluster = endpoints.map((_, member) => `m${member}=${url(MEMBERS + member)}`).join(',')
  const children = endpoints.map((endpoint, member) =>
    startMember(directory, member, [
      ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
      ...['--listen-peer-urls', url(MEMBERS + member)],
      ...['--initial-advertise-peer-urls', url(MEMBERS + member)],
      ...['--initial-cluster', cluster, '--initial-cluster-token', directory],
    ]),
  )
  const fixture: EtcdCluster = {
    endpoints,
    pids: children.flatMap(({ pid }) => pid ?? []),
    async kill(member) {
      const child = children[member]
      if (child !== undefined) await end(child)
    },
    signal: (member, signal) => void children[member]?.kill(signal),
    async [Symbol.asyncDispose]() {
      await Promise.all(children.map(end))
      rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    await using store = connectEtcd({ endpoints, timeoutMs: START_DEADLINE_MS })
    await store.range({ prefix: '/' })
    return fixture
  } catch (error) {
    const log = children
      .map((_, member) => readFileSync(logOf(directory, member), 'utf8'))
      .join('\n')
    await fixture[Symbol.asyncDispose]()
    throw new Error(`etcd did not start: ${String(error)}\n${log}`)
  }
}

function startMember(directory: string, member: number, args: readonly string[]): ChildProcess {
  const log = openSync(logOf(directory, member), 'w')
  try {
    const data = join(directory, `m${member}`)
    // a test run that is killed takes its members with it
    const command = ['--pdeathsig', 'KILL', 'etcd', '--name', `m${member}`, '--data-dir', data]
    return spawn('setpriv', [...command, ...args], {
      stdio: ['ignore', log, log],
      env: { PATH: process.env['PATH'] ?? '' },
    })
  } finally {
    closeSync(log)
  }
}

function logOf(directory: string, member: number): string {
  return join(directory, `m${member}.log`)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGKILL')
  await ended
}

/** Ports nobody listens on; held all at once so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
      return server
    }),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(
    servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
  )
  return ports
}
