/** What the engine does beyond the suite of all stores: restarts, leases by the clock, late watches. */

import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { isNetworkError } from '../../lib/errors.ts'
import { intervalOf, toBytes, toText } from '../interval.ts'
import { reasonOf } from '../reasons.ts'
import { Engine } from './engine.ts'
import type { RangeQuery, Step } from './mvcc.ts'
import type { Watcher, WatchNews } from './watchers.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ckt-engine-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function open(options: { clock?: Clock; historyRevisions?: number } = {}): Engine {
  return new Engine({ path: join(directory, 'store.db'), ...options })
}

test('a restart keeps keys, revisions, history, compaction and the cluster id', async () => {
  const before = open()
  const { clusterId } = before
  for (const value of ['1', '2', '3', '4']) await put(before, 'a', value)
  await before.compact(3)
  const revision = before.revision
  before[Symbol.dispose]()
  using after = open()
  expect([after.revision, after.compactRevision, after.clusterId]).toEqual([revision, 3, clusterId])
  const query = { interval: intervalOf({ key: 'a' }), revision: 4 }
  expect(toText(after.range(query).entries[0]?.value ?? toBytes(''))).toBe('3')
  expect(await put(after, 'a', '5')).toBe(revision + 1)
})

test('a lease ends when its time is over, and not while it is kept alive', async () => {
  const clock = new ManualClock()
  using engine = open({ clock })
  const { id } = await engine.leases.grant(10, '0')
  await run(engine, [{ ...step('a', 'x'), lease: id }])
  using watcher = engine.watch({ interval: intervalOf({ prefix: '' }) })
  await clock.advance(9_000)
  expect(engine.leases.keepAlive(id)).toBe(10)
  await clock.advance(9_000)
  expect(engine.leases.info(id)?.remainingSeconds).toBe(1)
  expect(engine.range({ interval: intervalOf({ key: 'a' }) }).count).toBe(1)
  await clock.advance(1_000)
  const news = await watcher.pull()
  expect(news?.kind === 'commit' && news.changes.map(({ kind }) => kind)).toEqual(['delete'])
  expect(engine.leases.keepAlive(id)).toBeUndefined()
  expect(engine.leases.info(id)).toBeUndefined()
})

test('a restart gives every lease its whole time again', async () => {
  const clock = new ManualClock()
  const before = open({ clock })
  const { id } = await before.leases.grant(10, '0')
  await run(before, [{ ...step('a', 'x'), lease: id }])
  await clock.advance(8_000)
  before[Symbol.dispose]()
  using after = open({ clock })
  await clock.advance(8_000)
  expect(after.leases.info(id)).toMatchObject({ remainingSeconds: 2, keys: [toBytes('a')] })
  using watcher = after.watch({ interval: intervalOf({ prefix: '' }) })
  await clock.advance(2_000)
  expect((await watcher.pull())?.kind).toBe('commit')
})

test('a lease id may be asked for once', async () => {
  using engine = open()
  expect(await engine.leases.grant(5, '77')).toEqual({ id: '77', ttlSeconds: 5 })
  expect(reasonOf(await failure(engine.leases.grant(5, '77')))).toBe('lease-exists')
  expect(reasonOf(await failure(engine.leases.grant(1e10, '0')))).toBe('lease-too-long')
})

test('sorting and filters: by version, value and revisions, both ways', async () => {
  using engine = open()
  for (const key of ['a', 'b', 'b', 'c', 'c', 'c']) await put(engine, key, `of ${key}`)
  const keys = (query: Partial<RangeQuery>): string => {
    const { entries } = engine.range({ interval: intervalOf({ prefix: '' }), ...query })
    return entries.map(({ key }) => toText(key)).join('')
  }
  const rows: readonly [Partial<RangeQuery>, string][] = [
    [{ sort: { by: 'version', descending: true } }, 'cba'],
    [{ sort: { by: 'value', descending: true }, limit: 2 }, 'cb'],
    [{ sort: { by: 'modRevision', descending: false } }, 'abc'],
    [{ sort: { by: 'createRevision', descending: true } }, 'cba'],
    [{ sort: { by: 'key', descending: true } }, 'cba'],
    [{ minModRevision: 4 }, 'bc'],
    [{ maxModRevision: 4 }, 'ab'],
    [{ minCreateRevision: 3, maxCreateRevision: 4 }, 'b'],
  ]
  for (const [query, want] of rows) expect(keys(query)).toBe(want)
  const filtered = engine.range({ interval: intervalOf({ prefix: '' }), minModRevision: 7 })
  expect([filtered.entries.length, filtered.count, filtered.more]).toEqual([1, 3, false])
})

test('a nested batch takes its own branch, chosen on the state before', async () => {
  using engine = open()
  await put(engine, 'a', 'x')
  const exists = {
    interval: intervalOf({ key: 'b' }),
    target: 'version' as const,
    is: '>' as const,
    value: 0,
  }
  const nested: Step = {
    kind: 'batch',
    batch: { conditions: [exists], success: [step('c', 'yes')], failure: [step('c', 'no')] },
  }
  const { answers } = await run(engine, [step('b', 'x'), nested])
  const [, answer] = answers
  expect(answer?.kind === 'batch' && answer.answer.succeeded).toBe(false)
  const twice: Step = {
    kind: 'batch',
    batch: { conditions: [], success: [], failure: [step('b', '')] },
  }
  expect(reasonOf(await failure(run(engine, [step('b', 'x'), twice])))).toBe('duplicate-key')
})

test('put keeps value or lease on demand, and gives what was before', async () => {
  using engine = open()
  const { id } = await engine.leases.grant(60, '0')
  await run(engine, [{ ...step('a', 'x'), lease: id }])
  const keepValue = { ...step('a', ''), ignoreValue: true, previous: true }
  const { answers } = await run(engine, [keepValue])
  expect(answers[0]?.kind === 'put' && answers[0].previous?.lease).toBe(id)
  await run(engine, [{ ...step('a', 'y'), lease: id }])
  await run(engine, [{ ...step('a', 'z'), ignoreLease: true }])
  const [entry] = engine.range({ interval: intervalOf({ key: 'a' }) }).entries
  expect([toText(entry?.value ?? toBytes('')), entry?.lease, entry?.version]).toEqual(['z', id, 4])
  const rows = [
    [{ ...step('none', ''), ignoreValue: true }, 'key-not-found'],
    [{ ...step('a', 'v'), ignoreValue: true }, 'value-given'],
    [{ ...step('a', 'v'), lease: id, ignoreLease: true }, 'lease-given'],
  ] as const
  for (const [wrong, reason] of rows) {
    expect(reasonOf(await failure(run(engine, [wrong])))).toBe(reason)
  }
})

test('a guard is asked for every key that would change', async () => {
  using engine = open()
  await run(engine, [step('a/1', ''), step('b/1', '')])
  const guard = (key: Uint8Array): boolean => toText(key).startsWith('a/')
  const sweep: Step = { kind: 'delete', interval: intervalOf({ prefix: '' }) }
  const own: Step = { kind: 'delete', interval: intervalOf({ prefix: 'a/' }) }
  for (const steps of [[step('b/2', '')], [step('a/2', ''), step('b/2', '')], [sweep]]) {
    const batch = { conditions: [], success: steps, failure: [] }
    expect(isNetworkError(await failure(engine.txn(batch, guard)), 'forbidden')).toBe(true)
  }
  const allowed = { conditions: [], success: [step('a/2', ''), own], failure: [] }
  expect(reasonOf(await failure(engine.txn(allowed, guard)))).toBe('duplicate-key')
  await engine.txn({ ...allowed, success: [own] }, guard)
  expect(engine.range({ interval: intervalOf({ prefix: '' }) }).count).toBe(1)
})

test('writes of one turn share a commit, yet each has its own revision and fate', async () => {
  using engine = open()
  const writes = Array.from({ length: 300 }, (_, i) =>
    i % 10 === 7 ? run(engine, [step('x', ''), step('x', '')]) : run(engine, [step(`k${i}`, '')]),
  )
  const settled = await Promise.allSettled(writes)
  const revisions = settled.flatMap((one) => (one.status === 'fulfilled' ? one.value.revision : []))
  expect(revisions).toEqual(Array.from({ length: 270 }, (_, i) => i + 2))
  expect(engine.revision).toBe(271)
})

test('a late watcher reads from the file what memory no longer has, in whole revisions', async () => {
  using engine = open()
  using late = engine.watch({ interval: intervalOf({ prefix: 'k' }), fromRevision: 1 })
  for (let i = 0; i < 30; i++) {
    // 60 changes a revision: 1,800 in all, more than memory keeps and than one read brings
    const success = Array.from({ length: 60 }, (_, j) => step(`k${j}`, `${i}`))
    await run(engine, [...success, step('elsewhere', '')])
  }
  for (let i = 0; i < 30; i++) {
    const news = await late.pull()
    expect(news).toMatchObject({ kind: 'commit', revision: i + 2 })
    expect(news?.kind === 'commit' && news.changes.length).toBe(60)
    expect(news?.kind === 'commit' && news.changes[0]?.previous?.modRevision).toBe(
      i === 0 ? undefined : i + 1,
    )
  }
})

test('a revision with more changes than one read brings arrives whole', async () => {
  const { id } = { id: '5' }
  {
    using engine = open()
    await engine.leases.grant(60, id)
    for (let i = 0; i < 10; i++) {
      const steps = Array.from({ length: 100 }, (_, j) => ({ ...step(`${i}/${j}`, ''), lease: id }))
      await run(engine, steps)
    }
    await engine.leases.revoke(id)
  }
  using engine = open()
  using watcher = engine.watch({ interval: intervalOf({ prefix: '' }), fromRevision: 12 })
  const news = await watcher.pull()
  expect(news?.kind === 'commit' && news.changes.length).toBe(1000)
})

test('filters tell puts or deletes only', async () => {
  using engine = open()
  const interval = intervalOf({ prefix: '' })
  using puts = engine.watch({ interval, deletes: false })
  using deletes = engine.watch({ interval, puts: false })
  await put(engine, 'a', '')
  await run(engine, [{ kind: 'delete', interval }])
  await put(engine, 'a', '')
  expect(await kinds(puts, 2)).toEqual(['put', 'put'])
  expect(await kinds(deletes, 1)).toEqual(['delete'])
})

test('a watcher that compaction overtakes is told so; one that waits is not', async () => {
  using engine = open()
  using late = engine.watch({ interval: intervalOf({ prefix: '' }), fromRevision: 1 })
  using waiting = engine.watch({ interval: intervalOf({ key: 'other' }) })
  const pulled = waiting.pull()
  for (let i = 0; i < 10; i++) await put(engine, 'a', String(i))
  await engine.compact(8)
  expect(await late.pull()).toEqual({ kind: 'compacted', compactRevision: 8 })
  const revision = await put(engine, 'other', '')
  expect(await pulled).toMatchObject({ kind: 'commit', revision })
})

test('history beyond the wanted number of revisions is forgotten by itself', async () => {
  using engine = open({ historyRevisions: 40 })
  for (let i = 0; i < 200; i++) await put(engine, `k${i % 3}`, String(i))
  expect(engine.compactRevision).toBeGreaterThanOrEqual(engine.revision - 50)
  expect(engine.compactRevision).toBeLessThanOrEqual(engine.revision - 40)
  expect(engine.range({ interval: intervalOf({ prefix: 'k' }) }).count).toBe(3)
})

test('closing ends watches and refuses writes', async () => {
  const engine = open()
  const watcher = engine.watch({ interval: intervalOf({ prefix: '' }) })
  const pulled = watcher.pull()
  engine[Symbol.dispose]()
  expect(await pulled).toBeUndefined()
  expect(isNetworkError(await failure(put(engine, 'a', '')), 'unavailable')).toBe(true)
})

function step(key: string, value: string): Extract<Step, { kind: 'put' }> {
  return { kind: 'put', key: toBytes(key), value: toBytes(value), lease: '0' }
}

function run(engine: Engine, success: readonly Step[]): ReturnType<Engine['txn']> {
  return engine.txn({ conditions: [], success, failure: [] })
}

async function put(engine: Engine, key: string, value: string): Promise<number> {
  return (await run(engine, [step(key, value)])).revision
}

async function kinds(watcher: Watcher, count: number): Promise<readonly string[]> {
  const told: string[] = []
  while (told.length < count) {
    const news: WatchNews | undefined = await watcher.pull()
    if (news?.kind === 'commit') told.push(...news.changes.map(({ kind }) => kind))
  }
  return told
}

function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** A clock that stands until it is moved. */
class ManualClock implements Clock {
  #nowMs = 1000
  #sleepers: { readonly untilMs: number; readonly wake: () => void }[] = []

  wallMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sleepers.push({ untilMs: this.#nowMs + ms, wake: resolve })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }

  /** Moves on and lets what was waiting for it happen. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms
    const due = this.#sleepers.filter(({ untilMs }) => untilMs <= this.#nowMs)
    this.#sleepers = this.#sleepers.filter(({ untilMs }) => untilMs > this.#nowMs)
    for (const { wake } of due) wake()
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}
