/**
 * What of this program's own file stands in the process's memory: code and tables that were read once, most of
 * them only for the start. Let go of, they stay in the kernel's page cache, from which a part that is needed
 * again comes back without reading the disk; but they no longer count as this process's, and whoever needs
 * memory may have them sooner.
 */

import { readFileSync, readlinkSync } from 'node:fs'
import * as sys from './syscall.ts'

/** sys/mman.h */
const MADV_DONTNEED = 4

/** A part of memory, and what was read there. */
export interface Mapping {
  readonly start: bigint
  readonly length: bigint
}

/** Finds what can be let go of, and gives the way to do it, which costs some microseconds. */
export function programPages(): { letGo(): void } {
  const program = readlinkSync('/proc/self/exe')
  const mappings = untouched(readFileSync('/proc/self/smaps', 'utf8'), program)
  return {
    letGo() {
      for (const { start, length } of mappings) sys.madvise(start, length, MADV_DONTNEED)
    },
  }
}

/** The mappings of a file that can be read anew: not writable, and without a page of their own. proc(5) */
export function untouched(smaps: string, file: string): readonly Mapping[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((text) => {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ +(.*)$/m.exec(text)
    const [, start = '', end = '', modes = '', path] = head ?? []
    const own = /^Anonymous: +(\d+) kB$/m.exec(text)?.[1]
    if (path !== file || modes.includes('w') || own !== '0') return []
    const from = BigInt(`0x${start}`)
    return [{ start: from, length: BigInt(`0x${end}`) - from }]
  })
}
