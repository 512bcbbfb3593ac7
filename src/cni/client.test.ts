import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CniCall, callDaemon, spoolOf } from './client.ts'
import { CNI_VERSIONS, type CniReply, STDIN_BYTES } from './exchange.ts'
import { DONE, FakeDaemon, FakeHost, listenRudely } from './testing.ts'

const ADD = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/ck1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
}
const SHORT = { ADD: 100, DEL: 100, CHECK: 100, GC: 100, STATUS: 100 }

async function* parts(...texts: readonly (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const text of texts) yield typeof text === 'string' ? new TextEncoder().encode(text) : text
}

function call(stdin: string, more: Partial<CniCall> = {}): Promise<CniReply> {
  return callDaemon({ environment: ADD, stdin: parts(stdin), ...more })
}

function failureIn({ stdout, exit }: CniReply): { code: number; msg: string; details: string } {
  assert.equal(exit, 1)
  return JSON.parse(stdout)
}

test('callDaemon() hands variables and standard input over as they are, and the answer back', async () => {
  using host = new FakeHost()
  using daemon = new FakeDaemon(host.socket, () => ({ stdout: '{"a":1}', stderr: 'hm', exit: 3 }))
  const stdin = host.config({ 'x-ü': [1, 2] })
  const environment = { ...ADD, PATH: '/bin', CNI_ARGS: 'a=b;c' }
  assert.deepEqual(await call(stdin, { environment }), { stdout: '{"a":1}', stderr: 'hm', exit: 3 })
  const { PATH: _, ...variables } = environment
  assert.deepEqual(daemon.asked, [{ version: 1, environment: variables, stdin }])
})

test('callDaemon() hands over what is no JSON, in as many parts as it comes', async () => {
  using host = new FakeHost()
  const path = JSON.stringify(host.socket)
  using daemon = new FakeDaemon(host.socket, () => DONE)
  const bytes = new TextEncoder().encode(`{"daemonSocket":${path},"name":"ü"}`)
  await callDaemon({ environment: ADD, stdin: parts(bytes.subarray(0, -3), bytes.subarray(-3)) })
  assert.equal(daemon.asked[0]?.stdin, `{"daemonSocket":${path},"name":"ü"}`)
})

test('callDaemon() answers VERSION without standard input and daemon', async () => {
  const stdin: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => assert.fail('it was read'),
  }
  const { stdout, exit } = await callDaemon({ environment: { CNI_COMMAND: 'VERSION' }, stdin })
  assert.equal(exit, 0)
  assert.deepEqual(JSON.parse(stdout), { cniVersion: '1.1.0', supportedVersions: CNI_VERSIONS })
})

for (const [command, code] of [
  ['ADD', 11],
  ['CHECK', 11],
  ['GC', 11],
  ['STATUS', 50],
  ['add', 4],
] as const) {
  test(`callDaemon() refuses ${command} with ${code} when there is no socket`, async () => {
    using host = new FakeHost()
    const environment = { ...ADD, CNI_COMMAND: command }
    const reply = await call(host.config(), { environment })
    const { code: told, msg, ...rest } = failureIn(reply)
    assert.equal(told, code)
    assert.match(msg, /^Cannot do /)
    assert.equal((rest as { cniVersion?: string }).cniVersion, '1.0.0')
    assert.doesNotMatch(reply.stdout, /not found|no such file or directory/i)
    assert.deepEqual(host.spooled(), [])
  })
}

test('callDaemon() keeps a DEL for the daemon, one file however often it is asked', async () => {
  using host = new FakeHost()
  const environment = { ...ADD, CNI_COMMAND: 'DEL', CNI_NETNS: '' }
  for (const CNI_CONTAINERID of ['c1', 'c1', 'c2']) {
    const reply = await call(host.config(), { environment: { ...environment, CNI_CONTAINERID } })
    assert.deepEqual(reply, { stdout: '', exit: 0 })
  }
  const [first, second, ...others] = host
    .spooled()
    .toSorted((a, b) =>
      (a.environment['CNI_CONTAINERID'] ?? '').localeCompare(
        b.environment['CNI_CONTAINERID'] ?? '',
      ),
    )
  assert.deepEqual(first?.environment, environment)
  assert.equal(second?.environment['CNI_CONTAINERID'], 'c2')
  assert.equal(first?.stdin, host.config())
  assert.ok(Date.parse(first?.spooledAt ?? '') <= Date.now())
  assert.deepEqual(others, [])
})

for (const { name, stdin, environment } of [
  { name: 'names no network', stdin: { name: '' }, environment: {} },
  { name: 'names no container', stdin: {}, environment: { CNI_CONTAINERID: '' } },
  { name: 'names no interface', stdin: {}, environment: { CNI_IFNAME: undefined } },
]) {
  test(`callDaemon() refuses a DEL that ${name} when the daemon is away`, async () => {
    using host = new FakeHost()
    const variables = { ...ADD, ...environment, CNI_COMMAND: 'DEL' }
    assert.equal(failureIn(await call(host.config(stdin), { environment: variables })).code, 11)
    assert.deepEqual(host.spooled(), [])
  })
}

test('callDaemon() refuses a DEL that it cannot keep', async () => {
  using host = new FakeHost()
  writeFileSync(join(host.root, 'var'), 'no directory')
  const environment = { ...ADD, CNI_COMMAND: 'DEL' }
  assert.equal(failureIn(await call(host.config(), { environment })).code, 11)
})

for (const { name, answer, told } of [
  { name: 'is nothing', answer: '', told: /broke off|nobody answers/ },
  { name: 'is no HTTP', answer: 'SSH-2.0-x\r\n', told: /nobody answers|broke off/ },
  { name: 'is of another version', answer: http('404 Missing', '{}'), told: /status 404/ },
  { name: 'is no JSON', answer: http('200 OK', '<html>'), told: /status 200/ },
  { name: 'has another form', answer: http('200 OK', '{"stdout":1}'), told: /status 200/ },
  { name: 'is truncated', answer: http('200 OK', '{"stdout":', 99), told: /broke off|nobody/ },
]) {
  test(`callDaemon() says so when the answer ${name}`, async () => {
    using host = new FakeHost()
    using _server = await listenRudely(host.socket, (socket) => {
      socket.once('data', () => socket.end(answer))
    })
    const { code, msg } = failureIn(await call(host.config()))
    assert.equal(code, 11)
    assert.match(msg, told)
  })
}

test('callDaemon() does not wait for a daemon that hangs', async () => {
  using host = new FakeHost()
  using _server = await listenRudely(host.socket, () => {})
  const ask = (CNI_COMMAND: string) =>
    call(host.config(), { environment: { ...ADD, CNI_COMMAND }, deadlinesMs: SHORT })
  assert.match(failureIn(await ask('ADD')).msg, /no answer within 0\.1 s/)
  assert.equal(failureIn(await ask('STATUS')).code, 50)
  assert.deepEqual(await ask('DEL'), { stdout: '', exit: 0 })
  assert.equal(host.spooled().length, 1)
})

test('callDaemon() takes standard input up to its bound and no more', async () => {
  using host = new FakeHost()
  using daemon = new FakeDaemon(host.socket, () => DONE)
  const most = host.config().padEnd(STDIN_BYTES)
  assert.deepEqual(await call(most), DONE)
  const reply = await call(`${most} `, { environment: { ...ADD, CNI_COMMAND: 'DEL' } })
  assert.equal(failureIn(reply).code, 6)
  assert.equal(daemon.asked.length, 1)
})

test('callDaemon() refuses standard input that is not UTF-8, cannot be read or does not end', async () => {
  const ask = async (stdin: AsyncIterable<Uint8Array>) =>
    failureIn(await callDaemon({ environment: ADD, stdin, deadlinesMs: SHORT })).code
  assert.equal(await ask(parts(Uint8Array.of(0x7b, 0xff, 0x7d))), 6)
  async function* broken(): AsyncIterable<Uint8Array> {
    yield Uint8Array.of(0x7b)
    throw new Error('EIO')
  }
  assert.equal(await ask(broken()), 5)
  async function* endless(): AsyncIterable<Uint8Array> {
    yield Uint8Array.of(0x7b)
    await new Promise(() => {})
  }
  assert.equal(await ask(endless()), 5)
})

test('spoolOf() is in the state that is shifted with the socket', () => {
  assert.equal(spoolOf('/run/carrick/carrick.sock'), '/var/lib/carrick/cni-spool')
  assert.equal(spoolOf('/x/run/carrick/carrick.sock'), '/x/var/lib/carrick/cni-spool')
  assert.equal(spoolOf('/tmp/a.sock'), '/var/lib/carrick/cni-spool')
})

function http(status: string, body: string, length = body.length): string {
  return `HTTP/1.1 ${status}\r\ncontent-length: ${length}\r\n\r\n${body}`
}
