/** What a process does to itself is tried in children, so that the tests' own process stays as it is. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { peerCredentials } from '../../src/kernel/process.ts'
import { sysctlOf } from '../../src/kernel/sysctl.ts'

const folder = mkdtempSync(join(tmpdir(), 'ckt'))
afterAll(() => rmSync(folder, { recursive: true }))
const room = join(import.meta.dir, '../../src/kernel')

/** Runs the lines in a process of its own, with the exports of mount.ts and process.ts at hand. */
function child(lines: string): string {
  const script = `
    import * as mounts from '${room}/mount.ts'
    import * as self from '${room}/process.ts'
    import { openKernel } from '${room}/real.ts'
    import { readFileSync, readlinkSync } from 'node:fs'
    ${lines}`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return stdout
}

test('a virtual host has devices and mounts of its own, and hands them to a program', () => {
  const target = join(folder, 'run')
  const printed = child(`
    self.unshareNamespaces({ net: true, mount: true })
    mounts.makeMountsPrivate()
    mounts.mount('none', '${folder}', 'tmpfs')
    mounts.mountBpf('${target}/bpf')
    mounts.mountBpf('${target}/bpf')
    self.dieWithParent()
    const script = 'ip -br link; grep ${folder} /proc/mounts; echo $WORD; grep SigIgn /proc/self/status'
    self.execute('sh', ['-c', script], { PATH: process.env.PATH, WORD: 'two words' })`)
  const [link = '', , ...rest] = printed.trim().split('\n')
  assert.match(link, /^lo /)
  assert.match(rest[0] ?? '', /^bpf .*run\/bpf bpf /)
  assert.equal(rest[1], 'two words')
  // SIGPIPE, bit 12, ends a program that does not ask for more.
  const ignored = Number.parseInt(rest[2]?.split('\t')[1] ?? '', 16)
  assert.equal(ignored & (1 << 12), 0)
  assert.equal(existsSync(target), false)
})

test('execute() of a program that is not there throws', () => {
  const printed = child(`
    try { self.execute('no-such-program', [], { PATH: '/bin' }) } catch (error) { console.log(error.message) }`)
  assert.equal(printed.trim(), 'Cannot execute "no-such-program": ENOENT')
})

test('joinNamespaces() goes where the descriptors lead', () => {
  const printed = child(`
    import { spawn } from 'node:child_process'
    import { openSync } from 'node:fs'
    const other = spawn('unshare', ['-n', '-m', 'sh', '-c', 'echo; read x'], { stdio: ['pipe', 'pipe', 'inherit'] })
    await new Promise((ready) => other.stdout.once('data', ready))
    const net = openSync('/proc/' + other.pid + '/ns/net')
    const mount = openSync('/proc/' + other.pid + '/ns/mnt')
    const wanted = ['net', 'mnt'].map((kind) => readlinkSync('/proc/' + other.pid + '/ns/' + kind))
    self.joinNamespaces({ net, mount })
    const found = ['net', 'mnt'].map((kind) => readlinkSync('/proc/thread-self/ns/' + kind))
    other.stdin.end()
    console.log(JSON.stringify(wanted) === JSON.stringify(found))`)
  assert.equal(printed.trim(), 'true')
})

test('unmount() is content when nothing is mounted', () => {
  assert.equal(
    child(`mounts.unmount('${folder}'); mounts.unmount('/no/such'); console.log('ok')`),
    'ok\n',
  )
})

test('peerCredentials() tells who is at the other end', async () => {
  const path = join(folder, 'socket')
  const server = createServer()
  const accepted = new Promise<number>((found) =>
    server.once('connection', (socket) => {
      // Where the runtime keeps the descriptor of a connection.
      found(descriptorOf(socket))
    }),
  )
  await new Promise<void>((listening) => server.listen(path, listening))
  const client = connect(path)
  try {
    const { pid, uid } = peerCredentials(await accepted)
    assert.deepEqual([pid, uid], [process.pid, process.getuid?.()])
  } finally {
    client.destroy()
    server.close()
  }
})

function descriptorOf(socket: object): number {
  const { _handle: handle } = socket as { _handle?: { fd?: number } }
  return handle?.fd ?? -1
}

test('peerCredentials() of something that is no socket is refused', () => {
  assert.throws(() => peerCredentials(0), /Cannot read socket option/)
})

for (const path of [
  ['net', '..', 'kernel'],
  ['net', 'ipv4/conf'],
  ['net', ''],
]) {
  test(`a setting named ${JSON.stringify(path)} is refused`, () => {
    const sysctl = sysctlOf((work) => work())
    assert.throws(() => sysctl.read(path), { code: 'invalid' })
    assert.throws(() => sysctl.write(path, '1'), { code: 'invalid' })
  })
}
