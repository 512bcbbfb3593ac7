/** A file is replaced whole or not at all: written beside, brought to the disk, renamed over the old one. */

import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/** `mode` is for a new file: one that was there keeps its own, and its owner. Throws as node:fs does. */
export function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const temporary = `${path}.${process.pid}.new`
  const old = statSync(path, { throwIfNoEntry: false })
  try {
    const fd = openSync(temporary, 'wx', mode)
    try {
      writeFileSync(fd, content)
      fchmodSync(fd, old === undefined ? mode : old.mode & 0o7777)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (old !== undefined) chownSync(temporary, old.uid, old.gid)
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
