import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { FakeClock, settle } from '../store/replica/fake-clock.ts'
import { Wakeup } from './wakeup.ts'

function waiting(wakeup: Wakeup, clock: FakeClock, ms: number | undefined, signal: AbortSignal) {
  const state = { over: false }
  const done = wakeup.wait(clock, ms, signal).then(() => {
    state.over = true
  })
  return { state, done }
}

const { signal } = new AbortController()

test('the bell ends the wait, and one that nobody heard ends the next', async () => {
  const [wakeup, clock] = [new Wakeup(), new FakeClock()]
  const first = waiting(wakeup, clock, undefined, signal)
  await settle()
  assert.equal(first.state.over, false)
  wakeup.ring()
  await first.done
  wakeup.ring()
  await waiting(wakeup, clock, undefined, signal).done
  const last = waiting(wakeup, clock, 100, signal)
  await settle()
  assert.equal(last.state.over, false)
  await clock.advance(100)
  await last.done
})

test('a bell that came before the time leaves no ring behind', async () => {
  const [wakeup, clock] = [new Wakeup(), new FakeClock()]
  const first = waiting(wakeup, clock, 100, signal)
  wakeup.ring()
  await first.done
  const next = waiting(wakeup, clock, 1000, signal)
  await clock.advance(500)
  assert.equal(next.state.over, false)
  await clock.advance(500)
  await next.done
})

test('an abort ends the wait with its reason', async () => {
  const [wakeup, clock, stop] = [new Wakeup(), new FakeClock(), new AbortController()]
  const { done } = waiting(wakeup, clock, 100, stop.signal)
  stop.abort(new Error('closing'))
  await assert.rejects(done, /closing/)
})
