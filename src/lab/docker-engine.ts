/**
 * A real Docker engine on a host of a lab, for demos, tests and benchmarks. It lives in a process namespace of
 * its own, whose first process only holds it: an engine can be killed and started again while its containers
 * go on, and with the lab everything in the namespace ends, containers included. Needs Debian's docker.io.
 */

import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetworkError } from '../lib/errors.ts'
import { labCgroup } from './cgroups.ts'
import type { Lab } from './lab.ts'
import type { RunOptions, RunResult } from './processes.ts'

/** Reaps whatever is left to it. */
const HOLDER = `trap 'exit 0' TERM; while :; do sleep 3600 & wait; done`
const SOCKET = '/run/docker.sock'
const LOG = '/run/dockerd.log'
const IMAGE_ROOT = '/run/image'
/** An engine with networks of a driver that is away asks for it for 30 s before it goes on, and answers nobody. */
const START_MS = 90_000
/** Static, so that an image needs nothing else. Debian's busybox-static. */
const BUSYBOX = '/bin/busybox'

/** The one image that engines of a lab have. */
export const IMAGE = 'busybox'

export interface EngineOptions {
  /** Further flags for dockerd. */
  readonly flags?: readonly string[]
}

export class DockerEngine {
  readonly #lab: Lab
  readonly host: string
  readonly #flags: readonly string[]
  #holder: ChildProcess | undefined
  #daemon: ChildProcess | undefined

  private constructor(lab: Lab, host: string, flags: readonly string[]) {
    this.#lab = lab
    this.host = host
    this.#flags = flags
  }

  /** Starts an engine with the image `busybox` in it; resolves when its API answers. */
  static async start(lab: Lab, host: string, { flags = [] }: EngineOptions = {}) {
    const engine = new DockerEngine(lab, host, flags)
    engine.#holder = lab.spawn(
      host,
      ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', HOLDER],
      { stdio: 'ignore' },
    )
    await engine.launch()
    await engine.#importImage()
    return engine
  }

  /** Starts the engine's daemon again after `stop` or `kill`. */
  async launch(): Promise<void> {
    const { name } = this.#lab
    const script = `exec "$@" >> ${LOG} 2>&1`
    const argv = ['sh', '-c', script, 'sh', 'dockerd', '--host', `unix://${SOCKET}`]
    this.#daemon = this.#lab.spawn(
      this.host,
      [
        ...['nsenter', `--target=${await this.#holderPid()}`, '--pid', '--mount', '--', ...argv],
        ...['--data-root', '/run/docker-data', '--exec-root', '/run/docker'],
        ...['--pidfile', '/run/docker.pid', '--cgroup-parent', labCgroup(name)],
        ...this.#flags,
      ],
      { stdio: 'ignore' },
    )
    for (const deadline = Date.now() + START_MS; ; await sleep(50)) {
      const { exitCode } = await this.run('version')
      if (exitCode === 0) return
      if (this.#daemon.exitCode !== null || Date.now() > deadline) {
        throw new NetworkError('timeout', `Cannot start dockerd on ${this.host}: ${this.log()}`)
      }
    }
  }

  /** Runs `docker …` on the host to its end; a failure is a result. */
  run(...args: readonly string[]): Promise<RunResult> {
    return this.#lab.run(this.host, ['docker', '--host', `unix://${SOCKET}`, ...args])
  }

  /** The same with options, such as text for standard input. */
  runWith(options: RunOptions, ...args: readonly string[]): Promise<RunResult> {
    return this.#lab.run(this.host, ['docker', '--host', `unix://${SOCKET}`, ...args], options)
  }

  /** Runs `docker …` and gives what it printed; throws what it said when it fails. */
  async docker(...args: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.run(...args)
    if (exitCode === 0) return stdout.trim()
    throw new Error(
      `docker ${args.join(' ')} on ${this.host} ended with ${exitCode}: ${stderr.trim()}`,
    )
  }

  /** Process id, as the machine counts, of a container's first process. */
  async pidOf(container: string): Promise<number> {
    const id = await this.docker('inspect', '--format', '{{.Id}}', container)
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (textOf(`/proc/${pid}/cgroup`).includes(id) && innermostPid(pid) === 1) return Number(pid)
    }
    throw new NetworkError('not-found', `Cannot find a process of container ${container}`)
  }

  /** Ends the engine's daemon and its containers in order. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Ends the engine's daemon as a crash would; its containers go on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** The last lines of the engine's log. */
  log(): string {
    return textOf(this.#lab.outside(this.host, LOG)).slice(-2000)
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    const ended = once(daemon, 'exit')
    // nsenter waits for its child, the daemon, and passes no signal on.
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, signal)
    await ended
  }

  /** The first process of the namespace, as the machine counts. */
  async #holderPid(): Promise<number> {
    const parent = this.#holder?.pid
    for (const deadline = Date.now() + START_MS; ; await sleep(5)) {
      const children = textOf(`/proc/${parent}/task/${parent}/children`)
      const [first = ''] = children.trim().split(' ')
      // It has mounted its own /proc once it has become the shell.
      if (first !== '' && textOf(`/proc/${first}/comm`).trim() === 'sh') return Number(first)
      if (Date.now() > deadline) throw new Error('the holder of the namespace did not start')
    }
  }

  async #importImage(): Promise<void> {
    const root = this.#lab.outside(this.host, IMAGE_ROOT)
    for (const directory of ['bin', 'tmp', 'etc'])
      mkdirSync(join(root, directory), { recursive: true })
    const script = `cp ${BUSYBOX} ${IMAGE_ROOT}/bin/busybox
chroot ${IMAGE_ROOT} /bin/busybox --install -s /bin
tar -C ${IMAGE_ROOT} -c . | docker --host unix://${SOCKET} import - ${IMAGE}`
    const { exitCode, stderr } = await this.#lab.run(this.host, ['sh', '-ec', script])
    rmSync(root, { recursive: true, force: true })
    if (exitCode !== 0) throw new Error(`the image was not imported: ${stderr.trim()}`)
  }
}

/** Why engines cannot be started here, or undefined when they can. */
export function engineProblem(): string | undefined {
  const missing = ['dockerd', BUSYBOX].filter(
    (tool) => spawnSync('which', [tool], { stdio: 'ignore' }).status !== 0,
  )
  if (missing.length === 0) return undefined
  return `${missing.join(' and ')} not found: apt-get install docker.io busybox-static`
}

/** A process's number in the innermost of its process namespaces. proc_pid_status(5) NSpid */
function innermostPid(pid: string): number {
  const line = /^NSpid:\s+(.*)$/m.exec(textOf(`/proc/${pid}/status`))?.[1]
  return Number(line?.split(/\s+/).at(-1))
}

function childrenOf(pid: number | undefined): readonly number[] {
  const text = textOf(`/proc/${pid}/task/${pid}/children`).trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

/** A file's text; empty for one that is gone, as processes' files may be at any time. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
