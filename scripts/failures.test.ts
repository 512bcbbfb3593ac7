import { expect, test } from 'bun:test'
import { failuresIn } from './failures.ts'

const RUN = `bun test v1.4.5

a.test.ts:
(pass) first [0.06ms]
error: expect(received).toBe(expected)
(fail) second [0.50ms]
(pass) third [0.03ms]

b.test.ts:
(pass) fourth [0.05ms]
(fail) fifth [100.33ms]
  ^ this test timed out after 100ms.
(pass) sixth [0.02ms]


2 tests failed:
(fail) second [0.50ms]
(fail) fifth [100.33ms]
  ^ this test timed out after 100ms.

 4 pass
 2 fail
`

test('each failed test is told with its file, its errors and why it was ended, and again in short', () => {
  expect(failuresIn(RUN)).toBe(`a.test.ts:
error: expect(received).toBe(expected)
(fail) second [0.50ms]

b.test.ts:
(fail) fifth [100.33ms]
  ^ this test timed out after 100ms.

in short:
a.test.ts: second [0.50ms]
  error: expect(received).toBe(expected)
b.test.ts: fifth [100.33ms]
  ^ this test timed out after 100ms.`)
})

test('the middle of a long difference is left out', () => {
  const lines = Array.from({ length: 99 }, (_, at) => `line ${at}`)
  const told = failuresIn(`a.test.ts:\n${lines.join('\n')}\n(fail) long\n`).split('\n')
  expect(told.slice(31, 33)).toEqual(['… 40 lines …', 'line 70'])
  expect(told.slice(-4)).toEqual(['(fail) long', '', 'in short:', 'a.test.ts: long'])
})

test('of a step that names no test, its last lines are told', () => {
  const lines = Array.from({ length: 99 }, (_, at) => `line ${at}`)
  expect(failuresIn(lines.join('\n')).split('\n')).toEqual(lines.slice(-40))
})
