/**
 * Kernel settings below /proc/sys. Those below `net` are the namespace's of the thread that opens the
 * file, so opening, reading and writing happen in one go inside it.
 */
import { NetworkError } from '../lib/errors.ts'
import { errnoOf } from './errno.ts'
import type { Sysctl } from './kernel.ts'
import * as sys from './syscall.ts'

const VALUE_BYTES = 4096

/** `inside` runs its argument in the namespace whose settings are meant. */
export function sysctlOf(inside: <T>(work: () => T) => T): Sysctl {
  return {
    read(path) {
      const file = fileOf(path)
      const buffer = Buffer.alloc(VALUE_BYTES)
      try {
        const length = inside(() => withFile(file, sys.O.RDONLY, (fd) => sys.read(fd, buffer)))
        return buffer.toString('utf8', 0, length).replace(/\n$/, '')
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return undefined
        throw error
      }
    },
    write(path, value) {
      const file = fileOf(path)
      const bytes = Buffer.from(`${value}\n`)
      try {
        inside(() => withFile(file, sys.O.WRONLY, (fd) => sys.write(fd, bytes)))
      } catch (error) {
        if (errnoOf(error) === undefined) throw error
        throw new NetworkError(
          'kernel',
          `Cannot set ${path.join('/')} to "${value}": ${errnoOf(error)}`,
          { details: { operation: `set ${path.join('/')}`, errno: errnoOf(error) }, cause: error },
        )
      }
    },
  }
}

function withFile<T>(file: string, flags: number, work: (fd: number) => T): T {
  const fd = sys.open(file, flags)
  try {
    return work(fd)
  } finally {
    sys.close(fd)
  }
}

/** A part may hold dots, as device names do, but no way out of its folder. */
function fileOf(path: readonly string[]): string {
  for (const part of path) {
    if (part === '' || part === '.' || part === '..' || part.includes('/')) {
      throw new NetworkError(
        'invalid',
        `Cannot name a kernel setting "${path.join('/')}": part "${part}"`,
      )
    }
  }
  return `/proc/sys/${path.join('/')}`
}
