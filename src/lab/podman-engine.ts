/**
 * Podman on a host of a lab, for demos and tests: storage, networks and everything else it writes are the
 * host's own, and its containers live in the lab's control group, with which they end. Nothing of it runs
 * between two commands. Needs Debian's podman.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { BUSYBOX, writeImage } from './busybox-image.ts'
import { labCgroup } from './cgroups.ts'
import type { Lab } from './lab.ts'
import type { RunOptions, RunResult } from './processes.ts'

export type PodmanBackend = 'cni' | 'netavark'

const HOME = '/run/podman'
/** Commands that make something with control groups of its own. */
const MAKERS = ['run', 'create', 'pod create']

export interface PodmanOptions {
  /** What joins containers to networks; Podman 4 has both. */
  readonly backend: PodmanBackend
  /** Where network lists of CNI are; /etc/cni/net.d unless told. */
  readonly configDirectory?: string
  /** Where programs of CNI are looked for, in this order. */
  readonly pluginDirectories?: readonly string[]
}

export class PodmanEngine {
  readonly #lab: Lab
  readonly host: string
  readonly backend: PodmanBackend

  private constructor(lab: Lab, host: string, backend: PodmanBackend) {
    this.#lab = lab
    this.host = host
    this.backend = backend
  }

  /** Prepares a Podman of the host's own, with `IMAGE` in it; one per host and backend. */
  static async start(lab: Lab, host: string, options: PodmanOptions): Promise<PodmanEngine> {
    const engine = new PodmanEngine(lab, host, options.backend)
    mkdirSync(lab.outside(host, engine.#home), { recursive: true })
    engine.#write('containers.conf', engine.#settings(options))
    engine.#write('storage.conf', engine.#storage())
    await engine.podman('load', '--quiet', '--input', await writeImage(lab, host))
    return engine
  }

  /** The whole command that runs `podman …`, for hands that start it themselves. */
  argv(...args: readonly string[]): readonly string[] {
    const words = args[0] === 'pod' ? 2 : 1
    const makes = MAKERS.includes(args.slice(0, words).join(' '))
    const group = makes ? ['--cgroup-parent', labCgroup(this.#lab.name)] : []
    return [
      'env',
      `CONTAINERS_CONF=${this.#home}/containers.conf`,
      `CONTAINERS_STORAGE_CONF=${this.#home}/storage.conf`,
      ...['podman', '--network-backend', this.backend],
      ...[...args.slice(0, words), ...group, ...args.slice(words)],
    ]
  }

  /** Runs `podman …` on the host to its end; a failure is a result. */
  run(...args: readonly string[]): Promise<RunResult> {
    return this.#lab.run(this.host, this.argv(...args))
  }

  /** The same with options, such as text for standard input. */
  runWith(options: RunOptions, ...args: readonly string[]): Promise<RunResult> {
    return this.#lab.run(this.host, this.argv(...args), options)
  }

  /** Runs `podman …` and gives what it printed; throws what it said when it fails. */
  async podman(...args: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.run(...args)
    if (exitCode === 0) return stdout.trim()
    throw new Error(
      `podman ${args.join(' ')} on ${this.host} ended with ${exitCode}: ${stderr.trim()}`,
    )
  }

  /** Process id of a container's first process. */
  async pidOf(container: string): Promise<number> {
    return Number(await this.podman('inspect', '--format', '{{.State.Pid}}', container))
  }

  /** Removes every pod and every container, in order. */
  async stop(): Promise<void> {
    await this.podman('pod', 'rm', '--all', '--force', '--time', '0')
    await this.podman('rm', '--all', '--force', '--time', '0')
  }

  get #home(): string {
    return `${HOME}-${this.backend}`
  }

  #write(name: string, text: string): void {
    writeFileSync(this.#lab.outside(this.host, `${this.#home}/${name}`), text)
  }

  /** What Podman runs when a container has ended sees flags and not this file: it says nothing that has no flag. */
  #settings({ backend, configDirectory, pluginDirectories }: PodmanOptions): string {
    const networks =
      configDirectory ?? (backend === 'cni' ? '/etc/cni/net.d' : `${this.#home}/networks`)
    const plugins = pluginDirectories ?? ['/opt/cni/bin', '/usr/lib/cni']
    return `[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "${this.#home}/tmp"
[network]
network_backend = "${backend}"
network_config_dir = "${networks}"
cni_plugin_dirs = ${JSON.stringify(plugins)}
`
  }

  #storage(): string {
    return `[storage]
driver = "overlay"
graphroot = "${this.#home}/data"
runroot = "${this.#home}/run"
`
  }
}

/** Why Podman cannot be used here, or undefined when it can. */
export function podmanProblem(): string | undefined {
  const missing = ['podman', 'runc', BUSYBOX].filter(
    (tool) => spawnSync('which', [tool], { stdio: 'ignore' }).status !== 0,
  )
  if (missing.length === 0) return undefined
  return `${missing.join(' and ')} not found: apt-get install podman runc busybox-static`
}
