import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Underway } from './underway.ts'

test('what was not disposed of was interrupted, until it is forgotten', () => {
  const directory = mkdtempSync(join(tmpdir(), `ckt-underway-${process.pid}-`))
  try {
    const underway = new Underway(directory)
    const one = { network: 'cknet', container: 'c1', ifname: 'eth0' }
    const other = { ...one, ifname: 'net1' }
    {
      using _one = underway.begin(one)
      underway.begin(other)
      assert.equal(underway.interrupted().length, 2)
    }
    writeFileSync(join(directory, 'half'), '{"network":')
    const again = new Underway(directory)
    assert.deepEqual(again.interrupted(), [other])
    again.forget(other)
    again.forget(other)
    assert.deepEqual(again.interrupted(), [])
  } finally {
    rmSync(directory, { recursive: true })
  }
})
