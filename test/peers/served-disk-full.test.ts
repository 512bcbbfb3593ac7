/** A store on a disk that fills up: writes are refused whole, reads go on, and room makes it write again. */

import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const source = (path: string): string => JSON.stringify(join(import.meta.dir, '../../src', path))

const PROGRAM = `
  const { rmSync, writeFileSync } = await import('node:fs')
  const { openEmbeddedStore } = await import(${source('store/sqlite/embedded.ts')})
  const disk = process.argv[1]
  writeFileSync(disk + '/ballast', Buffer.alloc(1024 * 1024))
  const store = openEmbeddedStore({ path: disk + '/store/store.db' })
  const put = (i) => store.txn({ success: [
    { kind: 'put', key: '/a/' + i, value: 'x'.repeat(50000) },
    { kind: 'put', key: '/b/' + i, value: 'x'.repeat(50000) }] })
  let written = 0
  let refused
  while (refused === undefined && written < 1000) {
    try { await put(written); written++ } catch (error) { refused = error }
  }
  const { count, revision } = await store.range({ prefix: '/' })
  const again = await put(written).then(() => 'written', (error) => error.code)
  rmSync(disk + '/ballast')
  const after = await put(written).then((done) => done.revision, (error) => error.message)
  await store[Symbol.asyncDispose]()
  const reopened = openEmbeddedStore({ path: disk + '/store/store.db' })
  const kept = (await reopened.range({ prefix: '/' })).count
  await reopened[Symbol.asyncDispose]()
  console.log(JSON.stringify({ code: refused?.code, message: refused?.message, written, count,
    revision, again, after, kept }))
`

test('a full disk', () => {
  const disk = mkdtempSync(join(tmpdir(), 'ckt-full-'))
  try {
    // the mount is seen by this process only and goes with it
    const script = 'mount -t tmpfs -o size=4m ckt-full "$1" && exec "$2" -e "$3" "$1"'
    const args = ['-m', 'sh', '-c', script, 'sh', disk, process.execPath, PROGRAM]
    const { stdout, stderr, status } = spawnSync('unshare', args, { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const told = JSON.parse(stdout) as Record<string, unknown>
    const written = Number(told['written'])
    expect(written).toBeGreaterThan(3)
    expect(told).toEqual({
      code: 'unavailable',
      message: `Cannot write the store ${disk}/store/store.db: the disk is full`,
      written,
      count: written * 2,
      revision: written + 1,
      again: 'unavailable',
      after: written + 2,
      kept: (written + 1) * 2,
    })
  } finally {
    rmSync(disk, { recursive: true })
  }
})
