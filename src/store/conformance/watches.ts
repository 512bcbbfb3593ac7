/** Watches, leases and compaction. */

import { expect } from 'bun:test'
import type { Operation, WatchBatch } from '../store.ts'
import { type Check, DEADLINE_MS, put, refused, watched } from './kit.ts'

export function testWatches(check: Check): void {
  check('a watch from a revision tells the history, one batch per revision', async (store, at) => {
    const first = await put(store, `${at}a`, 'one')
    await put(store, `/elsewhere${at}`, 'not told')
    const { revision } = await store.txn({
      success: [
        { kind: 'put', key: `${at}b`, value: 'two' },
        { kind: 'delete', range: { key: `${at}a` } },
      ],
    })
    const [one, two] = await watched(store, { prefix: at }, first, revision)
    expect(one?.revision).toBe(first)
    expect(one?.events.map(({ kind }) => kind)).toEqual(['put'])
    expect(two?.revision).toBe(revision)
    expect(two?.events).toEqual([
      {
        kind: 'put',
        item: {
          key: `${at}b`,
          value: 'two',
          createRevision: revision,
          modRevision: revision,
          version: 1,
          lease: '0',
        },
      },
      { kind: 'delete', key: `${at}a`, modRevision: revision },
    ])
  })

  check('a watch from now names the revision it follows, then tells', async (store, at) => {
    const before = await put(store, `${at}a`, 'before')
    const signal = AbortSignal.timeout(DEADLINE_MS)
    let after = 0
    for await (const batch of store.watch({ range: { prefix: at }, signal })) {
      if (batch.kind === 'progress' && after === 0) {
        expect(batch.revision).toBeGreaterThanOrEqual(before)
        after = await put(store, `${at}a`, 'after')
      }
      if (batch.kind === 'events') {
        expect(batch.revision).toBe(after)
        break
      }
    }
    expect(after).toBeGreaterThan(before)
  })

  check('a watch may begin in the future', async (store, at) => {
    const first = await put(store, `${at}a`, '1')
    const told = watched(store, { prefix: at }, first + 3, first + 3)
    for (const value of ['2', '3', '4']) await put(store, `${at}a`, value)
    expect((await told).map(({ revision }) => revision)).toEqual([first + 3])
  })

  check('a watch ends with the reason of its signal', async (store, at) => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const follow = async (): Promise<void> => {
      const { signal } = controller
      for await (const batch of store.watch({ range: { prefix: at }, signal })) {
        if (batch.kind === 'progress') controller.abort(reason)
      }
    }
    expect(await follow().catch((error: unknown) => error)).toBe(reason)
  })

  check('a watch that is late gets all of a long history', async (store, at) => {
    const first = await put(store, `${at}0`, '')
    for (let i = 1; i < 150; i++) await put(store, `${at}${i}`, String(i))
    const batches = await watched(store, { prefix: at }, first, first + 149)
    expect(batches.map(({ revision }) => revision)).toEqual(
      Array.from({ length: 150 }, (_, i) => first + i),
    )
  })

  check('a large transaction arrives whole, as one batch', async (store, at) => {
    const value = 'y'.repeat(60_000)
    const success = Array.from({ length: 24 }, (_, i): Operation => {
      return { kind: 'put', key: `${at}${String(i).padStart(2, '0')}`, value }
    })
    const { revision } = await store.txn({ success })
    const [batch, ...rest] = await watched(store, { prefix: at }, revision, revision)
    expect([batch?.events.length, rest.length]).toEqual([24, 0])
    expect((await store.range({ prefix: at })).items.every((item) => item.value === value)).toBe(
      true,
    )
  })

  check('a key goes with its lease, and a watch tells it', async (store, at) => {
    const lease = await store.grantLease(60)
    expect(lease.ttlSeconds).toBeGreaterThanOrEqual(60)
    await store.txn({
      success: ['a', 'b'].map((key) => ({
        kind: 'put',
        key: at + key,
        value: '',
        lease: lease.id,
      })),
    })
    const revision = await put(store, `${at}b`, 'stays')
    const items = (await store.range({ prefix: at })).items.map((item) => item.lease)
    expect(items).toEqual([lease.id, '0'])
    expect(await store.keepAlive(lease.id)).toBeGreaterThanOrEqual(60)
    await store.revokeLease(lease.id)
    const [batch] = await watched(store, { prefix: at }, revision + 1, revision + 1)
    expect(batch?.events).toEqual([{ kind: 'delete', key: `${at}a`, modRevision: revision + 1 }])
    expect(await store.keepAlive(lease.id)).toBeUndefined()
    await refused(store.revokeLease(lease.id), 'not-found', 'lease-not-found')
  })

  check('a lease nobody keeps alive ends by itself', async (store, at) => {
    const lease = await store.grantLease(1)
    const put = { kind: 'put', key: `${at}a`, value: '', lease: lease.id } as const
    const { revision } = await store.txn({ success: [put] })
    const [batch] = await watched(store, { prefix: at }, revision + 1, revision + 1)
    expect(batch?.events.map(({ kind }) => kind)).toEqual(['delete'])
    expect(await store.keepAlive(lease.id)).toBeUndefined()
  })

  check('a lease that does not exist holds no key', async (store, at) => {
    const key = `${at}a`
    const success: Operation[] = [{ kind: 'put', key, value: '', lease: '4711' }]
    await refused(store.txn({ success }), 'not-found', 'lease-not-found')
    expect((await store.range({ key })).count).toBe(0)
  })

  check('a compacted revision is refused, by ranges and by watches', async (store, at) => {
    const first = await put(store, `${at}a`, 'one')
    const second = await put(store, `${at}a`, 'two')
    const third = await put(store, `${at}a`, 'three')
    await store.compact(third)
    await refused(store.range({ prefix: at }, { revision: second }), 'conflict', 'compacted')
    await refused(store.compact(second), 'conflict', 'compacted')
    await refused(store.compact(third + 1000), 'invalid', 'future-revision')
    expect((await store.range({ prefix: at }, { revision: third })).items[0]?.value).toBe('three')
    const signal = AbortSignal.timeout(DEADLINE_MS)
    const told: WatchBatch[] = []
    for await (const batch of store.watch({ range: { prefix: at }, fromRevision: first, signal })) {
      told.push(batch)
    }
    expect(told).toEqual([{ kind: 'compacted', compactRevision: third }])
    const [batch] = await watched(store, { prefix: at }, third, third)
    expect(batch?.revision).toBe(third)
  })
}
