/** Who watches the directory of lists, as /proc tells. */

import { afterEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blindWatchers } from './cni-runtimes.ts'

const made: string[] = []
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

/** A /proc with one process of this name that watches these inodes; undefined: it has no inotify. */
function procWith(comm: string, inodes: readonly number[] | undefined): string {
  const proc = mkdtempSync(join(tmpdir(), 'ckt-proc-'))
  made.push(proc)
  for (const pid of ['self', '77']) {
    mkdirSync(join(proc, pid, 'ns'), { recursive: true })
    mkdirSync(join(proc, pid, 'fdinfo'), { recursive: true })
    mkdirSync(join(proc, pid, 'fd'))
  }
  writeFileSync(join(proc, 'self/ns/net'), '')
  rmSync(join(proc, '77/ns/net'), { force: true })
  // A hard link has the inode of what it links to, as two processes' entries of one namespace have.
  linkSync(join(proc, 'self/ns/net'), join(proc, '77/ns/net'))
  writeFileSync(join(proc, '77/comm'), `${comm}\n`)
  if (inodes === undefined) return proc
  symlinkSync('anon_inode:inotify', join(proc, '77/fd/9'))
  const lines = inodes.map(
    (inode, i) =>
      `inotify wd:${i + 1} ino:${inode.toString(16)} sdev:800001 mask:fce ignored_mask:0\n`,
  )
  writeFileSync(join(proc, '77/fdinfo/9'), `pos:\t0\nflags:\t02004000\n${lines.join('')}`)
  return proc
}

test('a runtime that watches another directory than the one that is there is found', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-netd-'))
  made.push(directory)
  const { ino } = statSync(directory)
  assert.deepEqual(blindWatchers(directory, procWith('containerd', [ino + 1])), [
    { name: 'containerd', pid: 77 },
  ])
  assert.deepEqual(blindWatchers(directory, procWith('containerd', [ino + 1, ino])), [])
  assert.deepEqual(blindWatchers(directory, procWith('dockerd', [ino + 1])), [])
  assert.deepEqual(blindWatchers(directory, procWith('crio', undefined)), [], 'it serves no pods')
  assert.equal(blindWatchers(directory, procWith('crio', [])).length, 1, 'its watch has ended')
  assert.equal(blindWatchers(`${directory}/gone`, procWith('crio', [ino])).length, 1)
})
