/** Members of a real etcd die, hang and lose their quorum under our client. */

import { afterAll, expect, test } from 'bun:test'
import { isNetworkError } from '../../src/lib/errors.ts'
import { connectEtcd } from '../../src/store/etcd/client.ts'
import type { Store } from '../../src/store/store.ts'
import { type EtcdCluster, startEtcd } from './etcd-fixture.ts'

const TEST_TIMEOUT_MS = 90_000
const DEADLINE_MS = 30_000
const clusters: EtcdCluster[] = []

// not at the end of each test: a test that fails from outside does not reach its end
afterAll(async () => {
  for (const cluster of clusters) await cluster[Symbol.asyncDispose]()
})

async function newCluster(): Promise<EtcdCluster> {
  const cluster = await startEtcd()
  clusters.push(cluster)
  return cluster
}

test(
  'a member dies under a watch: the caller watches again elsewhere and misses nothing',
  async () => {
    const cluster = await newCluster()
    const endpoints = [...cluster.endpoints]
    await using store = connectEtcd({ endpoints })
    // writes go by the other members, so that they go on while ours is dead
    await using writer = connectEtcd({ endpoints: endpoints.slice(1) })
    const first = await put(writer, '/k', '0')
    const told: string[] = []
    let breaks = 0
    let written = 0
    let from = first
    const signal = AbortSignal.timeout(DEADLINE_MS)
    while (told.length < 6) {
      try {
        for await (const batch of store.watch({
          range: { key: '/k' },
          fromRevision: from,
          signal,
        })) {
          if (batch.kind !== 'events') continue
          from = batch.revision + 1
          for (const event of batch.events) if (event.kind === 'put') told.push(event.item.value)
          if (told.length === 3 && breaks === 0) await cluster.kill(0)
          if (told.length === 6) break
          if (written < 5) await putNext(writer, ++written)
        }
      } catch (error) {
        if (!isNetworkError(error, 'unavailable')) throw error
        breaks++
        if (written < 5) await putNext(writer, ++written)
      }
    }
    expect(told).toEqual(['0', '1', '2', '3', '4', '5'])
    expect(breaks).toBeGreaterThan(0)
    expect((await store.range({ key: '/k' })).items[0]?.value).toBe('5')
  },
  TEST_TIMEOUT_MS,
)

test(
  'a member that hangs is left for one that answers',
  async () => {
    const cluster = await newCluster()
    await using store = connectEtcd({ endpoints: cluster.endpoints, timeoutMs: 10_000 })
    await put(store, '/k', 'before')
    cluster.signal(0, 'SIGSTOP')
    try {
      expect((await store.range({ key: '/k' })).items[0]?.value).toBe('before')
      await put(store, '/k', 'after')
    } finally {
      cluster.signal(0, 'SIGCONT')
    }
  },
  TEST_TIMEOUT_MS,
)

test(
  'a watch on a member that hangs breaks by itself',
  async () => {
    const cluster = await newCluster()
    const endpoints = cluster.endpoints.slice(0, 1)
    await using store = connectEtcd({ endpoints, pingIntervalMs: 1000 })
    const signal = AbortSignal.timeout(DEADLINE_MS)
    let broke: unknown
    try {
      for await (const batch of store.watch({ range: { key: '/k' }, signal })) {
        if (batch.kind === 'progress') cluster.signal(0, 'SIGSTOP')
      }
    } catch (error) {
      broke = error
    } finally {
      cluster.signal(0, 'SIGCONT')
    }
    expect(isNetworkError(broke, 'unavailable')).toBe(true)
  },
  TEST_TIMEOUT_MS,
)

test(
  'without a quorum calls fail within their deadline, and the watch breaks instead of being silent',
  async () => {
    const cluster = await newCluster()
    await using store = connectEtcd({ endpoints: cluster.endpoints.slice(2), timeoutMs: 2000 })
    const revision = await put(store, '/k', 'v')
    const signal = AbortSignal.timeout(DEADLINE_MS)
    let broke: unknown
    try {
      for await (const batch of store.watch({
        range: { key: '/k' },
        fromRevision: revision,
        signal,
      })) {
        if (batch.kind !== 'events') continue
        await cluster.kill(0)
        await cluster.kill(1)
      }
    } catch (error) {
      broke = error
    }
    expect(isNetworkError(broke, 'unavailable')).toBe(true)
    const works = [
      () => put(store, '/k', 'w'),
      () => store.range({ key: '/k' }),
      () => store.grantLease(5),
    ]
    for (const work of works) {
      const error = await work().catch((thrown: unknown) => thrown)
      expect(isNetworkError(error, 'unavailable')).toBe(true)
    }
  },
  TEST_TIMEOUT_MS,
)

/** Writes `number` after its predecessor, once: a write whose answer is lost with its member is looked for. */
async function putNext(store: Store, number: number): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    try {
      await store.txn({
        compare: [{ range: { key: '/k' }, target: 'value', is: '=', value: String(number - 1) }],
        success: [{ kind: 'put', key: '/k', value: String(number) }],
      })
      return
    } catch (error) {
      if (!isNetworkError(error, 'unavailable') || Date.now() > deadline) throw error
    }
  }
}

async function put(store: Store, key: string, value: string): Promise<number> {
  return (await store.txn({ success: [{ kind: 'put', key, value }] })).revision
}
