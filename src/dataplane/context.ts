/** What the resources share while the dataplane's thread lives: the kernel, the loaded object, open doors. */

import type { MapLayout } from '../hoststate/maps.ts'
import type { BpfMap } from '../kernel/bpf/map.ts'
import type { Kernel, KernelView, Netns } from '../kernel/kernel.ts'
import { NetworkError } from '../lib/errors.ts'
import type { Closing } from './closing.ts'
import type { DeviceLinks } from './device-links.ts'
import type { EnginePairs } from './engine-pairs.ts'
import type { Hooks } from './hooks.ts'

/** The loaded datapath: its maps, and its programs by name. */
export interface Datapath {
  map(layout: Pick<MapLayout<never>, 'name'>): BpfMap
  /** File descriptor of the program, for a tc filter or a link. */
  programFd(name: string): number
  /** The kernel's number of the program, as filters tell it. */
  programId(name: string): number
  readonly crossFamilyStrip: boolean
}

export interface Context {
  readonly kernel: Kernel
  readonly datapath: Datapath
  readonly devices: DeviceIndexes
  readonly sandboxes: HeldSandboxes
  readonly enginePairs: EnginePairs
  readonly hooks: Hooks
  readonly closing: Closing
  readonly deviceLinks: Pick<DeviceLinks, 'list' | 'put' | 'putLater' | 'remove'>
  /** Where kernel settings that we changed are remembered until the next boot. */
  readonly settingsFile: string
  /** Where the rules of our table are noted until the next boot. */
  readonly tableFile: string
}

/** Interface numbers by name, remembered: a device keeps its number for life. */
export class DeviceIndexes {
  readonly #kernel: Kernel
  readonly #indexes = new Map<string, number>()
  readonly #names = new Map<number, string>()
  readonly #peers = new Map<string, number>()

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** Throws `not-found` when there is no such device. */
  of(name: string): number {
    const known = this.#indexes.get(name)
    if (known !== undefined) return known
    const link = this.#kernel.links.get(name)
    if (link === undefined) {
      throw new NetworkError('not-found', `Cannot use device ${name}: there is no such device`, {
        details: { device: name },
      })
    }
    this.set(name, link.index)
    return link.index
  }

  /** Undefined when no device has the number. */
  nameOf(index: number): string | undefined {
    return this.knownName(index) ?? this.#kernel.links.get(index)?.name
  }

  /** The same without asking the kernel: undefined for devices that are not ours and were not asked for. */
  knownName(index: number): string | undefined {
    return this.#names.get(index)
  }

  set(name: string, index: number): void {
    this.#indexes.set(name, index)
    this.#names.set(index, name)
  }

  /** The other end's number, in its own namespace. */
  setPeer(name: string, index: number): void {
    this.#peers.set(name, index)
  }

  peerOf(name: string): number | undefined {
    return this.#peers.get(name)
  }

  forget(name: string): void {
    const index = this.#indexes.get(name)
    this.#indexes.delete(name)
    this.#peers.delete(name)
    if (index !== undefined) this.#names.delete(index)
  }

  /** Devices may have come and gone behind our back. */
  clear(): void {
    this.#indexes.clear()
    this.#names.clear()
    this.#peers.clear()
  }
}

/**
 * Namespaces that a request in progress keeps open in another thread of this process, by inode. They are
 * opened through that descriptor, so that a path or pid that was reused meanwhile is not taken for it, and
 * once for all that is done in them until they are let go.
 */
export class HeldSandboxes {
  readonly #kernel: Kernel
  #held: ReadonlyMap<number, number> = new Map()
  readonly #open = new Map<number, Netns>()

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** Does `work` while these are held: inode to file descriptor. */
  holding<T>(held: ReadonlyMap<number, number>, work: () => T): T {
    this.#held = held
    try {
      return work()
    } finally {
      this.#held = new Map()
      for (const netns of this.#open.values()) netns.close()
      this.#open.clear()
    }
  }

  /** Opens a sandbox, held or by its path. Throws `not-found` when it is gone or is another one now. */
  open<T>(sandbox: Sandbox, work: (netns: Netns) => T): T {
    const fd = this.#held.get(sandbox.inode)
    if (fd === undefined) {
      using netns = checked(sandbox, this.#kernel.openNetns(sandbox.path))
      return work(netns)
    }
    const open = this.#open.get(sandbox.inode) ?? checked(sandbox, this.#kernel.copyNetns(fd))
    this.#open.set(sandbox.inode, open)
    return work(open)
  }

  /** The same, with a view of it. */
  inside<T>(sandbox: Sandbox, work: (inside: KernelView) => T): T {
    return this.open(sandbox, (netns) => this.#kernel.inNetns(netns, work))
  }
}

function checked({ path, inode }: Sandbox, netns: Netns): Netns {
  if (netns.inode === inode) return netns
  netns.close()
  throw new NetworkError(
    'not-found',
    `Cannot enter ${path}: it is another namespace now than the one that was attached`,
    { details: { netns: path } },
  )
}

type Sandbox = { readonly path: string; readonly inode: number }
