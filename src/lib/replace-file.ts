/** A file is replaced whole or not at all: written beside, brought to the disk, renamed over the old one. */

import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** `mode` is for a new file: one that was there keeps its own, and its owner. Throws as node:fs does. */
export function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const old = statSync(path, { throwIfNoEntry: false })
  replace(path, `${path}.${process.pid}.new`, (temporary) => {
    const fd = openSync(temporary, 'wx', mode)
    try {
      writeFileSync(fd, content)
      fchmodSync(fd, old === undefined ? mode : old.mode & 0o7777)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (old !== undefined) chownSync(temporary, old.uid, old.gid)
  })
}

/**
 * The file becomes a copy of `source`. Until it is whole nobody can execute it: some runtimes start every program
 * of a directory. Throws as node:fs does.
 */
export function replaceByCopy(path: string, source: string, mode: number): void {
  replace(path, hidden(path), (temporary) => {
    const [from, to] = [openSync(source, 'r'), openSync(temporary, 'wx', 0o600)]
    try {
      const part = new Uint8Array(1 << 20)
      for (let read = readSync(from, part); read > 0; read = readSync(from, part)) {
        for (let done = 0; done < read; ) done += writeSync(to, part, done, read - done)
      }
      fsyncSync(to)
      fchmodSync(to, mode)
    } finally {
      closeSync(from)
      closeSync(to)
    }
  })
}

/** The file becomes a symbolic link. Throws as node:fs does. */
export function replaceByLink(path: string, target: string): void {
  replace(path, hidden(path), (temporary) => symlinkSync(target, temporary))
}

function replace(path: string, temporary: string, make: (temporary: string) => void): void {
  try {
    make(temporary)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  const parent = openSync(dirname(path), 'r')
  try {
    fsyncSync(parent)
  } finally {
    closeSync(parent)
  }
}

function hidden(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.new`)
}
