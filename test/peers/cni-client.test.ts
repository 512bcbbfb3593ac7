/** The small program that CNI runtimes start: what it answers itself, and when it becomes the executable beside it. */

import { afterAll, beforeAll, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildCniClient } from '../../scripts/cni-client.ts'
import type { CniApi } from '../../src/api/cni/api.ts'
import { CniDoor } from '../../src/api/cni/door.ts'
import { type CniRequest, STDIN_BYTES, versionsText } from '../../src/cni/exchange.ts'
import { end, FakeHost, listenRudely } from '../../src/cni/testing.ts'
import { builtExecutable } from '../cluster/harness.ts'

const BUILD_MS = 60_000
const ADD = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/n', CNI_IFNAME: 'eth0' }
/** Stands for the executable: tells what it was started with. */
const STUB = `#!/bin/sh
printf 'executable %s %s %s ' "$#" "$CNI_COMMAND" "\${CARRICK_CNI_FOUND-unknown}"
exec cat
`

const host = new FakeHost()
const client = join(host.root, 'carrick-cni')
const plugin = join(host.root, 'opt/cni/bin/blue')
const conf = JSON.stringify({ cniVersion: '1.0.0', name: 'ü', type: 'carrick' })
let asked: CniRequest[] = []

beforeAll(() => {
  assert.equal(buildCniClient(client, host.socket), undefined)
  mkdirSync(join(host.root, 'opt/cni/bin'), { recursive: true })
  symlinkSync(client, plugin)
  writeFileSync(join(host.root, 'carrick'), STUB)
  chmodSync(join(host.root, 'carrick'), 0o755)
}, BUILD_MS)
beforeEach(() => {
  asked = []
})
afterAll(() => host[Symbol.dispose]())

/** The daemon's own door, before somebody who answers so. */
function serve(answer: CniApi['answer']): Disposable {
  const door = new CniDoor()
  const serving = door.serve({
    answer: async (request, gone) => {
      asked.push(request)
      return await answer(request, gone)
    },
    replay: async () => {},
  })
  const server = Bun.serve({ unix: host.socket, fetch: (request) => door.fetch(request) })
  return {
    [Symbol.dispose]() {
      serving[Symbol.dispose]()
      void server.stop(true)
    },
  }
}

function start(
  env: Readonly<Record<string, string>>,
  stdin: 'pipe' | Uint8Array,
  args: string[],
  program = plugin,
) {
  return Bun.spawn([program, ...args], { env, stdin, stdout: 'pipe', stderr: 'pipe' })
}

async function run(
  env: Readonly<Record<string, string>>,
  stdin: string | Uint8Array = conf,
  args: string[] = [],
) {
  return await end(start(env, Buffer.from(stdin), args))
}

test('it hands over variables and standard input as they are, and the answer back', async () => {
  using _daemon = serve(async () => ({ stdout: '{"a":"ü"}', stderr: 'hm\n', exit: 3 }))
  const answer = await run({ ...ADD, CNI_ARGS: 'a=b;c', PATH: '/bin', CARRICK: 'x' })
  assert.deepEqual(answer, { out: '{"a":"ü"}', err: 'hm\n', exit: 3 })
  assert.deepEqual(asked, [{ version: 1, environment: { ...ADD, CNI_ARGS: 'a=b;c' }, stdin: conf }])
})

test('it hands over as much as there may be, and no more', async () => {
  using _daemon = serve(async ({ stdin }) => ({ stdout: `${stdin.length}`, exit: 0 }))
  assert.equal((await run(ADD, ' '.repeat(STDIN_BYTES))).out, `${STDIN_BYTES}`)
  const tooMuch = await run(ADD, ' '.repeat(STDIN_BYTES + 1000))
  assert.equal(tooMuch.out.length, 'executable 0 ADD unknown '.length + STDIN_BYTES + 1)
})

test('it answers VERSION without anybody', async () => {
  const { out, err, exit } = await run({ CNI_COMMAND: 'VERSION' }, '')
  assert.deepEqual({ out, err, exit }, { out: `${versionsText()}\n`, err: '', exit: 0 })
})

for (const { when, env = ADD, stdin = conf, args = [], told = 'executable 0 ADD unknown ' } of [
  { when: 'nobody listens' },
  { when: 'the socket is elsewhere', stdin: '{"daemonSocket":"/elsewhere"}' },
  { when: 'there are arguments', args: ['status'], told: 'executable 1 ADD unknown ' },
  { when: 'nothing is asked for', env: {}, told: 'executable 0  unknown ' },
  { when: 'what is asked for is empty', env: { CNI_COMMAND: '' }, told: 'executable 0  unknown ' },
] satisfies { when: string; env?: object; stdin?: string; args?: string[]; told?: string }[]) {
  test(`it becomes the executable when ${when}`, async () => {
    const { out, exit } = await run({ ...env, PATH: '/bin:/usr/bin' }, stdin, args)
    assert.deepEqual({ out, exit }, { out: `${told}${stdin}`, exit: 0 })
  })
}

test('it becomes the executable when the daemon refuses to take the call', async () => {
  using _daemon = serve(async () => assert.fail('it was asked'))
  const { out } = await run({ ...ADD, PATH: '/bin' }, new Uint8Array([0xff, 0x0a]))
  assert.match(out, /^executable 0 ADD unknown /)
})

for (const { how, verb, says, found } of [
  { how: 'hangs', verb: 'STATUS', says: undefined, found: 'late' },
  { how: 'breaks off', verb: 'ADD', says: '', found: 'broken' },
  { how: 'speaks something else', verb: 'ADD', says: 'hello\r\n\r\n', found: 'unknown' },
  { how: 'ends in the middle', verb: 'ADD', says: 'HTTP/1.1 200 OK\r\n\r\n0\0{', found: 'broken' },
]) {
  test(`it becomes the executable when the daemon ${how}, and says so`, async () => {
    using _daemon = await listenRudely(host.socket, (socket) => {
      socket.once('data', () => {
        if (says !== undefined) socket.end(says)
      })
    })
    const { out } = await run({ ...ADD, CNI_COMMAND: verb, PATH: '/bin' })
    assert.equal(out, `executable 0 ${verb} ${found} ${conf}`)
  })
}

test('it ends by itself when standard input does not', async () => {
  const child = start({ CNI_COMMAND: 'STATUS' }, 'pipe', [])
  const { out, exit } = await end(child)
  assert.deepEqual({ exit, code: JSON.parse(out).code }, { exit: 1, code: 5 })
})

test('it lets go of the daemon when it is killed', async () => {
  const called = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  using _daemon = serve(async (_request, gone) => {
    gone.addEventListener('abort', () => left.resolve())
    called.resolve()
    await left.promise
    return { stdout: '', exit: 0 }
  })
  const child = start(ADD, Buffer.from(conf), [])
  await called.promise
  child.kill('SIGKILL')
  await left.promise
  assert.equal((await end(child)).out, '')
})

test(
  'the executable takes it for the plug-in that was called',
  async () => {
    const root = join(host.root, 'real')
    mkdirSync(root)
    assert.equal(buildCniClient(join(root, 'carrick-cni'), host.socket), undefined)
    symlinkSync(builtExecutable(), join(root, 'carrick'))
    symlinkSync(join(root, 'carrick-cni'), join(root, 'plugin'))
    const called = (env: Readonly<Record<string, string>>) =>
      end(start(env, new Uint8Array(), [], join(root, 'plugin')))
    assert.match((await called({})).err, /^CNI plugin plugin v\d/)
    const { out, exit } = await called({ ...ADD, CARRICK_CNI_FOUND: 'late' })
    assert.deepEqual({ exit, code: JSON.parse(out).code }, { exit: 1, code: 11 })
  },
  BUILD_MS,
)
