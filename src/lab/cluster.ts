/**
 * Daemons in the hosts of a lab, started, stopped and asked through the command line as a user would. For
 * the demo and the tests; the executable is handed in.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Lab, LabContainer } from './lab.ts'
import type { RunResult } from './processes.ts'

const PATIENCE_MS = 20_000
const LOG = '/run/carrick-daemon.log'

/** A container of the lab that is attached to a network. */
export interface Container extends LabContainer {
  readonly endpointId: string
  /** In the order of the network's subnets, as the attach told them. */
  readonly addresses: readonly string[]
}

export interface DaemonOptions {
  /** Flags for `carrick daemon`. */
  readonly args?: readonly string[]
  /** Variables in addition to those of this process. */
  readonly env?: Readonly<Record<string, string>>
}

export class Cluster {
  readonly lab: Lab
  readonly executable: string
  readonly #daemons = new Map<string, ChildProcess>()

  constructor(lab: Lab, executable: string) {
    this.lab = lab
    this.executable = executable
  }

  /** Runs `carrick …` on a host to its end; a failure is a result. */
  run(host: string, ...args: readonly string[]): Promise<RunResult> {
    return this.lab.run(host, [this.executable, ...args])
  }

  /** Runs `carrick …` on a host and gives what it printed; throws what it said when it fails. */
  async carrick(host: string, ...args: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.run(host, ...args)
    if (exitCode === 0) return stdout
    throw new Error(`carrick ${args.join(' ')} on ${host} ended with ${exitCode}: ${stderr.trim()}`)
  }

  async json<T>(host: string, ...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.carrick(host, ...args, '-o', 'json')) as T
  }

  startDaemon(host: string, { args = [], env = {} }: DaemonOptions = {}): void {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const script = `exec "$@" 2>>${LOG}`
    const child = this.lab.spawn(
      host,
      ['env', ...variables, 'sh', '-c', script, 'sh', this.executable, 'daemon', ...args],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
    child.on('error', (error) => {
      writeFileSync(this.lab.outside(host, LOG), `${error}\n`, { flag: 'a' })
    })
    this.#daemons.set(host, child)
  }

  /** The process of the daemon that was started last on a host. */
  daemon(host: string): ChildProcess {
    const child = this.#daemons.get(host)
    if (child === undefined) throw new Error(`no daemon on ${host}`)
    return child
  }

  /** What the daemons of a host have logged so far. */
  log(host: string): string {
    const path = this.lab.outside(host, LOG)
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  /** Resolves when the daemon answers and its kernel is as wanted. */
  async settled(host: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      const { exitCode, stderr } = await this.run(host, 'status', '--wait', '-q')
      if (exitCode === 0) return
      if (performance.now() > deadline) throw new Error(`the daemon on ${host}: ${stderr.trim()}`)
      await pause(50)
    }
  }

  /** Kills the daemon without warning and waits until it is gone. */
  async killDaemon(host: string): Promise<void> {
    await this.endDaemon(host, 'SIGKILL')
  }

  /** Sends the signal, if any, and gives the exit code; null when a signal ended the daemon. */
  async endDaemon(host: string, signal?: NodeJS.Signals): Promise<number | null> {
    const child = this.daemon(host)
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      if (signal !== undefined) child.kill(signal)
      await gone
    }
    return child.exitCode
  }

  /** Makes a token on a host and leaves it in a file on another. */
  async bringToken(from: string, to: string, ...flags: readonly string[]): Promise<string> {
    const token = (await this.carrick(from, 'token', 'create', ...flags)).trim()
    return this.writeToken(to, token)
  }

  writeToken(host: string, token: string): string {
    const path = '/run/carrick-join.token'
    const file = this.lab.outside(host, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${token}\n`)
    chmodSync(file, 0o600)
    return path
  }

  /** Brings a host into the cluster of `first` by a token. */
  async join(host: string, first: string, address: string): Promise<void> {
    const token = await this.bringToken(first, host)
    await this.carrick(host, 'join', address, '--token-file', token)
  }

  /** Makes a container and attaches it. */
  async attach(
    network: string,
    host: string,
    name: string,
    ...flags: readonly string[]
  ): Promise<Container> {
    return this.attachContainer(network, await this.lab.container(host, name), ...flags)
  }

  async attachContainer(
    network: string,
    container: LabContainer,
    ...flags: readonly string[]
  ): Promise<Container> {
    const { host, name, netns } = container
    const endpoint = await this.json<{
      metadata: { id: string }
      spec: { addresses: string[] }
    }>(host, ...['attach', network, '--netns', netns, '--name', name, ...flags])
    return { ...container, endpointId: endpoint.metadata.id, addresses: endpoint.spec.addresses }
  }
}
