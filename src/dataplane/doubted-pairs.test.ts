import { expect, test } from 'bun:test'
import { DoubtedPairs } from './doubted-pairs.ts'

test('only what the last notice showed to be wrong is looked at, once for all of a flock', async () => {
  const looked: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const pairs = new DoubtedPairs(1, (name) => {
    looked.push(name)
    if (name === 'ckc') resolve()
  })
  for (const [name, sound] of [
    ['cka', false],
    ['ckb', false],
    ['ckb', true],
    ['cka', false],
    ['ckd', true],
    ['ckc', false],
  ] as const) {
    pairs.hear(name, sound)
  }
  await promise
  expect(looked).toEqual(['cka', 'ckc'])
})

test('after the end nobody is asked', async () => {
  const looked: string[] = []
  const pairs = new DoubtedPairs(0, (name) => looked.push(name))
  pairs.hear('cka', false)
  pairs.stop()
  await new Promise((resolve) => setTimeout(resolve))
  expect(looked).toEqual([])
})
