/** What becomes of files that are damaged, foreign, newer or held by somebody else. */

import { afterAll, expect, test } from 'bun:test'
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ErrorCode } from '../../lib/errors.ts'
import { NetworkError } from '../../lib/errors.ts'
import { SCHEMA } from './database.ts'
import { openEmbeddedStore } from './embedded.ts'

const directory = mkdtempSync(join(tmpdir(), 'ckt-database-'))
const whole = join(directory, 'whole.db')

afterAll(() => rmSync(directory, { recursive: true }))

{
  await using store = openEmbeddedStore({ path: whole })
  for (let i = 0; i < 50; i++) {
    await store.txn({ success: [{ kind: 'put', key: `/k/${i}`, value: 'v'.repeat(2000) }] })
  }
}

const overwrite = (path: string, offset: number, bytes: Uint8Array): void => {
  const content = readFileSync(path)
  content.set(bytes, offset)
  writeFileSync(path, content)
}

const rows: readonly {
  readonly name: string
  readonly spoil: (path: string) => void
  readonly code: ErrorCode
  readonly says: readonly string[]
}[] = [
  {
    name: 'a file cut in half',
    spoil: (path) => truncateSync(path, Math.floor(readFileSync(path).length / 2)),
    code: 'conflict',
    says: ['damaged', 'should have'],
  },
  {
    name: 'an empty file',
    spoil: (path) => truncateSync(path, 0),
    code: 'conflict',
    says: ['damaged', '0 bytes'],
  },
  {
    name: 'a text file',
    spoil: (path) => writeFileSync(path, 'hello '.repeat(1000)),
    code: 'conflict',
    says: ['damaged', 'SQLite'],
  },
  {
    name: 'a page of garbage',
    spoil: (path) => overwrite(path, 4096 * 3, new Uint8Array(4096).fill(0xa5)),
    code: 'conflict',
    says: ['damaged'],
  },
  {
    name: 'the database of another program',
    spoil: (path) => overwrite(path, 68, new Uint8Array([0, 0, 0, 1])),
    code: 'conflict',
    says: ['not a store'],
  },
  {
    name: 'a newer schema',
    spoil: (path) => overwrite(path, 60, new Uint8Array([0, 0, 0, SCHEMA + 6])),
    code: 'unsupported',
    says: [`schema is ${SCHEMA + 6}`, `knows ${SCHEMA}`],
  },
]

for (const [index, { name, spoil, code, says }] of rows.entries()) {
  test(`opening ${name} is refused with ${code}, and leaves it as it is`, () => {
    const path = join(directory, `${index}.db`)
    copyFileSync(whole, path)
    spoil(path)
    const before = readFileSync(path)
    const error = thrownBy(() => openEmbeddedStore({ path }))
    expect(error.code).toBe(code)
    for (const text of [path, ...says]) expect(error.message).toContain(text)
    expect(readFileSync(path).equals(before)).toBe(true)
  })
}

test('a half-made file of a crashed first start does not matter', async () => {
  const path = join(directory, 'fresh.db')
  writeFileSync(`${path}.new`, 'half of a datab')
  await using store = openEmbeddedStore({ path })
  expect((await store.range({ prefix: '/' })).revision).toBe(1)
})

test('a second opening in the same process is refused', async () => {
  await using store = openEmbeddedStore({ path: whole })
  expect(thrownBy(() => openEmbeddedStore({ path: whole })).code).toBe('conflict')
  expect((await store.range({ prefix: '/k/' })).count).toBe(50)
})

test('a file another process holds is refused, and free once that has died', async () => {
  const module = join(import.meta.dir, 'embedded.ts')
  const program = `const { openEmbeddedStore } = await import(${JSON.stringify(module)})
    const store = openEmbeddedStore({ path: ${JSON.stringify(whole)} })
    await store.txn({ success: [{ kind: 'put', key: '/other', value: '' }] })
    console.log('open'); setInterval(() => store, 1000)`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const error = thrownBy(() => openEmbeddedStore({ path: whole }))
    expect([error.code, error.message]).toEqual([
      'conflict',
      `Cannot open the store ${whole}: another process has it open`,
    ])
  } finally {
    child.kill('SIGKILL')
    await ended
  }
  await using store = openEmbeddedStore({ path: whole })
  expect((await store.range({ key: '/other' })).count).toBe(1)
})

test('what was answered before a kill is there after it', async () => {
  const path = join(directory, 'killed.db')
  const module = join(import.meta.dir, 'embedded.ts')
  const program = `const { openEmbeddedStore } = await import(${JSON.stringify(module)})
    const store = openEmbeddedStore({ path: ${JSON.stringify(path)}, historyRevisions: 100 })
    for (let i = 0; ; i++) {
      const success = [0, 1, 2, 3].map((n) => ({
        kind: 'put', key: '/' + n + '/' + (i % 500), value: String(i).padEnd(9000) }))
      const { revision } = await store.txn({ success })
      process.stdout.write(revision + '\\n')
    }`
  let answered = 1
  for (const rounds of [40, 400, 900]) {
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise((resolve) => child.once('close', resolve))
    const goal = answered + rounds
    let text = ''
    child.stdout.on('data', (piece: Buffer) => {
      text = (text + piece.toString()).slice(-100)
      answered = Number(text.split('\n').at(-2) ?? answered)
      if (answered >= goal) child.kill('SIGKILL')
    })
    await ended
    await using store = openEmbeddedStore({ path })
    const { items, revision } = await store.range({ prefix: '/' })
    expect(revision).toBeGreaterThanOrEqual(answered)
    expect(items.filter((item) => item.modRevision === revision).length).toBe(4)
    answered = revision
  }
}, 60_000)

test('a directory nobody may write to is told as unavailable', () => {
  const path = join('/proc', 'ckt-none', 'store.db')
  expect(thrownBy(() => openEmbeddedStore({ path })).code).toBe('unavailable')
})

function thrownBy(work: () => unknown): NetworkError {
  try {
    work()
  } catch (error) {
    if (error instanceof NetworkError) return error
    throw error
  }
  throw new Error('Nothing was thrown')
}
