import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isNetworkError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { createRestApi } from './api.ts'
import { createFakeControl, fakeNetwork } from './fake-control.ts'
import { serveRest } from './serve.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ckt-rest-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function api() {
  const control = createFakeControl()
  control.networks.push(fakeNetwork('blue'))
  return createRestApi({ control, log: silentLog, version: '0.1.0' })
}

test('serveRest() answers on a socket of mode 0660 and removes it at the end', async () => {
  const path = join(directory, 'run', 'carrick.sock')
  {
    await using _server = await serveRest({ api: api(), path, group: 'no-such-group' })
    assert.equal(statSync(path).mode & 0o777, 0o660)
    const response = await fetch('http://carrick/v1/networks/blue', { unix: path })
    assert.equal(response.status, 200)
  }
  assert.equal(existsSync(path), false)
})

test('serveRest() refuses a socket on which another answers, and leaves it alone', async () => {
  const path = join(directory, 'carrick.sock')
  await using _first = await serveRest({ api: api(), path })
  await assert.rejects(serveRest({ api: api(), path }), (error) =>
    isNetworkError(error, 'conflict'),
  )
  assert.equal((await fetch('http://carrick/livez', { unix: path })).status, 200)
})

test('serveRest() replaces the socket of a process that was killed', async () => {
  const path = join(directory, 'carrick.sock')
  const child = Bun.spawn([
    process.execPath,
    '-e',
    `Bun.serve({ unix: ${JSON.stringify(path)}, fetch: () => new Response() }); console.log('up'); setInterval(() => {}, 1000)`,
  ])
  for await (const _ of child.stdout) break
  child.kill('SIGKILL')
  await child.exited
  assert.equal(existsSync(path), true)
  await using _server = await serveRest({ api: api(), path })
  assert.equal((await fetch('http://carrick/livez', { unix: path })).status, 200)
})

for (const { name, path } of [
  { name: 'a file that is no socket', path: () => join(directory, 'file') },
  { name: 'a path longer than a socket may have', path: () => join(directory, 'x'.repeat(108)) },
]) {
  test(`serveRest() refuses ${name}`, async () => {
    writeFileSync(join(directory, 'file'), 'kept')
    await assert.rejects(serveRest({ api: api(), path: path() }), (error) =>
      isNetworkError(error, 'invalid'),
    )
    assert.equal(existsSync(join(directory, 'file')), true)
  })
}

test('a body of unknown length is read up to the limit and no further', async () => {
  const path = join(directory, 'carrick.sock')
  await using _server = await serveRest({ api: api(), path })
  const post = (chunks: number) =>
    fetch('http://carrick/v1/tokens', {
      unix: path,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new ReadableStream({
        start(controller) {
          for (let i = 0; i < chunks; i++) controller.enqueue(new Uint8Array(65_536).fill(0x20))
          controller.enqueue(new TextEncoder().encode('{"spec":{"ttlSeconds":60}}'))
          controller.close()
        },
      }),
    })
  assert.equal((await post(4)).status, 201)
  assert.equal((await post(32)).status, 413)
})
