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

 4 pass
 2 fail
`

test('each failed test is told with its file, its errors and why it was ended', () => {
  expect(failuresIn(RUN)).toBe(`a.test.ts:
error: expect(received).toBe(expected)
(fail) second [0.50ms]

b.test.ts:
(fail) fifth [100.33ms]
  ^ this test timed out after 100ms.`)
})

test('the middle of a long difference is left out', () => {
  const lines = Array.from({ length: 99 }, (_, at) => `line ${at}`)
  const told = failuresIn(`a.test.ts:\n${lines.join('\n')}\n(fail) long\n`).split('\n')
  expect(told).toHaveLength(62)
  expect(told[31]).toBe('… 40 lines …')
  expect(told.at(-1)).toBe('(fail) long')
})

test('of a step that names no test, its last lines are told', () => {
  const lines = Array.from({ length: 99 }, (_, at) => `line ${at}`)
  expect(failuresIn(lines.join('\n')).split('\n')).toEqual(lines.slice(-40))
})
