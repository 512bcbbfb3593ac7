/**
 * What a process tells the service manager that started it: that it is ready, what it does, that it is alive.
 * One datagram per message; nobody waits for it, and one that is lost does no harm. sd_notify(3)
 */
import { isNetworkError } from '../lib/errors.ts'
import { kernelError } from './errno.ts'
import * as sys from './syscall.ts'

/** linux/un.h */
const PATH_BYTES = 108

export interface ServiceManager {
  /** Sends the variables, such as `READY: '1'`; does nothing where there is no service manager. */
  tell(variables: Readonly<Record<string, string>>): void
  /** It wants to hear `WATCHDOG: '1'` at least this often; undefined when it does not care. */
  readonly watchdogMs: number | undefined
}

/**
 * The manager of process `pid`, whose environment is `env`; its variables are taken out, so that a child does not
 * speak for us.
 */
export function openServiceManager(
  env: Record<string, string | undefined>,
  pid: number,
): ServiceManager {
  const { NOTIFY_SOCKET: path = '', WATCHDOG_USEC: period, WATCHDOG_PID: watched } = env
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  const watchdogMs = Number(period) / 1_000
  const isWatched = watchdogMs > 0 && (watched === undefined || Number(watched) === pid)
  return {
    tell(variables) {
      if (path === '') return
      const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`)
      try {
        sendTo(path, lines.join(''))
      } catch (error) {
        if (!isNetworkError(error, 'kernel')) throw error // else it is gone, or has no time to listen
      }
    },
    watchdogMs: path !== '' && isWatched ? watchdogMs : undefined,
  }
}

/** The time that goes with `RELOADING: '1'`, as the manager reads it: `MONOTONIC_USEC`. */
export function reloadingSince(): string {
  return String(sys.monotonicMicroseconds())
}

/** A path from / or, with an @ before it, a name in the abstract namespace. unix(7) */
function sendTo(path: string, text: string): void {
  const bytes = Buffer.from(path)
  if (bytes.length > PATH_BYTES) throw kernelError(`send to "${path}"`, EINVAL)
  if (bytes[0] === '@'.charCodeAt(0)) bytes[0] = 0
  const family = Buffer.alloc(2)
  family.writeUInt16LE(sys.AF_UNIX)
  const type = sys.SOCK_DGRAM | sys.SOCK_CLOEXEC | sys.SOCK_NONBLOCK
  const fd = sys.socket(sys.AF_UNIX, type, 0)
  try {
    sys.connect(fd, Buffer.concat([family, bytes]))
    sys.send(fd, Buffer.from(text))
  } finally {
    sys.close(fd)
  }
}

const EINVAL = 22
