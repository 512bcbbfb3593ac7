/**
 * Programs on single devices by pinned links, which cost a packet a fifth of what tc's filters do. They go on
 * working while the daemon is away; the pins are named by way and device number, and so found again.
 *
 * Making a link holds up every change of devices for 10 to 18 ms. A device that has its program from a shared block
 * already gets one only when it has stood for a while, so that nobody waits for it.
 */

import { existsSync, readdirSync } from 'node:fs'
import { openLibbpf } from '../kernel/bpf/libbpf.ts'
import { removePinnedLink } from '../kernel/bpf/pinned-link.ts'
import { putTcxLink, readTcxLink, type TcxLink, type TcxWay } from '../kernel/bpf/tcx-link.ts'
import { isNetworkError } from '../lib/errors.ts'
import type { Datapath } from './context.ts'

/** How long a device has to stand. */
const PROBATION_MS = 1_000

type Programs = Pick<Datapath, 'programFd' | 'programId'>

export class DeviceLinks implements Disposable {
  readonly #directory: string
  readonly #datapath: Programs
  /** False once the kernel has refused one. */
  #offered = true
  readonly #probation = new Map<string, ReturnType<typeof setTimeout>>()

  /** `bpfDirectory` as DataplaneSettings has it. */
  constructor(bpfDirectory: string, datapath: Programs) {
    this.#directory = `${bpfDirectory}/devices`
    this.#datapath = datapath
  }

  /** Those of devices that are there; pins of others go. */
  list(): readonly TcxLink[] {
    if (!existsSync(this.#directory)) return []
    return readdirSync(this.#directory).flatMap((name) => {
      const link = readTcxLink(openLibbpf(), `${this.#directory}/${name}`)
      if (link !== undefined && link.device !== 0) return [link]
      removePinnedLink(`${this.#directory}/${name}`)
      return []
    })
  }

  #find(device: number, way: TcxWay): TcxLink | undefined {
    const link = this.#offered ? readTcxLink(openLibbpf(), this.#pin(device, way)) : undefined
    return link?.device === device ? link : undefined
  }

  /** Puts the program, or puts it in the place of an earlier one; false when this kernel has no such links. */
  put(device: number, way: TcxWay, program: string): boolean {
    const want = { way, device, programFd: this.#datapath.programFd(program) }
    this.#offered &&= putTcxLink(openLibbpf(), this.#pin(device, way), want)
    return this.#offered
  }

  /**
   * For a device whose packets pass the program anyway: takes over the link it has, or makes one when the device
   * has stood for a while. Once it is there it is looked for again at every call.
   */
  putLater(device: number, way: TcxWay, program: string): void {
    const pin = this.#pin(device, way)
    if (!this.#offered || this.#probation.has(pin)) return
    const have = this.#find(device, way)
    if (have?.programId === this.#datapath.programId(program)) return
    if (have !== undefined) {
      this.put(device, way, program)
      return
    }
    const make = (): void => {
      this.#probation.delete(pin)
      try {
        this.put(device, way, program)
      } catch (error) {
        // It went meanwhile, or is tried again when it is compared next: the block has its packets.
        if (!isNetworkError(error)) throw error
      }
    }
    this.#probation.set(pin, setTimeout(make, PROBATION_MS))
  }

  /** Content when there is none. */
  remove(device: number, way: TcxWay): void {
    const pin = this.#pin(device, way)
    clearTimeout(this.#probation.get(pin))
    this.#probation.delete(pin)
    removePinnedLink(pin)
  }

  [Symbol.dispose](): void {
    for (const timer of this.#probation.values()) clearTimeout(timer)
  }

  #pin(device: number, way: TcxWay): string {
    return `${this.#directory}/${way}-${device}`
  }
}
