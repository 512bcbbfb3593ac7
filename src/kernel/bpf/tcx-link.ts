/**
 * Programs on a device's way in or out, each held by a pinned link (tcx, Linux 6.6): a packet meets them without
 * the walk through tc's own lists. Making one waits for a grace period, 10 to 18 ms under the lock that all changes
 * of devices take; replacing its program waits for nothing.
 */

import { isNetworkError } from '../../lib/errors.ts'
import { bpf } from '../syscall.ts'
import type { Libbpf } from './libbpf.ts'
import { pinLink, readPinnedLink, replaceProgram } from './pinned-link.ts'

/** linux/bpf.h BPF_TCX_INGRESS, BPF_TCX_EGRESS, BPF_LINK_TYPE_TCX, BPF_LINK_CREATE */
export const TCX_WAYS = { ingress: 46, egress: 47 } as const
export type TcxWay = keyof typeof TCX_WAYS
const BPF_LINK_TYPE_TCX = 11
const BPF_LINK_CREATE = 28

export interface TcxLink {
  readonly way: TcxWay
  /** Number of the device; 0 when it is gone, and the link does nothing. */
  readonly device: number
  readonly programId: number
}

/**
 * Puts the program behind those that the device has: into the link that is pinned at `path`, in one step, or into a
 * new one when there is none for this device. False where the kernel has no such links.
 */
export function putTcxLink(
  libbpf: Libbpf,
  path: string,
  { way, device, programFd }: Pick<TcxLink, 'way' | 'device'> & { readonly programFd: number },
): boolean {
  const have = readTcxLink(libbpf, path)
  if (have?.way === way && have.device === device) {
    replaceProgram(libbpf, path, programFd)
    return true
  }
  // union bpf_attr, link_create: prog_fd, target_ifindex, attach_type, flags, then relative_fd and a revision
  const attributes = new Int32Array(8)
  attributes[0] = programFd
  attributes[1] = device
  attributes[2] = TCX_WAYS[way]
  const operation = `attach a program to the ${way} of device ${device}`
  let fd: number
  try {
    fd = bpf(operation, BPF_LINK_CREATE, new Uint8Array(attributes.buffer))
  } catch (error) {
    if (isNetworkError(error, 'kernel') && error.details['errno'] === 'EINVAL') return false
    throw error
  }
  pinLink(libbpf, fd, path)
  return true
}

/** The link pinned at `path`; undefined when there is none, or it is not one of a device. */
export function readTcxLink(libbpf: Libbpf, path: string): TcxLink | undefined {
  const info = readPinnedLink(libbpf, path)
  if (info === undefined || info.getUint32(0, true) !== BPF_LINK_TYPE_TCX) return undefined
  // struct bpf_link_info, tcx: ifindex, attach_type
  const [device, attachType] = [info.getUint32(16, true), info.getUint32(20, true)]
  const way = (['ingress', 'egress'] as const).find((each) => TCX_WAYS[each] === attachType)
  return way === undefined ? undefined : { way, device, programId: info.getUint32(8, true) }
}
