import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { SpooledDelete } from '../../cni/exchange.ts'
import { spoolDelete } from '../../cni/spool.ts'
import type { Log } from '../../lib/log.ts'
import { CNI_CODE, cniError } from './errors.ts'
import { Spool } from './spool.ts'

let base: string
let directory: string
let warnings: string[]
let replayed: string[]
let refusal: Error | undefined

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), `ckt-spool-${process.pid}-`))
  directory = join(base, 'cni-spool')
  warnings = []
  replayed = []
  refusal = undefined
})
afterEach(() => rmSync(base, { recursive: true }))

const log: Log = {
  debug() {},
  info() {},
  warn: (message) => void warnings.push(message),
  error: (message) => void warnings.push(message),
  child: () => log,
}

const open = () =>
  new Spool({
    directory,
    log,
    replay: async ({ environment }: SpooledDelete) => {
      if (refusal !== undefined) throw refusal
      replayed.push(environment['CNI_CONTAINERID'] ?? '')
    },
  })

const leave = (container: string) =>
  spoolDelete(
    directory,
    { version: 1, environment: { CNI_COMMAND: 'DEL', CNI_CONTAINERID: container }, stdin: '{}' },
    ['cknet', container, 'eth0'],
    new Date('2026-01-01T00:00:00Z'),
  )

test('what the plug-in’s process left is done once', async () => {
  leave('c1')
  leave('c2')
  using spool = open()
  await spool.drain()
  await spool.drain()
  assert.deepEqual(replayed.sort(), ['c1', 'c2'])
  assert.deepEqual(readdirSync(directory), [])
  assert.deepEqual(warnings, [])
})

test('one that comes later is heard of', async () => {
  using _spool = open()
  leave('c1')
  for (const deadline = performance.now() + 5_000; replayed.length === 0; await pause(5)) {
    assert.ok(performance.now() < deadline, 'nobody heard of it')
  }
  assert.deepEqual(replayed, ['c1'])
})

test('what could not be done stays, what never can goes', async () => {
  leave('c1')
  using spool = open()
  refusal = cniError(CNI_CODE.TRY_AGAIN, 'Cannot do it now')
  await spool.drain()
  assert.equal(readdirSync(directory).length, 1)
  refusal = cniError(CNI_CODE.INVALID_CONFIG, 'Cannot take the configuration')
  await spool.drain()
  assert.deepEqual(readdirSync(directory), [])
  assert.equal(warnings.length, 2)
})

for (const { what, text } of [
  { what: 'nothing', text: '' },
  { what: 'half of it', text: '{"version":1,"stdin":"' },
  { what: 'another version', text: '{"version":2}' },
  { what: 'null', text: 'null' },
]) {
  test(`a file with ${what} is put out of the way`, async () => {
    leave('c1')
    writeFileSync(join(directory, 'bad.json'), text)
    using spool = open()
    await spool.drain()
    assert.deepEqual(replayed, ['c1'])
    assert.ok(!existsSync(join(directory, 'bad.json')))
    assert.equal(warnings.length, 1)
  })
}
