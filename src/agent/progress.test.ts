import { expect, test } from 'bun:test'
import { Progress } from './progress.ts'

test('a commit is applied when its flush has ended, whatever is still under way before it', () => {
  const progress = new Progress()
  const detach = progress.begin(5)
  const attach = progress.begin(6)
  expect(progress.has(6)).toBe(false)
  progress.end(attach)
  expect(progress.has(6)).toBe(true)
  expect(progress.has(5)).toBe(false)
  expect(progress.upTo).toBe(0)
  progress.end(detach)
  expect(progress.has(5)).toBe(true)
  expect(progress.upTo).toBe(6)
  expect(progress.has(7)).toBe(false)
})

test('a flush without a new commit holds nobody up', () => {
  const progress = new Progress()
  progress.end(progress.begin(3))
  const again = progress.begin(3)
  expect(progress.has(3)).toBe(true)
  expect(progress.isIdle).toBe(false)
  progress.end(again)
  expect(progress.isIdle).toBe(true)
})
