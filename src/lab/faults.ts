/**
 * Links with faults: a BPF program of the caller's sits where a host's packets enter the switch, and decides
 * which of them the link carries. Nobody is told of the others.
 */

import { openLibbpf } from '../kernel/bpf/libbpf.ts'
import { BpfObject } from '../kernel/bpf/object.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { NetworkError } from '../lib/errors.ts'
import { pinsPath, SWITCH } from './paths.ts'
import type { LabSpec } from './spec.ts'

/** What is wrong with a link. */
export interface LinkFault {
  /** A compiled object, and the name of its tc program. */
  readonly object: Uint8Array
  readonly program: string
}

const PLACE = { priority: 1, handle: 1 } as const

/** Puts the fault on what the host sends, in place of an earlier one; undefined: the link is sound. */
export function setFault(
  kernel: Kernel,
  lab: LabSpec,
  host: string,
  fault: LinkFault | undefined,
): void {
  if (lab.topology === 'pair') {
    throw new NetworkError(
      'unsupported',
      `Cannot spoil the link of "${host}": a pair has no switch`,
    )
  }
  using netns = kernel.openNetns(`${pinsPath(lab.name, SWITCH)}/net`)
  kernel.inNetns(netns, (view) => {
    const device = view.links.get(host)?.index
    if (device === undefined) throw new NetworkError('not-found', `Cannot find link "${host}"`)
    const place = { device, direction: 'ingress' } as const
    if (fault === undefined) {
      view.qdiscs.remove({ device })
      return
    }
    // The filter keeps the program when the object is closed.
    using object = BpfObject.load(openLibbpf(), fault.object)
    const programFd = object.program(fault.program)
    if (view.qdiscs.list({ device }).length === 0) view.qdiscs.put({ device })
    view.filters.put({ ...PLACE, place, name: 'fault', programFd })
  })
}
