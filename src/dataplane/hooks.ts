/**
 * The socket hooks' object (R16): loaded when the first loopback port is wanted, or an earlier run has left
 * one. Its programs stand at the root of the cgroup tree by links that are pinned beside its maps, so that
 * they work on when the daemon is away, and are replaced in one step when it comes back. When no port is left they
 * stay a little longer: a host on which the only published container is replaced would take eight links away and put
 * them again, which takes longer than all the rest of an attach.
 */

import { existsSync, readFileSync } from 'node:fs'
import image from '../../bpf/hooks.bpf.o' with { type: 'file' }
import { hostNetns } from '../hoststate/hook-maps.ts'
import { MAPS_SCHEMA, type MapLayout } from '../hoststate/maps.ts'
import {
  putCgroupLink,
  readCgroupLink,
  SOCKET_HOOKS,
  type SocketHook,
} from '../kernel/bpf/cgroup-link.ts'
import { openLibbpf } from '../kernel/bpf/libbpf.ts'
import type { BpfMap } from '../kernel/bpf/map.ts'
import { BpfObject } from '../kernel/bpf/object.ts'
import { removePinnedLink } from '../kernel/bpf/pinned-link.ts'
import { openCgroupRoot } from '../kernel/cgroup.ts'
import { readNetnsCookie } from '../kernel/netns.ts'
import { programId } from './datapath.ts'

/** How long they stay when nobody wants them any more. */
const LINGER_MS = 5_000

const HOOKS = Object.keys(SOCKET_HOOKS) as SocketHook[] // its keys are the hooks

export class Hooks implements Disposable {
  readonly #directory: string
  readonly #mountPoint: string
  #object: BpfObject | undefined
  /** Runs while they are attached and unwanted. */
  #lingering: ReturnType<typeof setTimeout> | undefined

  /** `bpfDirectory` as DataplaneSettings has it; `runDirectory` holds a mount for a moment where it must. */
  constructor(bpfDirectory: string, runDirectory: string) {
    this.#directory = `${bpfDirectory}/v${MAPS_SCHEMA}/hooks`
    this.#mountPoint = `${runDirectory}/cgroup`
  }

  /** True when there is something to be found: of this run or an earlier one. */
  get present(): boolean {
    return this.#object !== undefined || existsSync(this.#directory)
  }

  /** Throws as BpfObject.load() does. */
  map(layout: Pick<MapLayout<never>, 'name'>): BpfMap {
    return this.#open().map(layout.name)
  }

  /** True when every hook is attached with its program of this run, for this host's sockets. */
  sound(): boolean {
    if (!this.present) return false
    const object = this.#open()
    using cgroup = openCgroupRoot(this.#mountPoint)
    const ours = object.map(hostNetns.name).lookup(hostNetns.keyOf({ cookie: readNetnsCookie() }))
    return (
      ours !== undefined &&
      HOOKS.every((hook) => {
        const link = readCgroupLink(openLibbpf(), this.#pin(hook))
        return (
          link?.hook === hook &&
          link.cgroupId === cgroup.id &&
          link.programId === programId(object.program(hook))
        )
      })
    )
  }

  /** True when any hook is attached, and not about to go by itself. */
  attached(): boolean {
    return this.#lingering === undefined && HOOKS.some((hook) => existsSync(this.#pin(hook)))
  }

  /** Attaches all of them, or their programs of this run in place of those of an earlier one. */
  attach(): void {
    const lingered = this.#lingering !== undefined
    this.#stay()
    if (lingered && HOOKS.every((hook) => existsSync(this.#pin(hook)))) return
    const object = this.#open()
    const netns = object.map(hostNetns.name)
    const entry = { cookie: readNetnsCookie() }
    for (const { key } of [...netns.entries()]) {
      if (Buffer.compare(key, hostNetns.keyOf(entry)) !== 0) netns.delete(key)
    }
    netns.update(hostNetns.keyOf(entry), hostNetns.valueOf(entry))
    using cgroup = openCgroupRoot(this.#mountPoint)
    for (const hook of HOOKS) {
      putCgroupLink(openLibbpf(), this.#pin(hook), {
        hook,
        programFd: object.program(hook),
        cgroup,
      })
    }
  }

  /** Takes them away in a while, unless they are wanted again. */
  detach(): void {
    this.#lingering ??= setTimeout(() => {
      this.#stay()
      try {
        for (const hook of HOOKS) removePinnedLink(this.#pin(hook))
      } catch (error) {
        // The next audit finds what is left, tries again and tells.
        if ((error as NodeJS.ErrnoException).code === undefined) throw error
      }
    }, LINGER_MS)
  }

  #stay(): void {
    clearTimeout(this.#lingering)
    this.#lingering = undefined
  }

  [Symbol.dispose](): void {
    this.#stay()
    this.#object?.[Symbol.dispose]()
    this.#object = undefined
  }

  #open(): BpfObject {
    this.#object ??= BpfObject.load(openLibbpf(), readFileSync(image), {
      pinDirectory: this.#directory,
    })
    return this.#object
  }

  #pin(hook: SocketHook): string {
    return `${this.#directory}/links/${hook}`
  }
}
