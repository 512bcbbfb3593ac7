/** A CNI call as a process, with nothing in its environment but what a runtime sets: what it loads, its pipes, its end. */

import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DONE, end, FakeDaemon, FakeHost, listenRudely } from './testing.ts'

const MAIN = join(import.meta.dirname, '../main.ts')
const ADD = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/n', CNI_IFNAME: 'eth0' }

function start(
  env: Readonly<Record<string, string>>,
  stdin: string | Uint8Array,
  { program = process.execPath, args = [MAIN] }: { program?: string; args?: string[] } = {},
) {
  return Bun.spawn([program, ...args], {
    env,
    stdin: Buffer.from(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

async function run(...parameters: Parameters<typeof start>) {
  return await end(start(...parameters))
}

test('a CNI call loads the files of its own room and little else, and nothing of node', async () => {
  using host = new FakeHost()
  using _daemon = new FakeDaemon(host.socket, () => DONE)
  const preload = join(host.root, 'preload.ts')
  writeFileSync(
    preload,
    `import { readFileSync, writeSync } from 'node:fs'
    Bun.plugin({
      name: 'listing',
      setup(build) {
        build.onLoad({ filter: /./ }, ({ path }) => {
          writeSync(2, path + '\\n')
          return { contents: readFileSync(path, 'utf8'), loader: 'ts' }
        })
      },
    })`,
  )
  const { out, err, exit } = await run(ADD, host.config(), { args: ['--preload', preload, MAIN] })
  assert.deepEqual({ out, exit }, { out: DONE.stdout, exit: 0 })
  const loaded = err.trim().split('\n')
  const rooms = loaded.map((file) => file.replace(/^.*\/src\//, ''))
  assert.deepEqual(rooms.toSorted(), [
    'cni/away.ts',
    'cni/client.ts',
    'cni/exchange.ts',
    'cni/http.ts',
    'cni/libc.ts',
    'cni/main.ts',
    'cni/role.ts',
    'lib/errors.ts',
    'lib/version.ts',
    'main.ts',
  ])
  for (const file of loaded) {
    assert.doesNotMatch(readFileSync(file, 'utf8'), /^import .* from '(?!\.|bun:ffi)/m, file)
  }
})

test('a CNI call without daemon fails with one JSON object, whatever a DEL leaves behind', async () => {
  using host = new FakeHost()
  const { out, err, exit } = await run(ADD, host.config())
  assert.deepEqual({ err, exit, code: JSON.parse(out).code }, { err: '', exit: 1, code: 11 })
  const gone = await run({ ...ADD, CNI_COMMAND: 'DEL' }, host.config())
  assert.deepEqual(gone, { out: '', err: '', exit: 0 })
  assert.equal(host.spooled().length, 1)
})

test('a CNI call whose daemon hangs ends by itself', async () => {
  using host = new FakeHost()
  using _server = await listenRudely(host.socket, () => {})
  const { out, exit } = await run({ CNI_COMMAND: 'STATUS' }, host.config())
  assert.deepEqual({ exit, code: JSON.parse(out).code }, { exit: 1, code: 50 })
})

test('a CNI call passes on what the daemon refuses', async () => {
  using host = new FakeHost()
  const refused = { stdout: '{"code":7}', stderr: 'more\n', exit: 1 }
  using _daemon = new FakeDaemon(host.socket, () => refused)
  assert.deepEqual(await run(ADD, host.config()), { out: '{"code":7}', err: 'more\n', exit: 1 })
})

test('a CNI call refuses 5 MB of standard input, and passes on what is empty', async () => {
  using host = new FakeHost()
  const { out, exit } = await run(ADD, host.config().padEnd(5_000_000))
  assert.deepEqual({ exit, code: JSON.parse(out).code }, { exit: 1, code: 6 })
  assert.equal((await run({ CNI_COMMAND: 'STATUS' }, '')).exit, 1)
})

test('a CNI call that is killed lets go of the daemon', async () => {
  using host = new FakeHost()
  const asked = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  using _daemon = new FakeDaemon(host.socket, async (_request, signal) => {
    signal.addEventListener('abort', () => left.resolve())
    asked.resolve()
    await left.promise
    return DONE
  })
  const child = start(ADD, host.config())
  await asked.promise
  child.kill('SIGKILL')
  await left.promise
  assert.equal((await end(child)).out, '')
})

test('a link among plug-ins tells on standard error who it is when nobody asks for anything', async () => {
  using host = new FakeHost()
  const link = join(host.root, 'carrick')
  symlinkSync(process.execPath, link)
  const { out, err, exit } = await run({}, '', { program: link })
  assert.deepEqual({ out, exit }, { out: '', exit: 0 })
  assert.match(err, /^CNI carrick plugin v\d+\.\d+\.\d+\n/)
  const version = await run({ CNI_COMMAND: 'VERSION' }, '', { program: link })
  assert.equal(JSON.parse(version.out).cniVersion, '1.1.0')
})
