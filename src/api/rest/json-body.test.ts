import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isNetworkError } from '../../lib/errors.ts'
import { parseJson } from './json-body.ts'

test('parseJson() reads whatever JSON.parse reads, apart from what it refuses', () => {
  const json = fc.json({ maxDepth: 6 }).filter((text) => !/__proto__|constructor/.test(text))
  fc.assert(
    fc.property(json, fc.constantFrom(0, 2), (text, indent) => {
      const value = JSON.parse(text)
      assert.deepEqual(parseJson(JSON.stringify(value, null, indent)), value)
    }),
  )
})

test('parseJson() of any text gives a value or `invalid`', () => {
  const fragments = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '"a"',
    '\\u0061',
    '1',
    ' ',
  )
  fc.assert(
    fc.property(fc.array(fragments, { maxLength: 40 }), (parts) => {
      try {
        parseJson(parts.join(''))
      } catch (error) {
        assert.ok(isNetworkError(error, 'invalid'), String(error))
      }
    }),
  )
})

for (const { text, pointers } of [
  { text: '{"a":1,"a":2}', pointers: ['/a'] },
  { text: '{"a":{"b":1},"b":1}', pointers: [] }, // the same key on two levels
  { text: '[{"a":1},{"a":1}]', pointers: [] },
  { text: '[0,{"a":1,"\\u0061":2}]', pointers: ['/1/a'] }, // an escape hides nothing
  { text: '{"x":["a","a"]}', pointers: [] }, // values, not keys
  { text: '{"a/b":{"~":1,"~":2}}', pointers: ['/a~1b/~0'] },
  { text: '{"__proto__":1,"x":{"constructor":2}}', pointers: ['/__proto__', '/x/constructor'] },
  { text: '"__proto__"', pointers: [] },
]) {
  test(`parseJson() of ${text} refuses ${pointers.join(' ') || 'nothing'}`, () => {
    if (pointers.length === 0) {
      assert.deepEqual(parseJson(text), JSON.parse(text))
      return
    }
    assert.throws(
      () => parseJson(text),
      (error) => {
        assert.ok(isNetworkError(error, 'invalid'))
        assert.deepEqual(
          error.fields.map(({ pointer }) => pointer),
          pointers,
        )
        return true
      },
    )
  })
}

test('parseJson() takes 32 levels and refuses 33', () => {
  assert.ok(Array.isArray(parseJson('['.repeat(32) + ']'.repeat(32))))
  assert.throws(() => parseJson('['.repeat(33) + ']'.repeat(33)), /nested deeper than 32/)
})
