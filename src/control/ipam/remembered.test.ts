import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { silentLog } from '../../lib/log.ts'
import { ip } from '../../net/testing.ts'
import { FakeClock } from '../../store/replica/fake-clock.ts'
import { Remembered } from './remembered.ts'

function notebook() {
  const values = new Map<string, string>()
  const written: string[] = []
  const settings = {
    get: (name: string) => values.get(name),
    set: (name: string, value: string) => {
      written.push(value)
      values.set(name, value)
    },
  }
  const clock = new FakeClock()
  return {
    clock,
    written,
    open: () => new Remembered({ journal: { settings }, clock, log: silentLog }),
  }
}

test('what a name had is known by the next start, written once for many', async () => {
  const { clock, written, open } = notebook()
  const remembered = open()
  remembered.remember('n', 'web', [ip('10.9.0.9'), ip('fd80::9')])
  remembered.remember('n', 'db', [ip('10.9.0.8')])
  await clock.advance(1_000)
  assert.equal(written.length, 1)
  remembered.remember('m', 'web', [ip('10.9.0.9')])
  await remembered[Symbol.asyncDispose]()
  await using next = open()
  assert.deepEqual(next.of('n', 'web'), [ip('10.9.0.9'), ip('fd80::9')])
  assert.deepEqual(next.of('m', 'web'), [ip('10.9.0.9')])
  assert.deepEqual(next.of('n', 'other'), [])
  assert.equal(next.has('n', ip('10.9.0.8')), true)
  assert.equal(next.has('m', ip('10.9.0.8')), false)
})

test('an address is remembered for its last holder only', async () => {
  await using remembered = notebook().open()
  remembered.remember('n', 'web', [ip('10.9.0.9')])
  remembered.remember('n', 'db', [ip('10.9.0.9')])
  assert.deepEqual(remembered.of('n', 'web'), [])
  remembered.remember('n', 'db', [ip('10.9.0.7')])
  assert.equal(remembered.has('n', ip('10.9.0.9')), false)
  assert.equal(remembered.has('n', ip('10.9.0.7')), true)
})

test('the name that left longest ago is forgotten first', async () => {
  await using remembered = notebook().open()
  for (let i = 0; i < 1_001; i++) {
    remembered.remember('n', `c${i}`, [ip(`10.9.${i >> 8}.${i & 255}`)])
  }
  assert.deepEqual(remembered.of('n', 'c0'), [])
  assert.deepEqual(remembered.of('n', 'c1'), [ip('10.9.0.1')])
  assert.equal(remembered.has('n', ip('10.9.0.0')), false)
})
