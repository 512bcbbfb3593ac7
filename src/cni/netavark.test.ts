import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { CniRequest } from './exchange.ts'
import { callInChild, FakeDaemon, FakeHost, listenRudely } from './testing.ts'

const CONTAINER = {
  container_id: 'c1',
  container_name: 'web',
  network: { name: 'blue', id: 'n1', driver: 'carrick' },
  network_options: { interface_name: 'eth0' },
}

function call(host: FakeHost, args: readonly string[], stdin: string, deadlineMs = 2_000) {
  const own = {
    ...{ args, version: '1.2.3' },
    environment: { CARRICK_SOCKET: host.socket },
    deadlinesMs: { create: deadlineMs, setup: deadlineMs, teardown: deadlineMs },
  }
  return callInChild('netavark.ts callNetavark', own, stdin)
}

test('callNetavark() hands verb, namespace and standard input over as they are', async () => {
  using host = new FakeHost()
  const reply = { stdout: '{"interfaces":{}}\n', exit: 0 }
  using daemon = new FakeDaemon(host.socket, () => reply)
  assert.deepEqual(await call(host, ['setup', '/run/netns/x'], '{"a":1}'), reply)
  assert.deepEqual(await call(host, ['create'], 'no JSON'), reply)
  assert.deepEqual(daemon.asked as unknown, [
    { version: 1, verb: 'setup', stdin: '{"a":1}', netns: '/run/netns/x' },
    { version: 1, verb: 'create', stdin: 'no JSON' },
  ])
})

test('callNetavark() tells about itself without a daemon', async () => {
  using host = new FakeHost()
  const { stdout, exit } = await call(host, ['info'], '')
  assert.deepEqual(JSON.parse(stdout), { version: '1.2.3', api_version: '1.0.0' })
  assert.equal(exit, 0)
})

test('callNetavark() says in the one key that Podman reads that nobody answers', async () => {
  using host = new FakeHost()
  for (const args of [['create'], ['setup', '/run/netns/x']]) {
    const { stdout, exit } = await call(host, args, JSON.stringify(CONTAINER))
    const error = JSON.parse(stdout)
    assert.deepEqual(Object.keys(error), ['error'])
    assert.match(error.error, /^Cannot do \w+ without the daemon at .*: nobody answers; /)
    assert.equal(exit, 1)
  }
})

test('callNetavark() keeps a teardown for the daemon, as a DEL of the same attachment', async () => {
  using host = new FakeHost()
  const args = ['teardown', '/run/netns/x']
  for (let i = 0; i < 2; i++) {
    const reply = await call(host, args, JSON.stringify(CONTAINER))
    assert.deepEqual(reply, { stdout: '', exit: 0 })
  }
  const [spooled, ...more] = host.spooled()
  assert.equal(more.length, 0)
  const { environment, stdin } = spooled as CniRequest // one was asked for
  assert.deepEqual(environment, {
    CNI_COMMAND: 'DEL',
    CNI_CONTAINERID: 'c1',
    CNI_IFNAME: 'eth0',
  })
  assert.equal(JSON.parse(stdin).name, 'netavark.blue')
  assert.equal((await call(host, args, '{}')).exit, 1, 'it names no attachment')
})

test('callNetavark() does not wait for a daemon that hangs', async () => {
  using host = new FakeHost()
  using _server = await listenRudely(host.socket, () => {})
  const { stdout } = await call(host, ['setup', '/run/netns/x'], '{}', 50)
  assert.match(JSON.parse(stdout).error, /no answer within/)
})
