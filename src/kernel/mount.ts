/**
 * Mounts, for the parts that make a virtual host out of namespaces and for the file system that holds
 * pinned BPF objects. mount(2), linux/mount.h
 */
import { mkdirSync } from 'node:fs'
import { errnoOf } from './errno.ts'
import * as sys from './syscall.ts'

export const MS = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  REMOUNT: 0x20,
  BIND: 0x1000,
  MOVE: 0x2000,
  REC: 0x4000,
  PRIVATE: 0x40000,
  SLAVE: 0x80000,
} as const
const MNT_DETACH = 2
const BPF_FS_MAGIC = 0xcafe4a11

/** mount(2). `flags` are MS bits; `data` is the file system's own text. */
export function mount(source: string, target: string, type: string, flags = 0, data = ''): void {
  sys.mount(source, target, type, flags, data)
}

/** Shows what is at `source` at `target` too. */
export function bindMount(source: string, target: string): void {
  sys.mount(source, target, '', MS.BIND, '')
}

/** From here on, mounts made in this mount namespace are seen nowhere else. After unshare(CLONE_NEWNS). */
export function makeMountsPrivate(): void {
  sys.mount('none', '/', '', MS.REC | MS.PRIVATE, '')
}

/** Takes a mount away, at once for new users; content when nothing is mounted there. */
export function unmount(target: string): void {
  try {
    sys.umount2(target, MNT_DETACH)
  } catch (error) {
    if (!['ENOENT', 'EINVAL'].includes(errnoOf(error) ?? '')) throw error
  }
}

/** Makes `target` a bpffs, unless it is one; pinned objects live as long as it. */
export function mountBpf(target: string): void {
  mkdirSync(target, { recursive: true, mode: 0o700 })
  if (fileSystemAt(target) === BPF_FS_MAGIC) return
  sys.mount('bpf', target, 'bpf', MS.NOSUID | MS.NODEV | MS.NOEXEC, 'mode=0700')
}

function fileSystemAt(path: string): number {
  const fd = sys.open(path, sys.O.RDONLY)
  try {
    return sys.fileSystemOf(fd)
  } finally {
    sys.close(fd)
  }
}
