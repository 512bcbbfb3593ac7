/**
 * Sockets that the service manager opened before it started this process: whoever connects to them waits until
 * we accept, across our restarts too. sd_listen_fds(3)
 */
import { isNetworkError } from '../lib/errors.ts'
import * as sys from './syscall.ts'

/** The first descriptor that is handed over. */
const FIRST = 3
/** linux/un.h: the family, and a path of at most 108 bytes. */
const ADDRESS_BYTES = 110

export interface InheritedSocket {
  /** The unit's FileDescriptorName, or `unknown`. systemd.socket(5) */
  readonly name: string
  /** Undefined for one that is no listening unix stream socket. */
  readonly path: string | undefined
  /** A new descriptor of it for somebody who closes it; connections wait while nobody accepts. */
  duplicate(): number
}

/**
 * What was handed to process `pid`, whose environment is `env`. Its variables are taken out, so that a child
 * does not take them for its own.
 */
export function takeInheritedSockets(
  env: Record<string, string | undefined>,
  pid: number,
): readonly InheritedSocket[] {
  const { LISTEN_FDNAMES: names = '' } = env
  const fds = descriptors(env, pid)
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name]
  return fds.map((fd, index): InheritedSocket => {
    sys.setCloseOnExec(fd, true)
    return {
      name: names.split(':')[index] || 'unknown',
      path: listenerPath(fd),
      duplicate: () => sys.duplicate(fd),
    }
  })
}

/** Lets them go on to the program that this one becomes: the runtime has marked what it did not open itself. */
export function passOnSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): void {
  for (const fd of descriptors(env, pid)) sys.setCloseOnExec(fd, false)
}

function descriptors(
  { LISTEN_PID: owner, LISTEN_FDS: count = '' }: Readonly<Record<string, string | undefined>>,
  pid: number,
): readonly number[] {
  if (Number(owner) !== pid || !/^\d{1,3}$/.test(count)) return []
  return Array.from({ length: Number(count) }, (_, index) => FIRST + index)
}

function listenerPath(fd: number): string | undefined {
  try {
    if (option(fd, sys.SO_TYPE) !== sys.SOCK_STREAM || option(fd, sys.SO_ACCEPTCONN) !== 1) {
      return undefined
    }
    const address = Buffer.alloc(ADDRESS_BYTES)
    const length = sys.getsockname(fd, address)
    if (address.readUInt16LE(0) !== sys.AF_UNIX) return undefined
    const end = address.indexOf(0, 2)
    return address.toString('utf8', 2, end < 0 ? length : Math.min(end, length))
  } catch (error) {
    if (isNetworkError(error, 'kernel')) return undefined // no socket at all
    throw error
  }
}

function option(fd: number, which: number): number {
  const value = Buffer.alloc(4)
  sys.getsockopt(fd, sys.SOL_SOCKET, which, value)
  return value.readInt32LE(0)
}
