/** What is owed to the kernel's table of connections survives the process, and only until it is settled. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ip } from '../net/testing.ts'
import { type OwedFlow, OwedFlows, settle } from './owed-flows.ts'
import type { StaleFlow } from './stale-flows.ts'

const flow = (text: string): StaleFlow => ({ kind: 'endpoint', address: ip(text), index: 0 })
const addressesOf = (flows: readonly OwedFlow[]): readonly string[] =>
  flows.flatMap((each) => (each.kind === 'endpoint' ? each.address : [])).toSorted()

let above: string
let directory: string
beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), `ckt-owed-${process.pid}-`))
  directory = join(above, 'owed')
})
afterEach(() => rmSync(above, { recursive: true }))

test('the next run reads what was noted and not settled', () => {
  const before = new OwedFlows(directory)
  const settled = before.note([flow('10.80.0.2'), flow('fd80::2')])
  before.note([flow('10.80.0.3')])
  settle(settled)
  const found = new OwedFlows(directory).read()
  assert.deepEqual(addressesOf(found), ['10.80.0.3'])
  settle(found)
  assert.deepEqual(readdirSync(directory), [])
  settle(found)
})

test('nothing is noted of nothing', () => {
  const owed = new OwedFlows(directory)
  assert.deepEqual(owed.note([]), [])
  assert.deepEqual(owed.read(), [])
})

test('a note that was not written to its end is removed', () => {
  const owed = new OwedFlows(directory)
  owed.note([flow('10.80.0.2')])
  writeFileSync(join(directory, 'half.json'), '[{"kind":"endp')
  assert.deepEqual(addressesOf(owed.read()), ['10.80.0.2'])
  assert.equal(readdirSync(directory).length, 1)
})
