/**
 * Virtual hosts on one machine: each is a network, a mount and a UTS namespace with its own /run, bpffs and
 * Carrick directories, joined to the others by a wire. A daemon runs in one as it would on a machine. Hosts
 * outlive the process that made them; `removeLab` finds what is there by itself, also after a crash.
 */
import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKernel } from '../kernel/real.ts'
import { NetworkError } from '../lib/errors.ts'
import { cgroupProcesses, removeCgroups } from './cgroups.ts'
import { type LinkFault, setFault } from './faults.ts'
import {
  listPins,
  makeContainers,
  makeHost,
  makeLabDirectory,
  makeSwitch,
  removeContainer,
  removeLabDirectory,
} from './namespaces.ts'
import {
  containerPath,
  hostPath,
  LABS,
  labPath,
  pinsPath,
  processesPath,
  specPath,
} from './paths.ts'
import {
  collect,
  type Enter,
  endProcesses,
  type RunOptions,
  type RunResult,
  type StartOptions,
  start,
} from './processes.ts'
import { checkLabName, type HostSpec, type LabRequest, type LabSpec, planLab } from './spec.ts'
import {
  addDefaultRoutes,
  cutHost,
  hasWays,
  healHost,
  isWireReady,
  joinBare,
  joinHosts,
  startLoopback,
} from './wire.ts'

/** A bare network namespace on one host, waiting to be attached. */
export interface LabContainer {
  readonly host: string
  readonly name: string
  /** Path as the host sees it: what `carrick attach --netns` takes. */
  readonly netns: string
  /** Path as the machine sees it. */
  readonly pin: string
}

/** Makes a lab. On failure nothing is left; `already-exists` when the name is in use. */
export async function createLab(request: LabRequest): Promise<Lab> {
  const spec = planLab(request)
  makeLabDirectory(spec.name)
  try {
    if (spec.topology !== 'pair') await makeSwitch(spec.name)
    for (const host of spec.hosts) await makeHost(spec.name, host.name)
    using kernel = openKernel()
    joinHosts(kernel, spec)
    await until('carry packets', () => isWireReady(kernel, spec))
    addDefaultRoutes(kernel, spec)
    writeFileSync(specPath(spec.name), `${JSON.stringify(spec)}\n`)
  } catch (error) {
    await removeLab(spec.name)
    throw error
  }
  return new Lab(spec)
}

/** Finds a lab made earlier, by any process; `not-found` when there is none, or it was never finished. */
export function openLab(name: string): Lab {
  checkLabName(name)
  return new Lab(readSpec(name))
}

/** The labs that are up, by name. A half-made one has no spec. */
export function listLabs(): readonly {
  readonly name: string
  readonly spec: LabSpec | undefined
}[] {
  if (!existsSync(LABS)) return []
  return readdirSync(LABS)
    .sort()
    .map((name) => ({ name, spec: existsSync(specPath(name)) ? readSpec(name) : undefined }))
}

/** Ends every process of the lab and drops everything it is made of; content when there is nothing. */
export async function removeLab(name: string): Promise<void> {
  checkLabName(name)
  if (!existsSync(labPath(name))) return
  await endProcesses(processesPath(name), listPins(name), () => cgroupProcesses(name))
  removeCgroups(name)
  removeLabDirectory(name)
}

/** One lab that is up. Disposing of it takes it down. */
export class Lab implements AsyncDisposable {
  readonly spec: LabSpec

  constructor(spec: LabSpec) {
    this.spec = spec
  }

  get name(): string {
    return this.spec.name
  }

  get hosts(): readonly HostSpec[] {
    return this.spec.hosts
  }

  /** Starts a command in a host; it ends with the lab at the latest. */
  spawn(host: string, argv: readonly string[], options: StartOptions = {}): ChildProcess {
    return start(processesPath(this.name), this.#enter(host), argv, options)
  }

  /** Runs a command in a host to its end. A failing command is a result, not an error. */
  run(host: string, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return collect(this.spawn(host, argv, options), options)
  }

  /** Makes bare containers on a host, all in one go. */
  async containers(host: string, names: readonly string[]): Promise<readonly LabContainer[]> {
    this.#enter(host)
    for (const name of names) {
      if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
        throw new NetworkError('invalid', `Cannot make container "${name}": not a name`)
      }
    }
    await makeContainers(this.name, host, names)
    using kernel = openKernel()
    return names.map((name) => {
      const pin = containerPath(this.name, host, name)
      startLoopback(kernel, pin)
      return { host, name, netns: `/run/netns/${name}`, pin }
    })
  }

  /** Makes one bare container on a host. */
  async container(host: string, name: string): Promise<LabContainer> {
    const [container] = await this.containers(host, [name])
    if (container === undefined) throw new Error('One name makes one container')
    return container
  }

  /** Drops a container; its processes keep the namespace until they end. */
  async removeContainer(container: LabContainer): Promise<void> {
    await removeContainer(this.name, container.host, container.name)
  }

  /** Starts a command in a container, with its host's files around it. */
  spawnIn(
    container: LabContainer,
    argv: readonly string[],
    options: StartOptions = {},
  ): ChildProcess {
    const enter = { ...this.#enter(container.host), net: container.pin }
    return start(processesPath(this.name), enter, argv, options)
  }

  /** Runs a command in a container to its end. */
  runIn(
    container: LabContainer,
    argv: readonly string[],
    options: RunOptions = {},
  ): Promise<RunResult> {
    return collect(this.spawnIn(container, argv, options), options)
  }

  /** Joins two containers by a bare veth pair named `eth0` at both ends; addresses with prefix length. */
  async joinBare(
    left: LabContainer,
    leftAddresses: readonly string[],
    right: LabContainer,
    rightAddresses: readonly string[],
  ): Promise<void> {
    using kernel = openKernel()
    joinBare(
      kernel,
      { netns: left.pin, device: 'eth0', addresses: leftAddresses },
      { netns: right.pin, device: 'eth0', addresses: rightAddresses },
    )
    const plain = (addresses: readonly string[]) =>
      addresses.map((text) => text.split('/')[0] ?? '')
    await until('join containers', () => {
      const there = hasWays(kernel, left.pin, plain(rightAddresses))
      return there && hasWays(kernel, right.pin, plain(leftAddresses))
    })
  }

  /** Loses every packet from and to a host until `heal`. */
  cut(host: string): void {
    this.#enter(host)
    using kernel = openKernel()
    cutHost(kernel, this.spec, host)
  }

  heal(host: string): void {
    this.#enter(host)
    using kernel = openKernel()
    healHost(kernel, this.spec, host)
  }

  /** Spoils the link by which a host sends, or mends it. */
  setFault(host: string, fault: LinkFault | undefined): void {
    this.#enter(host)
    using kernel = openKernel()
    setFault(kernel, this.spec, host, fault)
  }

  /** Path of a host's network namespace. */
  netns(host: string): string {
    return this.#enter(host).net
  }

  /**
   * Where the machine finds a file of a host: below /run, /etc/carrick, /var/lib/carrick and
   * /var/cache/carrick, whose files are the host's own; every other path is unchanged.
   */
  outside(host: string, path: string): string {
    const own = hostPath(this.name, host)
    for (const [prefix, part] of [
      ['/run', 'run'],
      ['/etc/carrick', 'etc'],
      ['/var/lib/carrick', 'lib'],
      ['/var/cache/carrick', 'cache'],
    ] as const) {
      if (path === prefix || path.startsWith(`${prefix}/`)) {
        return join(own, part, path.slice(prefix.length))
      }
    }
    return path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeLab(this.name)
  }

  #enter(host: string): Required<Enter> {
    if (!this.spec.hosts.some(({ name }) => name === host)) {
      throw new NetworkError('not-found', `Cannot find host "${host}" in lab "${this.name}"`)
    }
    const pins = pinsPath(this.name, host)
    return { net: join(pins, 'net'), mnt: join(pins, 'mnt'), uts: join(pins, 'uts') }
  }
}

function readSpec(name: string): LabSpec {
  if (!existsSync(specPath(name))) {
    throw new NetworkError('not-found', `Cannot find lab "${name}"`, { hint: 'carrick lab ls' })
  }
  // Written by createLab of this program alone, after everything it tells exists.
  return JSON.parse(readFileSync(specPath(name), 'utf8')) as LabSpec
}

/** Polls the kernel; throws `timeout` after five seconds. */
async function until(attempt: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5000; !holds(); await sleep(5)) {
    if (Date.now() > deadline) {
      throw new NetworkError('timeout', `Cannot ${attempt}: the lab's links are not ready`)
    }
  }
}
