/** The one executable as a CNI runtime runs it: by a link among plug-ins, with a bare environment, in any directory. */

import { afterAll, beforeAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CNI_VERSIONS } from '../../src/cni/exchange.ts'
import { DONE, end, FakeDaemon, FakeHost } from '../../src/cni/testing.ts'
import { builtExecutable } from '../cluster/harness.ts'

/** Issue 5: "Speed". */
const CLIENT_KILOBYTES = 40 * 1024
const BUILD_MS = 60_000

const host = new FakeHost()
const plugin = join(host.root, 'opt/cni/bin/carrick')
let executable = ''
beforeAll(() => {
  executable = builtExecutable()
  mkdirSync(join(host.root, 'opt/cni/bin'), { recursive: true })
  symlinkSync(executable, plugin)
}, BUILD_MS)
afterAll(() => host[Symbol.dispose]())

function start(program: string, env: Readonly<Record<string, string>>, stdin = '') {
  const options = { cwd: host.root, env, stdin: Buffer.from(stdin) }
  return Bun.spawn([program], { ...options, stdout: 'pipe', stderr: 'pipe' })
}

async function run(...parameters: Parameters<typeof start>) {
  return await end(start(...parameters))
}

/** What getrusage() tells of a child begins with the memory of its parent. proc(5), VmHWM */
function peakKilobytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

const ADD = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/n', CNI_IFNAME: 'eth0' }

test('the plug-in answers VERSION alone', async () => {
  const { out, err, exit } = await run(plugin, { CNI_COMMAND: 'VERSION' })
  assert.deepEqual({ err, exit }, { err: '', exit: 0 })
  assert.deepEqual(JSON.parse(out).supportedVersions, [...CNI_VERSIONS])
})

test('the plug-in hands a call to the daemon and needs little memory for it', async () => {
  let kilobytes = 0
  using daemon = new FakeDaemon(host.socket, () => {
    kilobytes = peakKilobytes(child.pid)
    return DONE
  })
  const child = start(plugin, ADD, host.config())
  const { out, exit } = await end(child)
  assert.deepEqual({ out, exit }, { out: DONE.stdout, exit: 0 })
  assert.deepEqual(daemon.asked, [{ version: 1, environment: ADD, stdin: host.config() }])
  assert.ok(kilobytes > 0 && kilobytes <= CLIENT_KILOBYTES, `${kilobytes} kB`)
})

test('the plug-in keeps a DEL for a daemon that is away', async () => {
  const { out, exit } = await run(plugin, { ...ADD, CNI_COMMAND: 'DEL' }, host.config())
  assert.deepEqual({ out, exit }, { out: '', exit: 0 })
  assert.equal(host.spooled().length, 1)
})

test('the plug-in tells who it is when nobody asks for anything', async () => {
  const { out, err, exit } = await run(plugin, {})
  assert.deepEqual({ out, exit }, { out: '', exit: 0 })
  assert.match(err, /^CNI carrick plugin v\d+\.\d+\.\d+\n/)
})

test('the same file by its own path is the command line', async () => {
  const { err, exit } = await run(executable, {})
  assert.equal(exit, 2)
  assert.match(err, /^Usage: carrick /)
})

test('nothing is taken from the directory it is run in', async () => {
  writeFileSync(join(host.root, '.env'), 'CNI_COMMAND=VERSION\n')
  writeFileSync(join(host.root, 'bunfig.toml'), 'preload = ["./intruder.ts"]\n')
  writeFileSync(join(host.root, 'intruder.ts'), 'console.log("intruder")\n')
  for (const program of [plugin, executable]) {
    const { out, err } = await run(program, {})
    assert.equal(out, '')
    assert.doesNotMatch(err, /intruder/)
  }
})
