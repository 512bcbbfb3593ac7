/**
 * Programs at netfilter's hooks of this namespace, each held by a pinned link (Linux 6.4): a ruleset that is
 * flushed leaves them. The library of Debian 12 does not know them, so the link is made by bpf(2) itself.
 */

import type { Family } from '../../net/ip.ts'
import { bpf } from '../syscall.ts'
import type { Libbpf } from './libbpf.ts'
import { pinLink, readPinnedLink, removePinnedLink } from './pinned-link.ts'

/** linux/bpf.h BPF_PROG_TYPE_NETFILTER, BPF_NETFILTER, BPF_LINK_TYPE_NETFILTER, BPF_LINK_CREATE */
export const NETFILTER_PROGRAM = { type: 32, attachType: 45 } as const
const BPF_LINK_TYPE_NETFILTER = 10
const BPF_LINK_CREATE = 28

/** linux/netfilter.h NF_INET_LOCAL_IN, NF_INET_FORWARD */
export const NETFILTER_HOOKS = { input: 1, forward: 2 } as const
export type NetfilterHook = keyof typeof NETFILTER_HOOKS

/** linux/netfilter.h NFPROTO_IPV4, NFPROTO_IPV6 */
const PROTOCOLS: Readonly<Record<Family, number>> = { 4: 2, 6: 10 }

export interface NetfilterPlace {
  readonly family: Family
  readonly hook: NetfilterHook
  /** Lower is asked first; no two programs of a hook may have the same. */
  readonly priority: number
}

/** Puts the program there, in place of what is pinned at `path`. */
export function putNetfilterLink(
  libbpf: Libbpf,
  path: string,
  programFd: number,
  { family, hook, priority }: NetfilterPlace,
): void {
  // At one hook there is no room for two of the same priority.
  removePinnedLink(path)
  // union bpf_attr, link_create: prog_fd, target_fd, attach_type, flags, then pf, hooknum, priority, flags
  const attributes = new Int32Array(8)
  attributes[0] = programFd
  attributes[2] = NETFILTER_PROGRAM.attachType
  attributes[4] = PROTOCOLS[family]
  attributes[5] = NETFILTER_HOOKS[hook]
  attributes[6] = priority
  const operation = `attach a program to netfilter's ${hook} of IPv${family}`
  const fd = bpf(operation, BPF_LINK_CREATE, new Uint8Array(attributes.buffer))
  pinLink(libbpf, fd, path)
}

/** The number of the program behind the link pinned at `path`; undefined when there is no such link. */
export function readNetfilterLink(libbpf: Libbpf, path: string): number | undefined {
  const info = readPinnedLink(libbpf, path)
  return info?.getUint32(0, true) === BPF_LINK_TYPE_NETFILTER ? info.getUint32(8, true) : undefined
}
