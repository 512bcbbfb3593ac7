import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../lib/log.ts'
import { createRelay } from './relay.ts'
import { serveDocker } from './serve.ts'

/** Hands the path of a socket to the test, and removes it afterwards. */
async function withSocket(body: (path: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-relay-'))
  try {
    await body(join(directory, 'carrick.sock'))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Pauses pass at once. */
function impatient(): Clock {
  let nowMs = 0
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms
    },
  }
}

const text = (value: object) => new TextEncoder().encode(JSON.stringify(value))

test('a relay hands calls on as they are, across restarts of the daemon', () =>
  withSocket(async (path) => {
    const relay = createRelay(path, systemClock())
    for (const run of [1, 2]) {
      const heard: [string, string][] = []
      await using _daemon = await serveDocker({
        path,
        log: silentLog,
        api: {
          async call(method, body) {
            heard.push([method, Buffer.from(body).toString()])
            return { run }
          },
        },
      })
      const body = { NetworkID: 'n', Options: { '‰': [] } }
      assert.deepEqual(await relay.call('NetworkDriver.Join', text(body)), { run })
      assert.deepEqual(heard, [['NetworkDriver.Join', JSON.stringify(body)]])
      assert.deepEqual(await relay.call('NetworkDriver.DiscoverNew', new Uint8Array()), { run })
    }
  }))

test('without a daemon a relay says who it is, and why it can do nothing', () =>
  withSocket(async (path) => {
    const clock = impatient()
    const relay = createRelay(path, clock)
    assert.deepEqual(await relay.call('NetworkDriver.GetCapabilities', new Uint8Array()), {
      Scope: 'global',
      ConnectivityScope: 'global',
    })
    const refused = await relay.call('IpamDriver.RequestPool', text({}))
    assert.match(JSON.stringify(refused), /carrick: Cannot reach the daemon of this host: /)
    assert.deepEqual(Object.keys(refused ?? {}), ['Err', 'Error'])
  }))
