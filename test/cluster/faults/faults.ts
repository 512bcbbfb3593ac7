/** Links with faults, compiled for the test at hand. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LinkFault } from '../../../src/lab/faults.ts'

export type Fault =
  /** Larger packets vanish. */
  | { readonly kind: 'small-path'; readonly bytes: number }
  /** Packets in pieces vanish. */
  | { readonly kind: 'drop-fragments' }
  /** Packets inside VXLAN whose checksum no software has computed vanish. */
  | { readonly kind: 'corrupt-offloaded' }

const SOURCE = join(import.meta.dirname, 'faults.bpf.c')

/** Compiles the fault's program; throws what the compiler said. */
export function compileFault(fault: Fault): LinkFault {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-fault-'))
  try {
    const out = join(directory, 'faults.bpf.o')
    const size = fault.kind === 'small-path' ? [`-DSMALL_BYTES=${fault.bytes}`] : []
    const headers = [
      '-idirafter',
      `/usr/include/${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`,
    ]
    const flags = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', ...size, ...headers]
    const { status, stderr } = spawnSync('clang-14', [...flags, '-c', SOURCE, '-o', out])
    if (status !== 0) throw new Error(`the fault does not compile: ${stderr}`)
    return { object: readFileSync(out), program: fault.kind.replace('-', '_') }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
