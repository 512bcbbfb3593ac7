/**
 * Names of Linux error numbers and the one error a refused system call becomes. The name is what code
 * compares and what an operator can search for; the number never leaves this room.
 */
import { constants } from 'node:os'
import { isNetworkError, NetworkError } from '../lib/errors.ts'

/** The name of an error number: `EEXIST`; `errno 4711` when the C library knows none. */
export function errnoName(errno: number): string {
  for (const [name, number] of Object.entries(constants.errno)) {
    // Two names of one number: Linux prints the first one.
    if (number === errno && name !== 'EWOULDBLOCK' && name !== 'ENOTSUP') return name
  }
  return OTHERS[errno] ?? `errno ${errno}`
}

/** Numbers that node:os leaves out. asm-generic/errno.h */
const OTHERS: Readonly<Record<number, string>> = {
  94: 'ESOCKTNOSUPPORT',
  96: 'EPFNOSUPPORT',
  108: 'ESHUTDOWN',
  117: 'EUCLEAN',
  524: 'ENOTSUPP',
}

/** What the kernel answered instead of doing `operation` (a phrase: `create link "a"`). */
export function kernelError(operation: string, errno: number, ack?: string): NetworkError {
  const name = errnoName(errno)
  const reason = ack === undefined || ack === '' ? name : `${ack} (${name})`
  return new NetworkError('kernel', `Cannot ${operation}: ${reason}`, {
    details: { operation, errno: name, ...(ack === undefined || ack === '' ? {} : { ack }) },
  })
}

/** The errno name a kernel error carries; undefined for every other error. */
export function errnoOf(error: unknown): string | undefined {
  if (!isNetworkError(error, 'kernel')) return undefined
  const errno = error.details['errno']
  return typeof errno === 'string' ? errno : undefined
}
