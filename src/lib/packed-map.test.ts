import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PackedMap } from './packed-map.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const key = fc.oneof(fc.constantFrom('a', 'b', 'c', '', '\ufeff', 'ä'), text)
/** Also values that fill pages, so that pages are opened, wasted and given up. */
const value = fc.oneof(
  text,
  fc.nat(40_000).map((length) => 'x'.repeat(length)),
)
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key, value }),
  fc.record({ do: fc.constant('delete' as const), key }),
  fc.record({ do: fc.constant('many' as const), from: fc.nat(200), length: fc.nat(400) }),
  fc.record({ do: fc.constant('fewer' as const), from: fc.nat(200) }),
  fc.record({ do: fc.constant('clear' as const) }),
)

test('after any history it holds what a Map holds', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const [packed, plain] = [new PackedMap(), new Map<string, string>()]
      const set = (k: string, v: string): void => {
        packed.set(k, v)
        plain.set(k, v)
      }
      const remove = (k: string): void => {
        assert.equal(packed.delete(k), plain.delete(k))
      }
      for (const each of steps) {
        if (each.do === 'set') set(each.key, each.value)
        if (each.do === 'delete') remove(each.key)
        if (each.do === 'clear') for (const map of [packed, plain]) map.clear()
        for (let i = 0; i < 100; i++) {
          if (each.do === 'many') set(`many-${each.from + i}`, 'y'.repeat(each.length))
          if (each.do === 'fewer') remove(`many-${each.from + i}`)
        }
        assert.equal(packed.size, plain.size)
      }
      for (const k of [...plain.keys(), 'a', 'never']) assert.equal(packed.get(k), plain.get(k))
      assert.deepEqual([...packed.keys()].sort(), [...plain.keys()].sort())
      assert.deepEqual([...packed.values()].sort(), [...plain.values()].sort())
    }),
  )
})

test('what is removed while it is read does not disturb the reading', () => {
  const packed = new PackedMap()
  const keys = Array.from({ length: 5000 }, (_, i) => `key-${i}`)
  for (const each of keys) packed.set(each, 'z'.repeat(100))
  const seen: string[] = []
  for (const each of packed.keys()) {
    seen.push(each)
    packed.delete(each)
    packed.set(`new-${each}`, 'w'.repeat(50))
  }
  assert.deepEqual(seen.sort(), keys.sort())
  assert.equal(packed.size, keys.length)
})

test('a key that is too long is refused', () => {
  assert.throws(() => new PackedMap().set('k'.repeat(70_000), ''), /too long/)
})
