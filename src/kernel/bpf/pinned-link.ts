/**
 * Links that are pinned: what a program is attached to stays attached while no process has the link open, and is
 * found again by its path. Taking the pin away takes the program from where it is.
 */

import { closeSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { bpfError, cString, type Libbpf } from './libbpf.ts'

/** Longer than the kernel's, of any version. */
const INFO_BYTES = 256

/** Pins a new link in place of whatever is at `path`, and closes the descriptor. */
export function pinLink(libbpf: Libbpf, fd: number, path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
    rmSync(path, { force: true })
    const result = libbpf.bpf_obj_pin(fd, cString(path))
    if (result < 0) throw bpfError(`pin link ${path}`, result)
  } finally {
    closeSync(fd) // without its pin the link ends here
  }
}

/**
 * What the kernel tells of the link pinned at `path`, undefined when there is none: linux/bpf.h struct bpf_link_info,
 * which begins with type, id and prog_id and has what is the type's own at byte 16.
 */
export function readPinnedLink(libbpf: Libbpf, path: string): DataView | undefined {
  if (!existsSync(path)) return undefined
  return withLink(libbpf, path, (fd) => {
    const info = new Uint8Array(INFO_BYTES)
    const result = libbpf.bpf_obj_get_info_by_fd(fd, info, Uint32Array.of(info.length))
    if (result < 0) throw bpfError(`ask about link ${path}`, result)
    return new DataView(info.buffer)
  })
}

/** Puts another program into the link pinned at `path`, in one step. */
export function replaceProgram(libbpf: Libbpf, path: string, programFd: number): void {
  withLink(libbpf, path, (fd) => {
    const result = libbpf.bpf_link_update(fd, programFd, null)
    if (result < 0) throw bpfError(`replace the program of link ${path}`, result)
  })
}

/** Content when there is none. */
export function removePinnedLink(path: string): void {
  rmSync(path, { force: true })
}

function withLink<T>(libbpf: Libbpf, path: string, work: (fd: number) => T): T {
  const fd = libbpf.bpf_obj_get(cString(path))
  if (fd < 0) throw bpfError(`open pinned link ${path}`, fd)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
