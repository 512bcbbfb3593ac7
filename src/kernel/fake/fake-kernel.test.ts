import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { errnoOf } from '../errno.ts'
import { openFakeKernel } from './fake-kernel.ts'

function errnoWhen(work: () => void): string | undefined {
  try {
    work()
  } catch (error) {
    return errnoOf(error) ?? String(error)
  }
  return undefined
}

test('failNext() refuses one call of that name, which changes nothing', () => {
  using kernel = openFakeKernel()
  kernel.calls.failNext('links.createBridge', 'ENOSPC')
  const make = () => kernel.links.createBridge({ name: 'br0' })
  assert.equal(errnoWhen(make), 'ENOSPC')
  assert.equal(kernel.look().links.get('br0'), undefined)
  assert.equal(errnoWhen(make), undefined)
  assert.equal(kernel.look().links.get('br0')?.kind, 'bridge')
})

test('failCall() refuses the call of that number', () => {
  using kernel = openFakeKernel()
  kernel.calls.failCall(2, 'ENOMEM')
  kernel.links.list()
  assert.equal(
    errnoWhen(() => kernel.links.list()),
    'ENOMEM',
  )
  assert.equal(
    errnoWhen(() => kernel.links.list()),
    undefined,
  )
})

test('a call refused inside a batch is told by its position, the others are done', () => {
  using kernel = openFakeKernel()
  kernel.calls.failNext('routes.put', 'ENOBUFS')
  const work = () =>
    kernel.batch((batch) => {
      batch.links.set('lo', { up: true })
      batch.routes.put({ destination: '198.51.100.0/24', type: 'blackhole' })
      batch.routes.put({ destination: '203.0.113.0/24', type: 'blackhole' })
    })
  assert.throws(work, {
    details: {
      operation: 'routes.put',
      errno: 'ENOBUFS',
      ack: 'refused by the test',
      request: 1,
      requests: 3,
      failures: ['Cannot routes.put: refused by the test (ENOBUFS)'],
    },
  })
  assert.deepEqual(
    kernel
      .look()
      .routes.list()
      .map(({ destination }) => destination),
    ['203.0.113.0/24'],
  )
})

test('calls are recorded, and what only reads is told apart', () => {
  using kernel = openFakeKernel()
  kernel.links.list()
  kernel.links.createBridge({ name: 'br0' })
  kernel.look().links.remove('br0')
  assert.deepEqual(
    kernel.calls.made.map(({ name }) => name),
    ['links.list', 'links.createBridge'],
  )
  assert.deepEqual(kernel.calls.changes, ['links.createBridge'])
})

test('a sandbox ends with its process, and the host loses its end of the veth', () => {
  using kernel = openFakeKernel()
  kernel.startProcess(4711)
  {
    using netns = kernel.openNetns(4711)
    kernel.links.createVeth({ name: 'v0', peer: { name: 'eth0', netns } })
    assert.equal(kernel.namespaces, 2)
  }
  assert.equal(kernel.links.get('v0')?.name, 'v0')
  kernel.endProcess(4711)
  assert.equal(kernel.links.get('v0'), undefined)
  assert.equal(kernel.namespaces, 1)
  assert.throws(() => kernel.openNetns(4711), { code: 'not-found' })
})

test('a veth that is moved keeps its other end', () => {
  using kernel = openFakeKernel()
  using box = kernel.createNetns('/run/netns/box')
  kernel.links.createVeth({ name: 'v0', peer: { name: 'v1' } })
  kernel.links.set('v1', { netns: box, name: 'eth0' })
  const inner = kernel.look('/run/netns/box').links.get('eth0')
  assert.equal(inner?.peer, kernel.links.get('v0')?.index)
  assert.equal(kernel.links.get('v0')?.peer, inner?.index)
  kernel.links.remove('v0')
  assert.equal(kernel.look('/run/netns/box').links.get('eth0'), undefined)
})

test('a shared block lives while a device is in it', () => {
  using kernel = openFakeKernel()
  const filter = { place: { block: 7 }, priority: 1, handle: 1, name: 'x', programFd: 5 }
  assert.equal(
    errnoWhen(() => kernel.filters.put(filter)),
    'EINVAL',
  )
  const { index: device } = kernel.links.createBridge({ name: 'br0' })
  kernel.qdiscs.put({ device, ingressBlock: 7 })
  kernel.filters.put(filter)
  assert.equal(kernel.filters.list({ block: 7 }).length, 1)
  kernel.links.remove('br0')
  assert.deepEqual(kernel.filters.list({ block: 7 }), [])
})

test('a learned path MTU is what lookup() answers', () => {
  using kernel = openFakeKernel()
  const { index: device } = kernel.links.createBridge({ name: 'br0', up: true })
  kernel.addresses.put({ device, address: '192.0.2.1', prefixLength: 24 })
  kernel.routes.put({ destination: '0.0.0.0/0', gateway: '192.0.2.2', device })
  assert.equal(kernel.routes.lookup('198.51.100.1')?.pathMtuBytes, 1500)
  kernel.learnPathMtu('198.51.100.1', 1400)
  assert.equal(kernel.routes.lookup('198.51.100.1')?.pathMtuBytes, 1400)
})

test('watchers hear changes and losses until they stop', async () => {
  using kernel = openFakeKernel()
  const stop = new AbortController()
  const notices = kernel.watch(['links', 'nft'], stop.signal)[Symbol.asyncIterator]()
  kernel.links.createBridge({ name: 'br0' })
  kernel.nft.run('add table inet ckt')
  kernel.loseNotices()
  const kinds: string[] = []
  for (let i = 0; i < 3; i++) kinds.push((await notices.next()).value.kind)
  assert.deepEqual(kinds, ['link', 'nft', 'lost'])
  stop.abort()
  assert.equal((await notices.next()).done, true)
})

test('nftables in text: whole tables are kept, a failed transaction leaves no trace', () => {
  using kernel = openFakeKernel()
  kernel.nft.run(
    'add table inet ckt\ndelete table inet ckt\ntable inet ckt {\n chain a { accept; }\n}',
  )
  const [table, chain, rule] = kernel.nft.listTable('inet', 'ckt') ?? []
  assert.deepEqual(table, { table: { family: 'inet', name: 'ckt' } })
  const { name } = (chain?.['chain'] ?? {}) as { name?: string }
  const { expr } = (rule?.['rule'] ?? {}) as { expr?: unknown }
  assert.deepEqual([name, expr], ['a', [{ text: 'accept' }]])
  assert.equal(
    errnoWhen(() => kernel.nft.run('delete table inet ckt; delete table inet nobody')),
    'ENOENT',
  )
  assert.notEqual(kernel.nft.listTable('inet', 'ckt'), undefined)
})
