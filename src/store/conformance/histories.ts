/** Random histories, and whether a store answers them as the model does. */

import { expect } from 'bun:test'
import fc from 'fast-check'
import { NetworkError } from '../../lib/errors.ts'
import type {
  Compare,
  KeyRange,
  Operation,
  Store,
  Transaction,
  TransactionResult,
} from '../store.ts'
import { type Check, watched } from './kit.ts'
import { ModelStore } from './model.ts'

export function testHistories(check: Check, runs: number): void {
  check('any history: answers, old states and events are those of the model', async (store, at) => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(histories, fc.array(fc.nat(30), { maxLength: 4 }), async (history, ages) => {
        const own = `${at}${run++}/`
        await compareWithModel(store, own, history(own), ages)
      }),
      { numRuns: runs },
    )
  })
}

async function compareWithModel(
  store: Store,
  at: string,
  transactions: readonly Transaction[],
  ages: readonly number[],
): Promise<void> {
  const { revision: start } = await store.range({ prefix: at })
  const model = new ModelStore(start)
  for (const transaction of transactions) {
    expect(await outcome(() => store.txn(transaction))).toEqual(
      await outcome(async () => model.txn(transaction)),
    )
  }
  for (const age of [0, ...ages]) {
    const revision = Math.max(start, model.revision - age)
    const { items } = await store.range({ prefix: at }, { revision })
    expect(items).toEqual([...model.items({ prefix: at }, revision)])
  }
  if (model.commits.length === 0) return
  const told = await watched(store, { prefix: at }, start + 1, model.revision)
  expect(told.map(({ revision, events }) => ({ revision, events }))).toEqual(model.commits)
}

/** The answer, or the code of the refusal. */
async function outcome(work: () => Promise<TransactionResult>): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof NetworkError) return error.code
    throw error
  }
}

const keyNames = fc.constantFrom('a', 'b', 'ba', 'c', 'é')
const values = fc.constantFrom('', 'x', 'y', 'z')
type Under<T> = (at: string) => T

const ranges: fc.Arbitrary<Under<KeyRange>> = fc.oneof(
  keyNames.map((key) => (at: string) => ({ key: at + key })),
  keyNames.map((key) => (at: string) => ({ prefix: at + key })),
  fc.constant((at: string) => ({ from: `${at}b`, to: `${at}c` })),
)

const compares: fc.Arbitrary<Under<Compare>> = fc
  .record({
    range: ranges,
    is: fc.constantFrom('=', '!=', '<', '>'),
    subject: fc.oneof(
      fc.record({ target: fc.constantFrom('version', 'createRevision'), value: fc.nat(3) }),
      fc.record({ target: fc.constant('value' as const), value: values }),
    ),
  })
  .map(({ range, is, subject }) => (at: string) => ({ range: range(at), is, ...subject }))

const operations: fc.Arbitrary<Under<Operation>> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ key: keyNames, value: values }).map(
      ({ key, value }) =>
        (at: string): Operation => ({ kind: 'put', key: at + key, value }),
    ),
  },
  {
    weight: 1,
    arbitrary: ranges.map(
      (range) =>
        (at: string): Operation => ({ kind: 'delete', range: range(at) }),
    ),
  },
  {
    weight: 1,
    arbitrary: ranges.map(
      (range) =>
        (at: string): Operation => ({ kind: 'range', range: range(at) }),
    ),
  },
)

const histories: fc.Arbitrary<Under<Transaction[]>> = fc
  .array(
    fc.record({
      compare: fc.array(compares, { maxLength: 2 }),
      success: fc.array(operations, { maxLength: 4 }),
      failure: fc.array(operations, { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((list) => (at: string) => {
    return list.map(({ compare, success, failure }) => ({
      compare: compare.map((one) => one(at)),
      success: success.map((one) => one(at)),
      failure: failure.map((one) => one(at)),
    }))
  })
