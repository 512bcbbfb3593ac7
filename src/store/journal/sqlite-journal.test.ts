import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type ErrorCode, isNetworkError } from '../../lib/errors.ts'
import type { JournalChange } from './journal.ts'
import { discardJournal, openJournal } from './sqlite-journal.ts'

let directory = ''
let path = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `ckt-journal-${process.pid}-`))
  path = join(directory, 'state', 'journal.db')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const put = (key: string, value: string): JournalChange => ({ kind: 'put', key, value })
const remove = (key: string): JournalChange => ({ kind: 'delete', key })

function refused(code: ErrorCode, text: RegExp): (error: unknown) => boolean {
  return (error) => isNetworkError(error, code) && text.test(error.message)
}

test('commits are numbered, kept over a restart, and told in the same turn', () => {
  const told: string[] = []
  {
    using journal = openJournal({ path })
    assert.equal(journal.sequence, 0)
    const stop = journal.subscribe((records) => told.push(...records.map(({ key }) => key)))
    assert.equal(journal.commit([put('/a/1', 'x'), put('/b', 'y')]), 1)
    assert.equal(journal.commit([put('/a/2', 'z'), remove('/b')]), 2)
    assert.deepEqual(told, ['/a/1', '/b', '/a/2', '/b'])
    stop()
    journal.settings.set('host-id', 'h1')
  }
  using journal = openJournal({ path })
  assert.equal(journal.sequence, 2)
  assert.equal(journal.get('/a/1'), 'x')
  assert.equal(journal.get('/b'), undefined)
  assert.deepEqual(journal.list('/a/'), [
    { key: '/a/1', value: 'x', sequence: 1 },
    { key: '/a/2', value: 'z', sequence: 2 },
  ])
  assert.equal(journal.settings.get('host-id'), 'h1')
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('changedSince() gives removed records too, until they are forgotten', () => {
  using journal = openJournal({ path })
  journal.commit([put('/a', '1'), put('/b', '1')])
  journal.commit([remove('/a')])
  journal.commit([put('/b', '2')])
  assert.deepEqual(
    journal.changedSince(1).map(({ key, value, sequence }) => [key, value, sequence]),
    [
      ['/a', undefined, 2],
      ['/b', '2', 3],
    ],
  )
  journal.forgetRemoved(1)
  assert.equal(journal.changedSince(0).length, 2)
  journal.forgetRemoved(2)
  assert.deepEqual(
    journal.changedSince(0).map(({ key }) => key),
    ['/b'],
  )
})

test('commit() jumps ahead when it is told what the store has seen', () => {
  using journal = openJournal({ path })
  assert.equal(journal.commit([put('/a', '1')], 41), 41)
  assert.equal(journal.commit([]), 42)
  assert.equal(journal.commit([], 7), 43)
})

test('the copy of the shared store is replaced and changed as a whole', () => {
  using journal = openJournal({ path })
  assert.equal(journal.cache.revision, undefined)
  journal.cache.replace([{ key: '/x', value: '1', modRevision: 4 }], 9)
  journal.cache.apply(
    [
      { key: '/y', value: '2', modRevision: 10 },
      { key: '/x', value: undefined, modRevision: 11 },
    ],
    11,
  )
  assert.deepEqual([...journal.cache.load()], [{ key: '/y', value: '2', modRevision: 10 }])
  assert.equal(journal.cache.revision, 11)
  journal.cache.replace([], 12)
  assert.deepEqual([...journal.cache.load()], [])
})

test('openJournal() refuses a second daemon, in this process and from another', async () => {
  using journal = openJournal({ path })
  assert.throws(() => openJournal({ path }), refused('conflict', /second daemon/))
  const code = `import { discardJournal, openJournal } from '${import.meta.dirname}/sqlite-journal.ts'
    try { openJournal({ path: '${path}' }) } catch (error) { console.log(error.code) }`
  const other = Bun.spawn([process.execPath, '-e', code], { stdout: 'pipe' })
  assert.equal((await new Response(other.stdout).text()).trim(), 'conflict')
  assert.equal(journal.commit([put('/still', 'mine')]), 1)
})

test('a commit survives the death of the process', async () => {
  const code = `import { openJournal } from '${import.meta.dirname}/sqlite-journal.ts'
    const journal = openJournal({ path: '${path}' })
    for (let n = 1; n <= 20; n++) journal.commit([{ kind: 'put', key: '/k', value: String(n) }])
    process.kill(process.pid, 'SIGKILL')`
  await Bun.spawn([process.execPath, '-e', code]).exited
  using journal = openJournal({ path })
  assert.deepEqual(journal.list('/'), [{ key: '/k', value: '20', sequence: 20 }])
})

test('openJournal() refuses a newer schema and leaves the file as it is', () => {
  openJournal({ path })[Symbol.dispose]()
  const db = new DatabaseSync(path)
  db.exec('PRAGMA user_version = 2')
  db.close()
  const before = readFileSync(path)
  assert.throws(() => openJournal({ path }), refused('unsupported', /schema is 2/))
  assert.deepEqual(readFileSync(path), before)
})

for (const { name, damage } of [
  { name: 'a truncated file', damage: () => truncateSync(path, 9000) },
  { name: 'text', damage: () => writeFileSync(path, 'garbage '.repeat(999)) },
  {
    name: 'an overwritten page',
    damage: () => {
      const bytes = readFileSync(path)
      bytes.fill(0xa5, 4096, 3 * 4096)
      writeFileSync(path, bytes)
    },
  },
]) {
  test(`openJournal() refuses ${name} and names it`, () => {
    {
      using journal = openJournal({ path })
      for (let i = 0; i < 50; i++) journal.commit([put(`/key/${i}`, 'x'.repeat(500))])
    }
    damage()
    assert.throws(() => openJournal({ path }), refused('invalid', new RegExp(`${path}.*damaged`)))
  })
}

test("openJournal() refuses another program's database", () => {
  openJournal({ path })[Symbol.dispose]()
  rmSync(path)
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE theirs (x)')
  db.close()
  assert.throws(() => openJournal({ path }), refused('invalid', /another program/))
})

test('a full disk refuses the commit whole, and nobody is told', () => {
  using journal = openJournal({ path, maxPages: 16 })
  journal.commit([put('/first', '1')])
  const told: unknown[] = []
  journal.subscribe((records) => told.push(records))
  const big = Array.from({ length: 100 }, (_, i) => put(`/big/${i}`, 'x'.repeat(2000)))
  assert.throws(() => journal.commit(big), refused('exhausted', /disk is full/))
  assert.deepEqual(told, [])
  assert.equal(journal.sequence, 1)
  assert.deepEqual(
    journal.list('/').map(({ key }) => key),
    ['/first'],
  )
  assert.equal(journal.commit([put('/small', '2')]), 2)
})

test('discardJournal() puts the file aside, also a damaged one, but not one in use', () => {
  discardJournal(path)
  {
    using journal = openJournal({ path })
    journal.commit([put('/a', '1')])
    assert.throws(() => discardJournal(path), refused('conflict', /second daemon/))
  }
  discardJournal(path)
  {
    using journal = openJournal({ path })
    assert.equal(journal.sequence, 0)
  }
  writeFileSync(path, 'garbage '.repeat(999))
  discardJournal(path)
  using journal = openJournal({ path })
  assert.equal(journal.sequence, 0)
})
