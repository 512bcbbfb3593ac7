/** Three virtual hosts with a daemon each, driven by the command line as a user would. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Lab, LabContainer } from '../../src/lab/lab.ts'

export const CARRICK = join(dirname(dirname(import.meta.dirname)), 'build', 'carrick')
const BUN = process.execPath

export interface Container extends LabContainer {
  /** IPv4 first, then IPv6, as the attach told them. */
  readonly addresses: readonly string[]
}

export class Cluster {
  readonly lab: Lab
  readonly #daemons = new Map<string, ChildProcess>()

  constructor(lab: Lab) {
    this.lab = lab
  }

  /** Runs `carrick …` on a host and gives what it printed; throws what it said when it fails. */
  async carrick(host: string, ...args: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.lab.run(host, [CARRICK, ...args])
    if (exitCode === 0) return stdout
    throw new Error(`carrick ${args.join(' ')} on ${host} ended with ${exitCode}: ${stderr.trim()}`)
  }

  async json<T>(host: string, ...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.carrick(host, ...args, '-o', 'json')) as T
  }

  startDaemon(host: string): void {
    const log = this.lab.outside(host, '/run/carrick-daemon.log')
    const child = this.lab.spawn(host, [
      'sh',
      '-c',
      `exec ${CARRICK} daemon 2>>/run/carrick-daemon.log`,
    ])
    child.on('error', (error) => writeFileSync(log, `${error}\n`, { flag: 'a' }))
    this.#daemons.set(host, child)
  }

  /** Resolves when the daemon answers and its kernel is as wanted. */
  async settled(host: string): Promise<void> {
    const deadline = performance.now() + 20_000
    for (;;) {
      const { exitCode, stderr } = await this.lab.run(host, [CARRICK, 'status', '--wait', '-q'])
      if (exitCode === 0) return
      if (performance.now() > deadline) throw new Error(`the daemon on ${host}: ${stderr.trim()}`)
      await pause(50)
    }
  }

  /** Kills the daemon without warning and waits until it is gone. */
  async killDaemon(host: string): Promise<void> {
    const child = this.#daemons.get(host)
    if (child === undefined) throw new Error(`no daemon on ${host}`)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Brings a host into the cluster of `first` by a token. */
  async join(host: string, first: string, address: string): Promise<void> {
    const token = (await this.carrick(first, 'token', 'create')).trim()
    const file = this.lab.outside(host, '/run/carrick-join.token')
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${token}\n`)
    chmodSync(file, 0o600)
    await this.carrick(host, 'join', address, '--token-file', '/run/carrick-join.token')
  }

  async attach(network: string, host: string, name: string): Promise<Container> {
    const container = await this.lab.container(host, name)
    const endpoint = await this.json<{ spec: { addresses: string[] } }>(
      host,
      ...['attach', network, '--netns', container.netns, '--name', name],
    )
    return { ...container, addresses: endpoint.spec.addresses }
  }

  /** Starts the demo's server in a container and waits until it listens. */
  async serve(container: Container): Promise<void> {
    const child = this.lab.spawnIn(container, [BUN, script('server.ts'), container.name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (child.stdout === null) throw new Error('the server has no output')
    await once(child.stdout, 'data')
  }

  /** The same on a host itself, for the bare wire. */
  async serveOnHost(host: string): Promise<void> {
    const child = this.lab.spawn(host, [BUN, script('server.ts'), host], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (child.stdout === null) throw new Error('the server has no output')
    await once(child.stdout, 'data')
  }

  /** Runs the demo's client in a container, or on the host itself, and gives its answer. */
  async client<T>(where: Container | string, ...args: readonly string[]): Promise<T> {
    const argv = [BUN, script('client.ts'), ...args]
    const { stdout, stderr, exitCode } =
      typeof where === 'string'
        ? await this.lab.run(where, argv)
        : await this.lab.runIn(where, argv)
    if (exitCode !== 0) throw new Error(`client ${args.join(' ')}: ${stderr.trim()}`)
    return JSON.parse(stdout) as T
  }

  /** Starts the datagram counter; the result comes when it is told to stop. */
  async startCounting(
    container: Container,
    address: string,
  ): Promise<() => Promise<{ sent: number; lost: number }>> {
    const child = this.lab.spawnIn(container, [BUN, script('client.ts'), 'udp', address], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const { stdin, stdout, stderr } = child
    if (stdin === null || stdout === null || stderr === null) throw new Error('no pipes')
    let text = ''
    stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    await once(stderr, 'data')
    return async () => {
      const gone = once(child, 'close')
      stdin.end()
      await gone
      return JSON.parse(text) as { sent: number; lost: number }
    }
  }
}

function script(name: string): string {
  return join(import.meta.dirname, name)
}
