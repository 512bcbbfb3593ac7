import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { interleave, type Measurement } from './interleave.ts'
import { type Bound, median, meets, quantile } from './rows.ts'

test('median() is the middle, or the mean of the two middle values', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
})

test('quantile() is by nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index)
  assert.equal(quantile(values, 0.5), 50)
  assert.equal(quantile(values, 0.99), 99)
  assert.equal(quantile([7], 0.99), 7)
})

test('interleave() goes round by round, there and back, and takes ratios within a round', async () => {
  const order: string[] = []
  const subject = (name: string, values: readonly number[], against?: string): Measurement => {
    const left = [...values]
    return {
      paths: ['p', 'q'].slice(0, name === 'wire' ? 2 : 1),
      metric: 'm',
      unit: 'u',
      subject: name,
      ...(against === undefined ? {} : { against }),
      measure: async () => {
        order.push(name)
        return left.shift() ?? Number.NaN
      },
    }
  }
  // The machine is twice as fast in the second round: a ratio of medians would be off, this is not.
  const rows = await interleave(
    [subject('wire', [100, 200, 100]), subject('carrick', [90, 160, 80], 'wire')],
    { suite: 's', rounds: 3, settle: async () => {}, progress: () => {} },
  )
  assert.deepEqual(order, ['wire', 'carrick', 'carrick', 'wire', 'wire', 'carrick'])
  const common = { suite: 's', metric: 'm', unit: 'u', runs: 3 }
  assert.deepEqual(rows, [
    { ...common, path: 'p', subject: 'wire', median: 100, against: null, ratio: null },
    { ...common, path: 'q', subject: 'wire', median: 100, against: null, ratio: null },
    { ...common, path: 'p', subject: 'carrick', median: 90, against: 'wire', ratio: 0.8 },
  ])
  const bound = {
    path: 'p',
    metric: 'm',
    subject: 'carrick',
    what: 'ratio',
    is: 'at least',
  } as const
  const of = (value: number): readonly Bound[] => [{ ...bound, value }]
  assert.deepEqual(
    rows.map((row) => meets(row, of(0.8))),
    [undefined, undefined, true],
  )
  assert.deepEqual(
    rows.map((row) => meets(row, of(0.9))),
    [undefined, undefined, false],
  )
})
