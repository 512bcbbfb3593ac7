/**
 * The root of the cgroup v2 tree, where programs for all sockets of the machine are attached. It exists on
 * machines with cgroup v1 too, if only as an empty tree that every process is in.
 */
import { mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs'
import { errnoOf } from './errno.ts'
import { MS, unmount } from './mount.ts'
import * as sys from './syscall.ts'

/** linux/magic.h */
const CGROUP2_SUPER_MAGIC = 0x63677270

/** An open directory of the cgroup file system. */
export interface Cgroup extends Disposable {
  readonly fd: number
  /** The kernel's number of the cgroup, as links tell it. */
  readonly id: number
}

/**
 * Opens the root where it is mounted. Where it is mounted nowhere, mounts it on `emptyDirectory` for as long
 * as opening takes. Throws `kernel` when the kernel has no cgroup v2.
 */
export function openCgroupRoot(emptyDirectory: string): Cgroup {
  for (const path of cgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'))) {
    const fd = openIfCgroup(path)
    if (fd !== undefined) return cgroup(fd)
  }
  mkdirSync(emptyDirectory, { recursive: true })
  try {
    sys.mount('cgroup2', emptyDirectory, 'cgroup2', MS.NOSUID | MS.NODEV | MS.NOEXEC, '')
    try {
      return cgroup(sys.open(emptyDirectory, sys.O.RDONLY))
    } finally {
      unmount(emptyDirectory)
    }
  } finally {
    rmdirSync(emptyDirectory)
  }
}

/** Where the root of a cgroup v2 tree is mounted. proc_pid_mountinfo(5) */
export function cgroupMounts(mountinfo: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root, path] = before.split(' ')
    if (root !== '/' || path === undefined || !after.startsWith('cgroup2 ')) return []
    // Space, tab, line end and backslash stand in octal.
    return [path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))]
  })
}

/** Undefined when something else was mounted over it. */
function openIfCgroup(path: string): number | undefined {
  let fd: number
  try {
    fd = sys.open(path, sys.O.RDONLY)
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
  if (sys.fileSystemOf(fd) === CGROUP2_SUPER_MAGIC) return fd
  sys.close(fd)
  return undefined
}

function cgroup(fd: number): Cgroup {
  const id = statSync(`/proc/self/fd/${fd}`).ino
  return { fd, id, [Symbol.dispose]: () => sys.close(fd) }
}
