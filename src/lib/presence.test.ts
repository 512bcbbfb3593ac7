import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { Presence } from './presence.ts'

test('within() gives the part that is there, that comes in time, and none that does not', async () => {
  const presence = new Presence<string>()
  assert.equal(await presence.within(1), undefined)
  const waiting = presence.within(10_000)
  const first = presence.enter('first')
  assert.equal(await waiting, 'first')
  assert.equal(presence.part, 'first')
  first[Symbol.dispose]()
  assert.equal(presence.part, undefined)
  const again = presence.within(10_000)
  using _second = presence.enter('second')
  assert.equal(await again, 'second')
  assert.equal(await presence.within(0), 'second')
})
