/**
 * Programs on the sockets of a cgroup, each held by a link that is pinned: it goes on working when the process
 * that made it dies, and is found again by its path. Other programs at the same cgroup are not touched.
 */

import { closeSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { bpfError, cString, type Libbpf } from './libbpf.ts'

/** What a program is asked about. linux/bpf.h enum bpf_attach_type BPF_CGROUP_* */
export const SOCKET_HOOKS = {
  connect4: 10,
  connect6: 11,
  sendmsg4: 14,
  sendmsg6: 15,
  recvmsg4: 19,
  recvmsg6: 20,
  getpeername4: 29,
  getpeername6: 30,
} as const
export type SocketHook = keyof typeof SOCKET_HOOKS

/** linux/bpf.h enum bpf_link_type */
const BPF_LINK_TYPE_CGROUP = 3

/** A pinned link as the kernel tells it. */
export interface CgroupLink {
  readonly hook: SocketHook
  /** The link's own number: it stays when its program is replaced. */
  readonly id: number
  readonly programId: number
  /** The cgroup's number; 0 when the cgroup is gone, and the link does nothing. */
  readonly cgroupId: number
}

/**
 * Puts the program at the cgroup: into the link that is pinned at `path`, in one step, or into a new one when
 * there is none for this hook and cgroup.
 */
export function putCgroupLink(
  bpf: Libbpf,
  path: string,
  want: {
    readonly hook: SocketHook
    readonly programFd: number
    readonly cgroup: { readonly fd: number; readonly id: number }
  },
): void {
  const { hook, programFd, cgroup } = want
  const have = readCgroupLink(bpf, path)
  if (have?.hook === hook && have.cgroupId === cgroup.id) {
    const fd = open(bpf, path)
    try {
      const result = bpf.bpf_link_update(fd, programFd, null)
      if (result < 0) throw bpfError(`replace the program of link ${path}`, result)
    } finally {
      closeSync(fd)
    }
    return
  }
  const fd = bpf.bpf_link_create(programFd, cgroup.fd, SOCKET_HOOKS[hook], null)
  if (fd < 0) throw bpfError(`attach program ${hook} to the cgroup`, fd)
  try {
    mkdirSync(dirname(path), { recursive: true })
    rmSync(path, { force: true })
    const result = bpf.bpf_obj_pin(fd, cString(path))
    if (result < 0) throw bpfError(`pin link ${path}`, result)
  } finally {
    closeSync(fd) // without its pin the link ends here
  }
}

/** The link pinned at `path`; undefined when there is none, or it is not one of a socket hook. */
export function readCgroupLink(bpf: Libbpf, path: string): CgroupLink | undefined {
  if (!existsSync(path)) return undefined
  const fd = open(bpf, path)
  try {
    // linux/bpf.h struct bpf_link_info: type, id, prog_id, padding, then cgroup_id (8 bytes) and attach_type
    const info = new Uint8Array(256)
    const result = bpf.bpf_obj_get_info_by_fd(fd, info, Uint32Array.of(info.length))
    if (result < 0) throw bpfError(`ask about link ${path}`, result)
    const view = new DataView(info.buffer)
    const type = view.getUint32(24, true)
    const found = Object.entries(SOCKET_HOOKS).find(([, number]) => number === type)
    if (view.getUint32(0, true) !== BPF_LINK_TYPE_CGROUP || found === undefined) return undefined
    return {
      hook: found[0] as SocketHook, // the keys of SOCKET_HOOKS are the hooks
      id: view.getUint32(4, true),
      programId: view.getUint32(8, true),
      cgroupId: Number(view.getBigUint64(16, true)),
    }
  } finally {
    closeSync(fd)
  }
}

/** Takes the pin away, and with it the program from its cgroup; content when there is none. */
export function removeCgroupLink(path: string): void {
  rmSync(path, { force: true })
}

function open(bpf: Libbpf, path: string): number {
  const fd = bpf.bpf_obj_get(cString(path))
  if (fd < 0) throw bpfError(`open pinned link ${path}`, fd)
  return fd
}
