/**
 * The datapath's object brought into the kernel: maps taken over from their pins or created, programs
 * loaded anew (the filters that carry the old ones are replaced in one step when the agent compares).
 */

import { readdirSync, readFileSync, rmSync } from 'node:fs'
import image from '../../bpf/carrick.bpf.o' with { type: 'file' }
import { DROPS_MAP, dropReason, readDropCount } from '../hoststate/drops.ts'
import { MAPS_SCHEMA } from '../hoststate/maps.ts'
import { probeFeatures } from '../kernel/bpf/features.ts'
import { openLibbpf } from '../kernel/bpf/libbpf.ts'
import { BpfObject } from '../kernel/bpf/object.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { openKernel } from '../kernel/real.ts'
import type { Datapath } from './context.ts'

export interface OpenDatapath extends Datapath, Disposable {
  readonly kernel: Kernel
  readonly warnings: readonly string[]
  drops(): readonly {
    readonly ifindex: number
    readonly reason: string
    readonly packets: number
    readonly bytes: number
  }[]
}

/** Loads everything; `unsupported`, `kernel` and `conflict` as BpfObject.load() says. */
export function openDatapath(bpfDirectory: string): OpenDatapath {
  const kernel = openKernel()
  const bpf = openLibbpf()
  const object = BpfObject.load(bpf, readFileSync(image), {
    pinDirectory: `${bpfDirectory}/v${MAPS_SCHEMA}`,
  })
  removeOlderPins(bpfDirectory)
  const { crossFamilyStrip } = probeFeatures(bpf, object)
  return {
    kernel,
    crossFamilyStrip,
    warnings: crossFamilyStrip
      ? []
      : [
          'This kernel (before 6.3) cannot strip an outer header of the other family in place: such packets take the slower vxlan device',
        ],
    map: ({ name }) => object.map(name),
    programFd: (name) => object.program(name),
    programId: (name) => programId(object.program(name)),
    drops: () => {
      const map = object.map(DROPS_MAP.name)
      return Array.from(map.entries(), ({ key, value }) => {
        const { ifindex, reason, packets, bytes } = readDropCount(key, value)
        return { ifindex, reason: dropReason(reason) ?? `unknown(${reason})`, packets, bytes }
      })
    },
    [Symbol.dispose]() {
      object[Symbol.dispose]()
      kernel[Symbol.dispose]()
    },
  }
}

/** The kernel tells a program's number in its descriptor's fdinfo. kernel/bpf/syscall.c bpf_prog_show_fdinfo() */
export function programId(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
  return Number(/^prog_id:\s*(\d+)$/m.exec(info)?.[1] ?? 0)
}

/** Pins of older layouts; what still runs keeps its maps without them (R34). */
function removeOlderPins(bpfDirectory: string): void {
  for (const name of readdirSync(bpfDirectory)) {
    const schema = Number(/^v(\d+)$/.exec(name)?.[1] ?? MAPS_SCHEMA)
    if (schema < MAPS_SCHEMA) rmSync(`${bpfDirectory}/${name}`, { recursive: true })
  }
}
