/**
 * Programs on the sockets of a cgroup, each held by a link that is pinned: it goes on working when the process
 * that made it dies, and is found again by its path. Other programs at the same cgroup are not touched.
 */

import { bpfError, type Libbpf } from './libbpf.ts'
import { pinLink, readPinnedLink, replaceProgram } from './pinned-link.ts'

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
    replaceProgram(bpf, path, programFd)
    return
  }
  const fd = bpf.bpf_link_create(programFd, cgroup.fd, SOCKET_HOOKS[hook], null)
  if (fd < 0) throw bpfError(`attach program ${hook} to the cgroup`, fd)
  pinLink(bpf, fd, path)
}

/** The link pinned at `path`; undefined when there is none, or it is not one of a socket hook. */
export function readCgroupLink(bpf: Libbpf, path: string): CgroupLink | undefined {
  const info = readPinnedLink(bpf, path)
  if (info === undefined || info.getUint32(0, true) !== BPF_LINK_TYPE_CGROUP) return undefined
  // struct bpf_link_info, cgroup: cgroup_id (8 bytes), attach_type
  const type = info.getUint32(24, true)
  const found = Object.entries(SOCKET_HOOKS).find(([, number]) => number === type)
  if (found === undefined) return undefined
  return {
    hook: found[0] as SocketHook, // the keys of SOCKET_HOOKS are the hooks
    id: info.getUint32(4, true),
    programId: info.getUint32(8, true),
    cgroupId: Number(info.getBigUint64(16, true)),
  }
}
