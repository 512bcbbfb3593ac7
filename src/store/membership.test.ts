import { afterEach, beforeEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openJournal } from './journal/sqlite-journal.ts'
import { readMembership, setStateAside } from './membership.ts'

const NOW = new Date('2026-01-02T03:04:05.678Z')
let stateDir: string

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'carrick-membership-'))
  mkdirSync(join(stateDir, 'state'))
})
afterEach(() => rmSync(stateDir, { recursive: true }))

test('a host that never joined has no membership', () => {
  expect(readMembership(stateDir, NOW)).toBeUndefined()
})

test('setStateAside() keeps everything in one place and leaves nothing to be read', () => {
  openJournal({ path: join(stateDir, 'state', 'journal.db') })[Symbol.dispose]()
  mkdirSync(join(stateDir, 'tls'))
  writeFileSync(join(stateDir, 'cluster.json'), '{}')
  const place = setStateAside(stateDir, NOW)
  expect(readdirSync(stateDir)).toEqual(['aside-2026-01-02T03-04-05.678Z'])
  expect(readdirSync(place).sort()).toEqual(['cluster.json', 'state', 'tls'])
  expect(readMembership(stateDir, NOW)).toBeUndefined()
})

test('setStateAside() takes nothing from a running daemon', () => {
  using _journal = openJournal({ path: join(stateDir, 'state', 'journal.db') })
  expect(() => setStateAside(stateDir, NOW)).toThrow(/second daemon/)
  expect(existsSync(join(stateDir, 'state', 'journal.db'))).toBe(true)
})
