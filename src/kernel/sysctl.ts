/**
 * Kernel settings below /proc/sys. Those below `net` are the namespace's of the thread that opens the
 * file, so opening, reading and writing happen in one go inside it. To find the file costs far more than to
 * read it where there are many namespaces: all of them have files of the same names.
 */
import { readSync } from 'node:fs'
import { NetworkError } from '../lib/errors.ts'
import { errnoOf } from './errno.ts'
import type { OpenSetting, Sysctl } from './settings.ts'
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
    open(path) {
      return openSetting(fileOf(path), inside)
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

function openSetting(file: string, inside: <T>(work: () => T) => T): OpenSetting {
  const buffer = Buffer.alloc(VALUE_BYTES)
  let fd: number | undefined
  try {
    fd = inside(() => sys.open(file, sys.O.RDONLY))
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  return {
    read() {
      if (fd === undefined) return undefined
      const length = readSync(fd, buffer, 0, VALUE_BYTES, 0)
      return buffer.toString('utf8', 0, length).replace(/\n$/, '')
    },
    [Symbol.dispose]() {
      if (fd !== undefined) sys.close(fd)
      fd = undefined
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
