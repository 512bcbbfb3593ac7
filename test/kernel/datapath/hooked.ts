/**
 * A host whose loopback ports lead to a container, and a namespace that is none of its: the socket hooks at
 * the machine's cgroup root, for the test's own namespace only.
 */

import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import {
  hostNetns,
  type LoopbackPortEntry,
  loopbackPorts,
} from '../../../src/hoststate/hook-maps.ts'
import {
  putCgroupLink,
  readCgroupLink,
  SOCKET_HOOKS,
  type SocketHook,
} from '../../../src/kernel/bpf/cgroup-link.ts'
import { openLibbpf } from '../../../src/kernel/bpf/libbpf.ts'
import { BpfObject } from '../../../src/kernel/bpf/object.ts'
import { removePinnedLink } from '../../../src/kernel/bpf/pinned-link.ts'
import { openCgroupRoot } from '../../../src/kernel/cgroup.ts'
import { inside, openHome, openNetns, readNetnsCookie } from '../../../src/kernel/netns.ts'
import { ip } from './packet.ts'
import { Namespace, run } from './wire.ts'

export const HOOKS_OBJECT = new URL('../../../bpf/hooks.bpf.o', import.meta.url)
const HOOKS = Object.keys(SOCKET_HOOKS) as SocketHook[] // its keys are the hooks

export const HOST = { ip4: ip('10.90.0.1'), ip6: ip('fd90::1') }
export const CONTAINER = { ip4: ip('10.90.0.2'), ip6: ip('fd90::2') }

/** The published port of the tests, and the container's. */
export const PORT = 8080
export const TARGET_PORT = 80

let serial = 0 // mounts of one test process must differ in name

/** Loaded hooks with pins of their own, attached; all of it is gone when disposed. */
export class Hooked implements Disposable {
  readonly host = new Namespace()
  readonly container = new Namespace()
  /** Has a loopback device, and no entry in the hooks' map. */
  readonly stranger = new Namespace()
  readonly #mount = `${tmpdir()}/ckthooks${process.pid}n${serial++}`
  #loaded: BpfObject | undefined

  constructor() {
    mkdirSync(this.#mount)
    run(`mount -t bpf bpf ${this.#mount}`)
    this.host.run(
      `ip link add c0 type veth peer name eth0 netns ${this.container.name}`,
      'ip link set c0 up',
      `ip addr add ${HOST.ip4}/24 dev c0`,
      `ip addr add ${HOST.ip6}/64 dev c0 nodad`,
    )
    this.container.run(
      'ip link set eth0 up',
      `ip addr add ${CONTAINER.ip4}/24 dev eth0`,
      `ip addr add ${CONTAINER.ip6}/64 dev eth0 nodad`,
    )
    this.start()
    const entry = { cookie: cookieOf(this.host) }
    this.#object.map(hostNetns.name).update(hostNetns.keyOf(entry), hostNetns.valueOf(entry))
  }

  /** What a daemon does at its start; the one before is gone. */
  start(): void {
    const bpf = openLibbpf()
    this.die()
    const pinDirectory = `${this.#mount}/maps`
    this.#loaded = BpfObject.load(bpf, readFileSync(HOOKS_OBJECT), { pinDirectory })
    using cgroup = openCgroupRoot(`${this.#mount}-cgroup`)
    for (const hook of HOOKS) {
      putCgroupLink(bpf, this.#pin(hook), { hook, programFd: this.#object.program(hook), cgroup })
    }
  }

  /** The daemon dies: no descriptor is left, only pins. */
  die(): void {
    this.#loaded?.[Symbol.dispose]()
    this.#loaded = undefined
  }

  get #object(): BpfObject {
    if (this.#loaded === undefined) throw new Error('start first')
    return this.#loaded
  }

  put(entry: Partial<LoopbackPortEntry> & Pick<LoopbackPortEntry, 'family'>): void {
    const all: LoopbackPortEntry = {
      protocol: 'tcp',
      address: undefined,
      port: PORT,
      target: entry.family === 4 ? CONTAINER.ip4 : CONTAINER.ip6,
      targetPort: TARGET_PORT,
      mark: 0,
      ...entry,
    }
    this.#object
      .map(loopbackPorts.name)
      .update(loopbackPorts.keyOf(all), loopbackPorts.valueOf(all))
  }

  links(): readonly ReturnType<typeof readCgroupLink>[] {
    return HOOKS.map((hook) => readCgroupLink(openLibbpf(), this.#pin(hook)))
  }

  detach(): void {
    for (const hook of HOOKS) removePinnedLink(this.#pin(hook))
  }

  #pin(hook: SocketHook): string {
    return `${this.#mount}/hooks/${hook}`
  }

  [Symbol.dispose](): void {
    this.die()
    run(`umount ${this.#mount}`)
    rmSync(this.#mount, { recursive: true })
    for (const ns of [this.host, this.container, this.stranger]) ns[Symbol.dispose]()
  }
}

function cookieOf(ns: Namespace): number {
  using home = openHome()
  using there = openNetns(ns.path)
  return inside(there.fd, home.fd, readNetnsCookie)
}
