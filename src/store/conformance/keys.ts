/** Keys, revisions, ranges and transactions. */

import { expect } from 'bun:test'
import assert from 'node:assert/strict'
import type { Compare, KeyRange, Operation, Transaction } from '../store.ts'
import { type Check, names, put, refused, remove } from './kit.ts'

export function testKeys(check: Check): void {
  check('a new key has version 1, a changed one keeps its create revision', async (store, at) => {
    const first = await put(store, `${at}a`, 'one')
    const second = await put(store, `${at}a`, 'two')
    expect(second).toBe(first + 1)
    const { items, revision, count, more } = await store.range({ key: `${at}a` })
    expect({ revision, count, more }).toEqual({ revision: second, count: 1, more: false })
    expect(items).toEqual([
      {
        key: `${at}a`,
        value: 'two',
        createRevision: first,
        modRevision: second,
        version: 2,
        lease: '0',
      },
    ])
  })

  check('a key made again after its end begins anew', async (store, at) => {
    await put(store, `${at}a`, 'one')
    await remove(store, { key: `${at}a` })
    const revision = await put(store, `${at}a`, '')
    const [item] = (await store.range({ key: `${at}a` })).items
    expect([item?.createRevision, item?.version, item?.value]).toEqual([revision, 1, ''])
  })

  check('keys are ordered by their bytes, not by UTF-16', async (store, at) => {
    const keys = ['a', 'a\0', 'a/', 'b', 'é', '\uffee', '\u{1f600}'].map((key) => at + key)
    await store.txn({
      success: [...keys].reverse().map((key) => ({ kind: 'put', key, value: '' })),
    })
    expect(names(await store.range({ prefix: at }))).toEqual(keys)
  })

  check('ranges: one key, a prefix, an interval without its end', async (store, at) => {
    const keys = ['a', 'aa', 'ab', 'b', 'c'].map((key) => at + key)
    await store.txn({ success: keys.map((key) => ({ kind: 'put', key, value: 'v' })) })
    const rows: readonly [KeyRange, readonly string[]][] = [
      [{ key: `${at}a` }, ['a']],
      [{ prefix: `${at}a` }, ['a', 'aa', 'ab']],
      [{ from: `${at}aa`, to: `${at}c` }, ['aa', 'ab', 'b']],
      [{ key: `${at}x` }, []],
    ]
    for (const [range, want] of rows) {
      expect(names(await store.range(range))).toEqual(want.map((key) => at + key))
    }
  })

  check('limit, count, keys only and count only', async (store, at) => {
    const keys = ['a', 'b', 'c', 'd'].map((key) => at + key)
    await store.txn({ success: keys.map((key) => ({ kind: 'put', key, value: 'v' })) })
    const range = { prefix: at }
    const two = await store.range(range, { limit: 2 })
    expect([names(two), two.count, two.more]).toEqual([keys.slice(0, 2), 4, true])
    const four = await store.range(range, { limit: 4 })
    expect([four.items.length, four.count, four.more]).toEqual([4, 4, false])
    const bare = await store.range(range, { keysOnly: true })
    expect(bare.items.map(({ key, value }) => [key, value])).toEqual(keys.map((key) => [key, '']))
    const counted = await store.range(range, { countOnly: true })
    expect([counted.items.length, counted.count]).toEqual([0, 4])
  })

  check('the state of an old revision can be read', async (store, at) => {
    const first = await put(store, `${at}a`, 'one')
    const second = await put(store, `${at}b`, 'two')
    const third = await put(store, `${at}a`, 'three')
    const fourth = await remove(store, { key: `${at}b` })
    const seen = async (revision: number): Promise<readonly string[]> => {
      const { items } = await store.range({ prefix: at }, { revision })
      return items.map(({ value }) => value)
    }
    expect(await seen(first)).toEqual(['one'])
    expect(await seen(second)).toEqual(['one', 'two'])
    expect(await seen(third)).toEqual(['three', 'two'])
    expect(await seen(fourth)).toEqual(['three'])
  })

  check('a revision that is not there yet is refused', async (store, at) => {
    const revision = await put(store, `${at}a`, '')
    const asked = store.range({ key: `${at}a` }, { revision: revision + 1000 })
    await refused(asked, 'invalid', 'future-revision')
    const range: Operation = {
      kind: 'range',
      range: { prefix: at },
      options: { revision: revision + 1000 },
    }
    await refused(store.txn({ success: [range] }), 'invalid', 'future-revision')
  })

  check('a transaction takes one branch, and its reads see its writes', async (store, at) => {
    const key = `${at}a`
    const absent: Compare = { range: { key }, target: 'createRevision', is: '=', value: 0 }
    const transaction: Transaction = {
      compare: [absent],
      success: [
        { kind: 'put', key, value: 'made' },
        { kind: 'range', range: { key } },
      ],
      failure: [{ kind: 'range', range: { key } }],
    }
    const first = await store.txn(transaction)
    const second = await store.txn(transaction)
    expect([first.succeeded, second.succeeded]).toEqual([true, false])
    expect(second.revision).toBe(first.revision)
    const [, read] = first.results
    expect(read?.kind === 'range' && read.items[0]?.value).toBe('made')
    expect(second.results[0]?.kind === 'range' && second.results[0].items.length).toBe(1)
  })

  for (const { is, value, want } of [
    { is: '=', value: 2, want: true },
    { is: '=', value: 1, want: false },
    { is: '!=', value: 1, want: true },
    { is: '<', value: 3, want: true },
    { is: '<', value: 2, want: false },
    { is: '>', value: 1, want: true },
  ] as const) {
    check(`version 2 ${is} ${value} is ${want}`, async (store, at) => {
      await put(store, `${at}a`, 'x')
      await put(store, `${at}a`, 'y')
      const compare: Compare = { range: { key: `${at}a` }, target: 'version', is, value }
      expect((await store.txn({ compare: [compare], success: [] })).succeeded).toBe(want)
    })
  }

  check('nothing equals the value of an absent key, not even nothing', async (store, at) => {
    for (const is of ['=', '!=', '<', '>'] as const) {
      const compare: Compare = { range: { key: `${at}a` }, target: 'value', is, value: '' }
      expect((await store.txn({ compare: [compare], success: [] })).succeeded).toBe(false)
    }
  })

  check('a comparison over a range asks every key of it', async (store, at) => {
    // an address may be claimed only where no block covers it, and the other way round
    const inside = { from: `${at}0a500000`, to: `${at}0a500040` }
    const empty: Compare = { range: inside, target: 'createRevision', is: '=', value: 0 }
    const success: Operation[] = [{ kind: 'put', key: `${at}block`, value: '' }]
    await put(store, `${at}0a500040`, 'beside')
    expect((await store.txn({ compare: [empty], success })).succeeded).toBe(true)
    await put(store, `${at}0a50003f`, 'inside')
    expect((await store.txn({ compare: [empty], success })).succeeded).toBe(false)
    await put(store, `${at}0a500001`, 'inside')
    const all: Compare = { range: inside, target: 'value', is: '=', value: 'inside' }
    expect((await store.txn({ compare: [all], success: [] })).succeeded).toBe(true)
    await put(store, `${at}0a500002`, 'other')
    expect((await store.txn({ compare: [all], success: [] })).succeeded).toBe(false)
  })

  check('one key is not changed twice in one transaction', async (store, at) => {
    const a: Operation = { kind: 'put', key: `${at}a`, value: '' }
    const gone: Operation = { kind: 'delete', range: { prefix: at } }
    const { revision } = await store.range({ prefix: at })
    await refused(store.txn({ success: [a, a] }), 'invalid', 'duplicate-key')
    await refused(store.txn({ success: [a, gone] }), 'invalid', 'duplicate-key')
    await refused(store.txn({ success: [gone, a] }), 'invalid', 'duplicate-key')
    await refused(store.txn({ success: [], failure: [a, a] }), 'invalid', 'duplicate-key')
    await store.txn({ success: [gone, gone] })
    expect((await store.range({ prefix: at })).revision).toBe(revision)
  })

  check('empty keys, backward ranges and more than the limits are refused', async (store, at) => {
    const many = Array.from({ length: 101 }, (_, i): Operation => {
      return { kind: 'put', key: `${at}${i}`, value: '' }
    })
    await refused(store.range({ key: '' }), 'invalid', 'empty-key')
    await refused(store.range({ from: 'b', to: 'a' }), 'invalid', undefined)
    await refused(store.txn({ success: many }), 'invalid', 'too-many-operations')
    const value = 'x'.repeat(65_536)
    await put(store, `${at}a`, value)
    await refused(put(store, `${at}a`, `${value}x`), 'invalid', 'too-large')
    expect((await store.range({ key: `${at}a` })).items[0]?.value).toBe(value)
  })

  check('what changes nothing gets no revision', async (store, at) => {
    const { revision } = await store.range({ prefix: at })
    expect(await remove(store, { prefix: at })).toBe(revision)
    expect((await store.txn({ success: [] })).revision).toBe(revision)
  })

  check('a delete says how many went', async (store, at) => {
    const keys = ['a', 'b', 'c'].map((key) => at + key)
    await store.txn({ success: keys.map((key) => ({ kind: 'put', key, value: '' })) })
    const done = await store.txn({ success: [{ kind: 'delete', range: { prefix: at } }] })
    expect(done.results).toEqual([{ kind: 'delete', deleted: 3 }])
    expect((await store.range({ prefix: at })).count).toBe(0)
  })

  check('many writers that compare and swap lose nothing', async (store, at) => {
    const key = `${at}counter`
    await put(store, key, '0')
    const increment = async (): Promise<void> => {
      for (;;) {
        const [item] = (await store.range({ key })).items
        assert(item !== undefined)
        const { succeeded } = await store.txn({
          compare: [{ range: { key }, target: 'modRevision', is: '=', value: item.modRevision }],
          success: [{ kind: 'put', key, value: String(Number(item.value) + 1) }],
        })
        if (succeeded) return
      }
    }
    await Promise.all(Array.from({ length: 10 }, increment))
    expect((await store.range({ key })).items[0]?.value).toBe('10')
  })
}
