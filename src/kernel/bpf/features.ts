/** What this kernel's BPF can do, found by trying it with programs of the object itself. */

import type { Libbpf } from './libbpf.ts'
import type { BpfObject } from './object.ts'
import { testRun } from './test-run.ts'

/** Differences between kernels that the datapath cares about. */
export interface BpfFeatures {
  /** An outer header of one family can be stripped from a packet of the other. Linux 6.3 (R8) */
  readonly crossFamilyStrip: boolean
}

/** Asks a loaded object. */
export function probeFeatures(bpf: Libbpf, object: BpfObject): BpfFeatures {
  const frame = new Uint8Array(128)
  frame[12] = 0x08 // IPv4
  frame[14] = 0x45
  return {
    crossFamilyStrip: testRun(bpf, object.program('probe_strip'), { bytes: frame }).verdict === 0,
  }
}
