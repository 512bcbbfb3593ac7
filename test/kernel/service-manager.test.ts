/** What a service manager hands over and hears, with sockets as the kernel makes them. */

import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { takeInheritedSockets } from '../../src/kernel/inherited-sockets.ts'
import { openServiceManager, reloadingSince } from '../../src/kernel/service-manager.ts'
import { notifySocket } from '../notify-socket.ts'

const HAND_OVER = join(dirname(import.meta.dirname), 'hand-over.pl')

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ckt-service-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** What a program that was handed these sockets makes of them. */
function inheritor(sockets: readonly string[], env: Record<string, string> = {}): unknown {
  const script = `
    const { takeInheritedSockets } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/kernel/inherited-sockets.ts'))})
    const env = { ...process.env, ...JSON.parse(process.env.MORE) }
    const taken = takeInheritedSockets(env, process.pid)
    const left = Object.keys(env).filter((name) => name.startsWith('LISTEN_'))
    console.log(JSON.stringify({ taken: taken.map(({ name, path }) => ({ name, path })), left, copy: taken[0]?.duplicate() > 3 }))`
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    ['perl', HAND_OVER, ...sockets, '--', process.execPath, '-e', script],
    { env: { ...process.env, MORE: JSON.stringify(env) }, stdin: Buffer.from('start\n') },
  )
  assert.equal(exitCode, 0, stderr.toString())
  const line = stdout
    .toString()
    .split('\n')
    .find((text) => text.startsWith('{'))
  return JSON.parse(line ?? stdout.toString())
}

test('takeInheritedSockets() finds what was handed over, once', () => {
  const [docker, api] = [join(directory, 'docker.sock'), join(directory, 'api.sock')]
  assert.deepEqual(inheritor([`docker=${docker}`, `api=${api}`]), {
    taken: [
      { name: 'docker', path: docker },
      { name: 'api', path: api },
    ],
    left: [],
    copy: true,
  })
})

test('takeInheritedSockets() names what has no name, and takes nothing meant for another process', () => {
  const path = join(directory, 'one.sock')
  assert.deepEqual(inheritor([`docker=${path}`], { LISTEN_FDNAMES: '' }), {
    taken: [{ name: 'unknown', path }],
    left: [],
    copy: true,
  })
  assert.deepEqual(inheritor([`docker=${path}`], { LISTEN_PID: '1' }), {
    taken: [],
    left: [],
    copy: false,
  })
})

test('takeInheritedSockets() gives nothing where nothing was handed over', () => {
  const env = { PATH: '/bin' }
  assert.deepEqual(takeInheritedSockets(env, process.pid), [])
  assert.deepEqual(env, { PATH: '/bin' })
})

for (const kind of ['a path', 'a name in the abstract namespace']) {
  test(`tell() reaches the manager at ${kind}`, async () => {
    const abstract = kind !== 'a path'
    const address = abstract ? `@ckt-${process.pid}-notify` : join(directory, 'notify')
    using manager = await notifySocket(address)
    const env: Record<string, string | undefined> = {
      NOTIFY_SOCKET: address,
      WATCHDOG_USEC: '3000000',
      WATCHDOG_PID: String(process.pid),
    }
    const { tell, watchdogMs } = openServiceManager(env, process.pid)
    assert.deepEqual(env, {})
    assert.equal(watchdogMs, 3_000)
    tell({ READY: '1', STATUS: 'All is well' })
    assert.equal(await manager.next(), 'READY=1\nSTATUS=All is well\n')
  })
}

test('tell() is content without a manager, and with one that has gone', () => {
  openServiceManager({}, process.pid).tell({ READY: '1' })
  openServiceManager({ NOTIFY_SOCKET: join(directory, 'gone') }, process.pid).tell({ READY: '1' })
  const other = { NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }
  assert.equal(openServiceManager(other, process.pid).watchdogMs, undefined)
})

test('reloadingSince() is the clock that the manager compares with', () => {
  const seconds = Number(reloadingSince()) / 1e6
  assert.ok(seconds > 0)
  assert.ok(Number(reloadingSince()) / 1e6 >= seconds)
})
