/**
 * What a process does to itself: new or other namespaces, another program, an end together with its
 * parent; and who is at the other end of a unix socket.
 */
import { NetworkError } from '../lib/errors.ts'
import * as sys from './syscall.ts'

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9
const SIGPIPE = 13
const UCRED_BYTES = 12

/** Puts the calling thread into new namespaces of its own. A thread with its own mounts shares no cwd. */
export function unshareNamespaces(kinds: {
  readonly net?: boolean
  readonly mount?: boolean
}): void {
  sys.unshare(
    (kinds.net === true ? sys.CLONE.NEWNET : 0) | (kinds.mount === true ? sys.CLONE.NEWNS : 0),
  )
}

/**
 * Moves the calling thread for good into the namespaces the descriptors name. For a thread that goes on to
 * `execute` or that was made for it: nothing brings it back.
 */
export function joinNamespaces(fds: { readonly net?: number; readonly mount?: number }): void {
  if (fds.net !== undefined) sys.setns(fds.net, sys.CLONE.NEWNET)
  if (fds.mount !== undefined) {
    // The kernel moves nobody who shares root and working directory with other threads.
    sys.unshare(sys.CLONE.FS)
    sys.setns(fds.mount, sys.CLONE.NEWNS)
  }
}

/** Becomes another program, searched along PATH; the process id stays. Throws when there is none. */
export function execute(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): never {
  // The runtime ignores it, and what is ignored stays so in the new program.
  sys.defaultSignal(SIGPIPE)
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  )
  return sys.execvpe(file, [file, ...args], variables)
}

/** Ends this process when the thread that started it ends. Check afterwards that the parent still lives. */
export function dieWithParent(): void {
  sys.prctl(PR_SET_PDEATHSIG, SIGKILL)
}

export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** Who connected this unix socket, as the kernel saw it at that moment. unix(7) SO_PEERCRED */
export function peerCredentials(fd: number): PeerCredentials {
  const ucred = Buffer.alloc(UCRED_BYTES)
  const length = sys.getsockopt(fd, sys.SOL_SOCKET, sys.SO_PEERCRED, ucred)
  if (length < UCRED_BYTES) {
    throw new NetworkError('kernel', `Cannot tell who is connected: ${length} bytes of an answer`)
  }
  return { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8) }
}
