/**
 * Network namespaces: opening and checking them, making them, and doing one synchronous piece of work
 * inside one. A thread that cannot return home would go on in somebody else's network, so it must not live.
 */
import { closeSync, fstatSync, openSync, readlinkSync, rmSync } from 'node:fs'
import { NetworkError } from '../lib/errors.ts'
import { errnoOf } from './errno.ts'
import type { Netns } from './kernel.ts'
import * as sys from './syscall.ts'

/** linux/magic.h, linux/nsfs.h */
const NSFS_MAGIC = 0x6e736673
const NS_GET_NSTYPE = 0xb703
/** linux/mount.h, linux/fs.h */
const MS_BIND = 4096
const MNT_DETACH = 2
const SELF = '/proc/thread-self/ns/net'

/** Opens a network namespace by path or process id; see Kernel.openNetns. */
export function openNetns(target: string | number): Netns {
  const path = typeof target === 'number' ? `/proc/${target}/ns/net` : target
  return handleOf(openChecked(path, target))
}

/** See Kernel.copyNetns. Without a walk along a path: that takes fifty times as long. */
export function copyNetns(fd: number): Netns {
  return handleOf(sys.duplicate(fd))
}

function handleOf(fd: number): Netns {
  const inode = fstatSync(fd).ino
  let open = true
  const close = () => {
    if (open) closeSync(fd)
    open = false
  }
  return { fd, inode, close, [Symbol.dispose]: close }
}

/** Makes a namespace and mounts it on `path`; see Kernel.createNetns. `home` is where the thread belongs. */
export function createNetns(path: string, home: number): Netns {
  try {
    closeSync(openSync(path, 'wx', 0o444))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'EEXIST') throw error
    throw new NetworkError('already-exists', `Cannot create namespace "${path}": it exists`, {
      details: { netns: path },
    })
  }
  try {
    sys.unshare(sys.CLONE.NEWNET)
    try {
      sys.mount(SELF, path, '', MS_BIND, '')
    } finally {
      goHome(home)
    }
    return openNetns(path)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  }
}

/** Unmounts and deletes the name; content when it is gone. */
export function removeNetns(path: string): void {
  try {
    sys.umount2(path, MNT_DETACH)
  } catch (error) {
    // ENOENT: no such file. EINVAL: a file nothing is mounted on, left by a crash.
    if (!['ENOENT', 'EINVAL'].includes(errnoOf(error) ?? '')) throw error
  }
  rmSync(path, { force: true })
}

/** Does `work` inside the namespace, from and back to the one that `home` names. */
export function inside<T>(fd: number, home: number, work: () => T): T {
  sys.setns(fd, sys.CLONE.NEWNET)
  try {
    return work()
  } finally {
    goHome(home)
  }
}

/** A descriptor of the calling thread's own namespace. */
export function openHome(): Netns {
  return openNetns(SELF)
}

/**
 * The number by which BPF programs tell the calling thread's namespace from all others since boot. Linux 5.14;
 * asm-generic/socket.h SO_NETNS_COOKIE
 */
export function readNetnsCookie(): number {
  const fd = sys.socket(sys.AF_NETLINK, sys.SOCK_RAW | sys.SOCK_CLOEXEC, 0)
  try {
    const cookie = new Uint8Array(8)
    sys.getsockopt(fd, sys.SOL_SOCKET, sys.SO_NETNS_COOKIE, cookie)
    return Number(new DataView(cookie.buffer).getBigUint64(0, true)) // a counter: far below 2^53
  } finally {
    sys.close(fd)
  }
}

function goHome(home: number): void {
  try {
    sys.setns(home, sys.CLONE.NEWNET)
  } catch (error) {
    sys.dieNow(
      `carrick: cannot return to the own network namespace, so this process ends: ${error}`,
    )
  }
}

function openChecked(path: string, target: string | number): number {
  const named = typeof target === 'number' ? `of process ${target}` : `"${target}"`
  const details = { netns: target }
  const refuse = (found: string, cause?: unknown) =>
    new NetworkError('invalid', `Cannot open namespace ${named}: ${found}`, { details, cause })
  let fd: number
  try {
    fd = sys.open(path, sys.O.RDONLY | sys.O.NONBLOCK)
  } catch (error) {
    const errno = errnoOf(error)
    // ESRCH, EACCES on a magic link: the process has ended and is not yet reaped.
    if (errno === 'ENOENT' || errno === 'ESRCH' || errno === 'ENOTDIR') {
      throw new NetworkError('not-found', `Cannot open namespace ${named}: there is none`, {
        details,
        cause: error,
      })
    }
    // What open(2) says of sockets and devices without driver.
    if (errno === 'ENXIO' || errno === 'ENODEV' || errno === 'ELOOP') {
      throw refuse('not a namespace', error)
    }
    throw error
  }
  try {
    if (sys.fileSystemOf(fd) !== NSFS_MAGIC) throw refuse('not a namespace')
    if (sys.ioctl(fd, NS_GET_NSTYPE) !== sys.CLONE.NEWNET) {
      throw refuse(`a namespace of another kind, ${readlinkSync(`/proc/self/fd/${fd}`)}`)
    }
    return fd
  } catch (error) {
    closeSync(fd)
    if (errnoOf(error) === 'ENOTTY') throw refuse('not a namespace', error)
    throw error
  }
}
