/**
 * A containerd of its own on a host of a lab, for demos and tests: asked by `ctr`, or as Kubernetes does through
 * the socket of its CRI. Its containers live in the lab's control group, with which they end, so it can be killed
 * and started again while they go on. Needs Debian's containerd.
 */

import { type ChildProcess, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetworkError } from '../lib/errors.ts'
import { BUSYBOX, IMAGE, writeImage } from './busybox-image.ts'
import { labCgroup } from './cgroups.ts'
import type { Lab } from './lab.ts'
import type { RunOptions, RunResult } from './processes.ts'

const HOME = '/run/containerd-lab'
const PLUGINS = '/opt/cni/bin'
const SOCKET = '/run/containerd/containerd.sock'
const LOG = '/run/containerd.log'
const START_MS = 30_000
/** The reference programs, of which the CRI wants `loopback` in its own directory. Debian's containernetworking-plugins. */
const REFERENCE = '/usr/lib/cni'
/** Where containerd keeps what its CRI makes. */
const CRI_NAMESPACE = 'k8s.io'

export interface ContainerdOptions {
  /** Where network lists of CNI are; /etc/cni/net.d unless told. */
  readonly configDirectory?: string
  /** Where the CRI looks for programs of CNI; /opt/cni/bin unless told. `ctr` has a path of its own. */
  readonly pluginDirectory?: string
}

export class ContainerdEngine {
  readonly #lab: Lab
  readonly host: string
  #daemon: ChildProcess | undefined
  #serial = 0

  private constructor(lab: Lab, host: string) {
    this.#lab = lab
    this.host = host
  }

  /** Starts a containerd with `IMAGE` in it, for `ctr` and for the CRI, whose sandboxes are made of it. */
  static async start(
    lab: Lab,
    host: string,
    options: ContainerdOptions = {},
  ): Promise<ContainerdEngine> {
    const engine = new ContainerdEngine(lab, host)
    mkdirSync(lab.outside(host, HOME), { recursive: true })
    writeFileSync(lab.outside(host, `${HOME}/config.toml`), settings(options))
    const archive = await writeImage(lab, host)
    const plugins = options.pluginDirectory ?? PLUGINS
    const links = `mkdir -p ${plugins} && ln -s -t ${plugins} ${REFERENCE}/* 2>&- || :`
    await lab.run(host, ['sh', '-c', links])
    await engine.launch()
    for (const namespace of ['default', CRI_NAMESPACE]) {
      await engine.ctr('--namespace', namespace, 'images', 'import', archive)
    }
    return engine
  }

  /** Starts the daemon again after `stop` or `kill`; resolves when it answers. */
  async launch(): Promise<void> {
    const script = `exec "$@" >> ${LOG} 2>&1`
    const argv = ['containerd', '--config', `${HOME}/config.toml`]
    this.#daemon = this.#lab.spawn(this.host, ['sh', '-c', script, 'sh', ...argv], {
      stdio: 'ignore',
    })
    for (const deadline = Date.now() + START_MS; ; await sleep(50)) {
      if ((await this.run('version')).exitCode === 0) return
      if (this.#daemon.exitCode !== null || Date.now() > deadline) {
        throw new NetworkError('timeout', `Cannot start containerd on ${this.host}: ${this.log()}`)
      }
    }
  }

  /** Path of the socket, where the CRI answers too, as the machine sees it. */
  get socket(): string {
    return this.#lab.outside(this.host, SOCKET)
  }

  /** Group below which a pod's containers shall be put: `linux.cgroup_parent` of its configuration. */
  get cgroupParent(): string {
    return labCgroup(this.#lab.name)
  }

  /** The whole command that runs `ctr …`, for hands that start it themselves. */
  argv(...args: readonly string[]): readonly string[] {
    const [command = '', ...rest] = args
    this.#serial++
    const group = `${labCgroup(this.#lab.name)}/ctr-${this.host}-${this.#serial}`
    const own = command === 'run' ? ['--cgroup', group] : []
    return ['ctr', '--address', SOCKET, command, ...own, ...rest]
  }

  /** Runs `ctr …` on the host to its end; a failure is a result. */
  run(...args: readonly string[]): Promise<RunResult> {
    return this.#lab.run(this.host, this.argv(...args))
  }

  /** The same with options, such as text for standard input. */
  runWith(options: RunOptions, ...args: readonly string[]): Promise<RunResult> {
    return this.#lab.run(this.host, this.argv(...args), options)
  }

  /** Runs `ctr …` and gives what it printed; throws what it said when it fails. */
  async ctr(...args: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.run(...args)
    if (exitCode === 0) return stdout.trim()
    throw new Error(
      `ctr ${args.join(' ')} on ${this.host} ended with ${exitCode}: ${stderr.trim()}`,
    )
  }

  /** Runs a command in a container; a failure is a result. */
  exec(container: string, ...argv: readonly string[]): Promise<RunResult> {
    this.#serial++
    return this.run('tasks', 'exec', '--exec-id', `x${this.#serial}`, container, ...argv)
  }

  /** Kills a container's processes and removes it; content when it is gone. `ctr` calls no plug-in for it. */
  async remove(container: string): Promise<void> {
    await this.run('tasks', 'kill', '--all', '--signal', 'SIGKILL', container)
    await this.run('tasks', 'delete', '--force', container)
    await this.run('containers', 'delete', container)
  }

  /** Ends the daemon in order; containers go on. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** Ends the daemon as a crash would; containers go on. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** The last lines of the daemon's log. */
  log(): string {
    try {
      return readFileSync(this.#lab.outside(this.host, LOG), 'utf8').slice(-2000)
    } catch {
      return ''
    }
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    const ended = once(daemon, 'exit')
    daemon.kill(signal)
    await ended
  }
}

/** Why containerd cannot be started here, or undefined when it can. */
export function containerdProblem(): string | undefined {
  const missing = ['containerd', 'ctr', 'runc', BUSYBOX, `${REFERENCE}/loopback`].filter(
    (tool) => spawnSync('which', [tool], { stdio: 'ignore' }).status !== 0,
  )
  if (missing.length === 0) return undefined
  return `${missing.join(' and ')} not found: apt-get install containerd runc busybox-static containernetworking-plugins`
}

function settings({ configDirectory, pluginDirectory }: ContainerdOptions): string {
  return `version = 2
root = "${HOME}/root"
state = "/run/containerd"
[grpc]
address = "${SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "${HOME}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${IMAGE}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "${configDirectory ?? '/etc/cni/net.d'}"
bin_dir = "${pluginDirectory ?? PLUGINS}"
`
}
