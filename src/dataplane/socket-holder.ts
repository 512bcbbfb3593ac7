/** Who has a socket open: the process is found by the socket's inode among all processes' descriptors. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Holder {
  readonly pid: number
  /** As the kernel names it: the first 15 letters of its file. */
  readonly program: string
}

/** The first process found that has one of these sockets open; undefined when none has. */
export function findHolder(inodes: readonly number[]): Holder | undefined {
  const wanted = new Set(inodes.filter((inode) => inode !== 0).map((inode) => `socket:[${inode}]`))
  if (wanted.size === 0) return undefined
  for (const pid of read(() => readdirSync('/proc')) ?? []) {
    if (!/^\d+$/.test(pid)) continue
    const fds = read(() => readdirSync(`/proc/${pid}/fd`)) ?? []
    if (!fds.some((fd) => wanted.has(read(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? ''))) {
      continue
    }
    const program = read(() => readFileSync(`/proc/${pid}/comm`, 'utf8'))?.trim()
    if (program !== undefined) return { pid: Number(pid), program }
  }
  return undefined
}

/** Undefined when the process or its descriptor has just ended. */
function read<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
