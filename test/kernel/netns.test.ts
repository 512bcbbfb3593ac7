/** Namespaces are opened only when they are some, made and removed whole, and never left by accident. */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openKernel } from '../../src/kernel/real.ts'
import { run, TestNamespaces } from './namespaces.ts'

const namespaces = new TestNamespaces()
const folder = mkdtempSync(join(tmpdir(), 'ckt'))
afterAll(() => {
  namespaces[Symbol.dispose]()
  rmSync(folder, { recursive: true })
})
const { kernel } = namespaces
const here = () => readlinkSync('/proc/thread-self/ns/net')

for (const { what, target, code } of [
  { what: 'a path that leads nowhere', target: '/run/netns/nobody', code: 'not-found' },
  { what: 'a process that is not there', target: 0x3ffffff, code: 'not-found' },
  { what: 'a folder', target: '/etc', code: 'invalid' },
  { what: 'a file', target: '/etc/hostname', code: 'invalid' },
  { what: 'a device', target: '/dev/null', code: 'invalid' },
  { what: 'a namespace of another kind', target: '/proc/self/ns/mnt', code: 'invalid' },
] as const) {
  test(`openNetns() of ${what} is ${code}`, () => {
    assert.throws(() => kernel.openNetns(target), { code })
  })
}

test('openNetns() of a socket is invalid', async () => {
  const path = join(folder, 'socket')
  const server = createServer()
  await new Promise<void>((listening) => server.listen(path, listening))
  try {
    assert.throws(() => kernel.openNetns(path), { code: 'invalid' })
  } finally {
    server.close()
  }
})

test('openNetns() of a file that was to become a namespace is invalid', () => {
  const path = namespaces.path('file')
  writeFileSync(path, '')
  try {
    assert.throws(() => kernel.openNetns(path), { code: 'invalid' })
  } finally {
    kernel.removeNetns(path)
  }
  assert.equal(existsSync(path), false)
})

test('a namespace is the same by path and by process', () => {
  using byPath = kernel.openNetns('/proc/self/ns/net')
  using byPid = kernel.openNetns(process.pid)
  assert.equal(byPath.inode, byPid.inode)
  assert.equal(`net:[${byPid.inode}]`, here())
})

test('what happens inside stays inside', () => {
  const home = here()
  const { name, view, netns } = namespaces.make('n')
  view.links.createBridge({ name: 'inner' })
  view.sysctl.write(['net', 'ipv4', 'ip_forward'], '1')
  view.nft.run('add table inet inner')
  assert.equal(here(), home)
  assert.match(run(name, 'ip link show inner'), /inner/)
  assert.equal(run(name, 'cat /proc/sys/net/ipv4/ip_forward'), '1\n')
  assert.match(run(name, 'nft list tables'), /inner/)
  assert.equal(kernel.links.get('inner'), undefined)
  assert.equal(kernel.nft.listTable('inet', 'inner'), undefined)
  assert.throws(() =>
    kernel.inNetns(netns, () => {
      throw new Error('refused')
    }),
  )
  assert.equal(here(), home)
})

test('a handle keeps its namespace when the name is gone, and lets it go when closed', () => {
  const host = namespaces.make('h')
  const path = namespaces.path('gone')
  const netns = kernel.createNetns(path)
  const end = host.view.links.createVeth({ name: 'v0', peer: { name: 'eth0', netns } })
  kernel.removeNetns(path)
  assert.equal(
    kernel.inNetns(netns, (inside) => inside.links.get('eth0')?.index),
    end.peer,
  )
  netns.close()
  netns.close()
  assert.throws(() => kernel.inNetns(netns, (inside) => inside.links.list()))
})

test('a kernel closes every descriptor it opened', () => {
  const before = openDescriptors()
  for (let i = 0; i < 3; i++) {
    using other = openKernel()
    const path = namespaces.path('fd')
    const netns = other.createNetns(path)
    other.inNetns(netns, (inside) => {
      inside.links.list()
      inside.nft.listTable('inet', 'none')
      inside.sysctl.read(['net', 'ipv4', 'ip_forward'])
    })
    netns.close()
    other.removeNetns(path)
    other.links.get('lo')
  }
  assert.equal(openDescriptors(), before)
})

function openDescriptors(): number {
  let count = 0
  for (let fd = 0; fd < 512; fd++) if (existsSync(`/proc/self/fd/${fd}`)) count++
  return count
}

test('a thread that cannot return home ends its process at once', () => {
  const netns = join(import.meta.dir, '../../src/kernel/netns.ts')
  const script = `
    import { inside, openNetns } from '${netns}'
    const self = openNetns('/proc/self/ns/net')
    try { inside(self.fd, 9999, () => {}) } finally { console.log('lived on') }`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
  })
  assert.equal(status, 70)
  assert.equal(stdout, '')
  assert.match(stderr, /cannot return to the own network namespace.*EBADF/)
})

test('a kernel of a worker has its own home, and its watch its own event loop', async () => {
  const { name, netns } = namespaces.make('n')
  const script = `
    import { openKernel } from '${join(import.meta.dir, '../../src/kernel/real.ts')}'
    using kernel = openKernel()
    const netns = kernel.openNetns('/run/netns/${name}')
    const stop = new AbortController()
    await kernel.inNetns(netns, async (inside) => {
      const notices = inside.watch(['links'], stop.signal)
      inside.links.createBridge({ name: 'worker' })
      for await (const notice of notices) {
        if (notice.kind === 'link' && notice.link.name === 'worker') break
      }
    })
    stop.abort()
    netns.close()
    postMessage('done')`
  const file = join(folder, 'worker.ts')
  writeFileSync(file, script)
  const worker = new Worker(file)
  try {
    const { data } = await new Promise<{ data: unknown }>((heard, failed) => {
      worker.onmessage = heard
      worker.onerror = failed
    })
    assert.equal(data, 'done')
  } finally {
    worker.terminate()
  }
  assert.equal(
    kernel.inNetns(netns, (inside) => inside.links.get('worker')?.kind),
    'bridge',
  )
})
