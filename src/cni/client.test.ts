import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CniCall, callDaemon, spoolOf } from './client.ts'
import { CNI_VERSIONS, type CniReply, STDIN_BYTES } from './exchange.ts'
import { callInChild, DONE, FakeDaemon, FakeHost, listenRudely } from './testing.ts'

const ADD = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/ck1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
}
const SHORT = { ADD: 100, DEL: 100, CHECK: 100, GC: 100, STATUS: 100 }

function call(
  stdin: string | Uint8Array | number,
  more: Partial<Omit<CniCall, 'stdin'>> = {},
): Promise<CniReply> {
  return callInChild('client.ts callDaemon', { environment: ADD, ...more }, stdin)
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

test('callDaemon() hands over what is no JSON, and answers in chunks back', async () => {
  using host = new FakeHost()
  const chunks = ['{"stdout":"ü', '","exit":0}'].map((text) => Buffer.from(text))
  using _server = await listenRudely(host.socket, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      for (const chunk of chunks) socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`)
      socket.write('0\r\n\r\n')
    })
  })
  assert.deepEqual(await call(host.config({ 'x-ü': '' })), { stdout: 'ü', exit: 0 })
  const odd = '{"name":'
  assert.equal(failureIn(await call(odd)).code, 11, 'it has no daemon of its own')
})

test('callDaemon() answers VERSION without standard input and daemon', async () => {
  const { stdout, exit } = await callDaemon({ environment: { CNI_COMMAND: 'VERSION' }, stdin: -1 })
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
  { name: 'is nothing', answer: '', told: /broke off/ },
  { name: 'is no HTTP', answer: 'SSH-2.0-x\r\n', told: /broke off/ },
  { name: 'is of another version', answer: http('404 Missing', '{}'), told: /status 404/ },
  { name: 'is no JSON', answer: http('200 OK', '<html>'), told: /status 200/ },
  { name: 'has another form', answer: http('200 OK', '{"stdout":1}'), told: /status 200/ },
  { name: 'is truncated', answer: http('200 OK', '{"stdout":', 99), told: /broke off/ },
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
  assert.equal(failureIn(await call(Uint8Array.of(0x7b, 0xff, 0x7d))).code, 6)
  const directory = openSync('/', 'r')
  const terminal = openSync('/dev/ptmx', 'r+')
  try {
    assert.match(failureIn(await call(directory)).msg, /EISDIR/)
    const { code, msg } = failureIn(await call(terminal, { deadlinesMs: SHORT }))
    assert.equal(code, 5)
    assert.match(msg, /no end within 0\.1 s/)
  } finally {
    closeSync(directory)
    closeSync(terminal)
  }
})

test('spoolOf() is in the state that is shifted with the socket', () => {
  assert.equal(spoolOf('/run/carrick/carrick.sock'), '/var/lib/carrick/cni-spool')
  assert.equal(spoolOf('/x/run/carrick/carrick.sock'), '/x/var/lib/carrick/cni-spool')
  assert.equal(spoolOf('/tmp/a.sock'), '/var/lib/carrick/cni-spool')
})

function http(status: string, body: string, length = body.length): string {
  return `HTTP/1.1 ${status}\r\ncontent-length: ${length}\r\n\r\n${body}`
}
