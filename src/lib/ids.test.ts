import { expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { isId, newId, randomBelow } from './ids.ts'

test('an id is 26 lower-case letters and digits, and sorts by its time', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 47), fc.nat(2 ** 47), (a, b) => {
      const [x, y] = [newId(a, randomBytes), newId(b, randomBytes)]
      expect(x).toMatch(/^[0-9a-z]{26}$/)
      expect(isId(x)).toBe(true)
      if (a !== b) expect(x < y).toBe(a < b)
    }),
  )
})

test('ids made in the same millisecond differ', () => {
  const ids = new Set(Array.from({ length: 1000 }, () => newId(1, randomBytes)))
  expect(ids.size).toBe(1000)
})

test('randomBelow() stays below its limit', () => {
  for (let i = 0; i < 200; i++) expect(randomBelow(3, randomBytes)).toBeLessThan(3)
})

test('every bit of chance counts', () => {
  const ids = new Set<string>()
  for (let bit = 0; bit < 80; bit++) {
    const bytes = new Uint8Array(10)
    bytes[bit >> 3] = 1 << (bit & 7)
    ids.add(newId(1, () => bytes))
  }
  expect(ids.size).toBe(80)
})
