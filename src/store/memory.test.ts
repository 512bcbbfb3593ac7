import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError } from '../lib/errors.ts'
import { MemoryCluster } from './memory.ts'
import { type Reason, reasonOf } from './reasons.ts'
import type { Compare, Operation, Store, WatchBatch } from './store.ts'

const put = (key: string, value = 'v', lease = '0'): Operation => ({
  kind: 'put',
  key,
  value,
  lease,
})
const write = (store: Store, ...success: Operation[]) => store.txn({ success })

async function keysOf(store: Store, prefix: string): Promise<string[]> {
  return (await store.range({ prefix })).items.map((item) => item.key)
}

/** Collects what a watch yields until `count` batches came. */
async function collect(batches: AsyncIterable<WatchBatch>, count: number): Promise<WatchBatch[]> {
  const found: WatchBatch[] = []
  for await (const batch of batches) if (found.push(batch) === count) break
  return found
}

test('revisions, versions and history are counted as etcd counts them', async () => {
  const store = new MemoryCluster().client()
  const { revision } = await write(store, put('a', '1'), put('b', '1'))
  await write(store, put('a', '2'))
  const now = await store.range({ key: 'a' })
  assert.deepEqual(now.items[0], {
    key: 'a',
    value: '2',
    createRevision: revision,
    modRevision: revision + 1,
    version: 2,
    lease: '0',
  })
  assert.equal((await store.range({ key: 'a' }, { revision })).items[0]?.value, '1')
  const idle = await write(store, { kind: 'delete', range: { key: 'absent' } })
  assert.equal(idle.revision, revision + 1)
  await assert.rejects(store.range({ key: 'a' }, { revision: 99 }), refused('future-revision'))
})

test('ranges are in byte order, with limit, count and half-open intervals', async () => {
  const store = new MemoryCluster().client()
  await write(store, put('/a/2'), put('/a/1'), put('/b'), put('/\u{1f600}'), put('/\uffee'))
  assert.deepEqual(await keysOf(store, '/'), ['/a/1', '/a/2', '/b', '/\uffee', '/\u{1f600}'])
  const page = await store.range({ from: '/a/', to: '/b' }, { limit: 1 })
  assert.equal(page.items.length, 1)
  assert.deepEqual([page.count, page.more], [2, true])
})

const nothingIn: Compare = { range: { prefix: '/a/' }, target: 'createRevision', is: '=', value: 0 }
for (const { name, compare, before, want } of [
  { name: 'no key in an empty range', compare: nothingIn, before: '/b', want: true },
  { name: 'no key in a range with one', compare: nothingIn, before: '/a/x', want: false },
  {
    name: 'the value of an absent key differs from everything',
    compare: { range: { key: '/a' }, target: 'value', is: '!=', value: 'v' } as const,
    before: '/b',
    want: false,
  },
  {
    name: 'every key of a range older than',
    compare: { range: { prefix: '/' }, target: 'modRevision', is: '<', value: 9 } as const,
    before: '/a',
    want: true,
  },
]) {
  test(`txn() compares: ${name}`, async () => {
    const store = new MemoryCluster().client()
    await write(store, put(before))
    const answer = await store.txn({
      compare: [compare],
      success: [put('/done')],
      failure: [{ kind: 'range', range: { prefix: '/' } }],
    })
    assert.equal(answer.succeeded, want)
    assert.equal(answer.results[0]?.kind, want ? 'put' : 'range')
  })
}

for (const { name, reason, operations } of [
  { name: 'a key put twice', reason: 'duplicate-key' as const, operations: [put('a'), put('a')] },
  {
    name: 'a key put and deleted',
    reason: 'duplicate-key' as const,
    operations: [put('a'), { kind: 'delete', range: { prefix: 'a' } } as const],
  },
  {
    name: 'an unknown lease',
    reason: 'lease-not-found' as const,
    operations: [put('a', 'v', '7')],
  },
  {
    name: 'too many operations',
    reason: 'too-many-operations' as const,
    operations: Array.from({ length: 101 }, (_, i) => put(`${i}`)),
  },
  {
    name: 'a value above 64 KiB',
    reason: 'too-large' as const,
    operations: [put('a', 'x'.repeat(65537))],
  },
]) {
  test(`txn() refuses ${name} and writes nothing`, async () => {
    const cluster = new MemoryCluster()
    const store = cluster.client()
    await assert.rejects(write(store, put('first'), ...operations), refused(reason))
    assert.deepEqual(await keysOf(store, ''), [])
  })
}

test('watch() tells one batch per revision, from the past on, and progress', async () => {
  const cluster = new MemoryCluster()
  const store = cluster.client()
  const { revision } = await write(store, put('/a/1'), put('/b'), put('/a/2'))
  await write(store, { kind: 'delete', range: { prefix: '/a/' } })
  const { signal } = new AbortController()
  const found = await collect(
    store.watch({ range: { prefix: '/a/' }, fromRevision: revision, signal }),
    2,
  )
  assert.deepEqual(
    found.map((batch) => batch.kind === 'events' && batch.events.map((event) => event.kind)),
    [
      ['put', 'put'],
      ['delete', 'delete'],
    ],
  )
  const later = collect(store.watch({ range: { prefix: '/a/' }, signal }), 2)
  await write(store, put('/c'))
  cluster.progress()
  assert.deepEqual(await later, [
    { kind: 'progress', revision: revision + 1 },
    { kind: 'progress', revision: revision + 2 },
  ])
})

test('watch() and range() below the compaction say so', async () => {
  const store = new MemoryCluster().client()
  for (let i = 0; i < 5; i++) await write(store, put('a', `${i}`))
  await store.compact(5)
  const { signal } = new AbortController()
  const batches = store.watch({ range: { key: 'a' }, fromRevision: 3, signal })
  assert.deepEqual(await collect(batches, 9), [{ kind: 'compacted', compactRevision: 5 }])
  await assert.rejects(store.range({ key: 'a' }, { revision: 4 }), refused('compacted'))
  assert.equal((await store.range({ key: 'a' }, { revision: 5 })).items[0]?.value, '3')
})

test('a lease takes its keys along when its time is over', async () => {
  let now = 0
  const cluster = new MemoryCluster({ now: () => now })
  const store = cluster.client()
  const { id } = await store.grantLease(15)
  await write(store, put('a', 'v', id), put('b'))
  now = 14_000
  assert.equal(await store.keepAlive(id), 15)
  now = 28_000
  assert.deepEqual(await keysOf(store, ''), ['a', 'b'])
  now = 29_000
  assert.deepEqual(await keysOf(store, ''), ['b'])
  assert.equal(await store.keepAlive(id), undefined)
})

test('a client that is cut off fails, its watches break, the others go on', async () => {
  const cluster = new MemoryCluster()
  const [a, b] = [cluster.client(), cluster.client()]
  const { signal } = new AbortController()
  const watching = collect(a.watch({ range: { prefix: '' }, signal }), 2)
  cluster.cut(a)
  await assert.rejects(watching, isUnavailable)
  await assert.rejects(a.range({ prefix: '' }), isUnavailable)
  await write(b, put('x'))
  cluster.heal(a)
  assert.deepEqual(await keysOf(a, ''), ['x'])
})

test('a lost answer is a write that happened', async () => {
  const cluster = new MemoryCluster()
  const store = cluster.client()
  cluster.loseAnswers(store, 1)
  await assert.rejects(write(store, put('x')), isUnavailable)
  assert.deepEqual(await keysOf(store, ''), ['x'])
})

test('a deaf client misses events and nothing else', async () => {
  const cluster = new MemoryCluster()
  const store = cluster.client()
  const { signal } = new AbortController()
  const watching = collect(store.watch({ range: { prefix: '' }, signal }), 2)
  cluster.deafen(store)
  await write(store, put('missed'))
  cluster.hear(store)
  await write(store, put('heard'))
  const [, batch] = await watching
  assert.equal(batch?.kind === 'events' && batch.events[0]?.kind === 'put' && batch.revision, 3)
})

test('restore() puts the store back, with its leases, and breaks watches', async () => {
  const cluster = new MemoryCluster()
  const store = cluster.client()
  const { id } = await store.grantLease(15)
  await write(store, put('old', 'v', id))
  const backup = cluster.snapshot()
  await write(store, put('new'), put('old', 'changed', id))
  const { signal } = new AbortController()
  const watching = collect(store.watch({ range: { prefix: '' }, signal }), 2)
  cluster.restore(backup)
  await assert.rejects(watching, isUnavailable)
  assert.deepEqual(await keysOf(store, ''), ['old'])
  assert.equal((await store.range({ key: 'old' })).items[0]?.value, 'v')
  assert.equal(await store.keepAlive(id), 15)
  assert.equal(cluster.revision, backup.history.revision)
})

function refused(reason: Reason): (error: unknown) => boolean {
  return (error) => reasonOf(error) === reason
}

function isUnavailable(error: unknown): boolean {
  return isNetworkError(error, 'unavailable')
}
