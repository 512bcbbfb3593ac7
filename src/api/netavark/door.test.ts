import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { CniReply } from '../../cni/exchange.ts'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { NetavarkDoor } from './door.ts'
import type { NetavarkDeps } from './netavark.ts'

/** Nothing of control is needed to refuse what is no JSON. */
const DEPS: NetavarkDeps = {
  control: {} as NetavarkDeps['control'], // every use would throw, and be told as such
  clock: systemClock(),
  log: silentLog,
}

function ask(door: NetavarkDoor, body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return door.fetch(new Request('http://carrick/', { method: 'POST', body: text, ...init }))
}

test('NetavarkDoor passes a call on and its answer back', async () => {
  const door = new NetavarkDoor()
  using _served = door.serve(DEPS)
  const response = await ask(door, { version: 1, verb: 'create', stdin: '{' })
  const { stdout, exit } = (await response.json()) as CniReply // ours
  assert.match(JSON.parse(stdout).error, /not JSON/)
  assert.equal(exit, 1)
})

test('NetavarkDoor refuses what no plug-in of ours sends', async () => {
  const door = new NetavarkDoor()
  using _served = door.serve(DEPS)
  for (const body of [
    'no JSON',
    'null',
    { version: 2, verb: 'create', stdin: '{}' },
    { version: 1, verb: 7, stdin: '{}' },
    { version: 1, verb: 'setup', stdin: '{}', netns: {} },
  ]) {
    assert.equal((await ask(door, body)).status, 400)
  }
  const call = { version: 1, verb: 'create', stdin: '{}' }
  const origin = { headers: { origin: 'http://example.org' } }
  assert.equal((await ask(door, call, origin)).status, 405)
})

test('NetavarkDoor keeps a setup waiting while parts are built, and hands a teardown back at once', async () => {
  const door = new NetavarkDoor()
  const teardown = await ask(door, { version: 1, verb: 'teardown', stdin: '{}' })
  assert.equal(teardown.status, 503)
  const setup = ask(door, { version: 1, verb: 'setup', stdin: '{' })
  using _served = door.serve(DEPS)
  assert.equal((await setup).status, 200)
})
