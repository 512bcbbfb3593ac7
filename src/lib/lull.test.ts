import { expect, test } from 'bun:test'
import { Lull } from './lull.ts'

test('a lull comes after what was busy, once', async () => {
  const rests: string[] = []
  const rested = Promise.withResolvers<void>()
  let busy = 0
  using lull = new Lull(1, () => {
    rests.push(`after ${busy}`)
    rested.resolve()
  })
  const work = (): void => {
    busy++
    lull.busy()
    if (busy < 5) queueMicrotask(work)
  }
  work()
  await rested.promise
  expect(rests).toEqual(['after 5'])
})

test('what is disposed tells nobody', async () => {
  let rests = 0
  const lull = new Lull(0, () => rests++)
  lull.busy()
  lull[Symbol.dispose]()
  const later = Promise.withResolvers<void>()
  using other = new Lull(1, () => later.resolve())
  other.busy()
  await later.promise
  expect(rests).toBe(0)
})
