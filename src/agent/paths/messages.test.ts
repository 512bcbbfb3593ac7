import { expect, test } from 'bun:test'
import fc from 'fast-check'
import * as messages from './messages.ts'

test('readMessage() gives what was written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.nat(9000), (number, bytes) => {
      const question = messages.writeQuestion(number, bytes)
      expect(question.length).toBe(Math.max(bytes, messages.HEADER_BYTES))
      expect(messages.readMessage(question)).toEqual({ kind: 'question', number, intact: true })
      const answer = messages.writeAnswer(number, false)
      expect(messages.readMessage(answer)).toEqual({ kind: 'answer', number, intact: false })
      expect(answer.length).toBeLessThanOrEqual(question.length)
    }),
  )
})

test('readMessage() sees a question that was shortened or changed', () => {
  const question = messages.writeQuestion(7, 1000)
  const intact = (bytes: Uint8Array) => {
    const read = messages.readMessage(bytes)
    return read?.kind === 'question' ? read.intact : undefined
  }
  expect(intact(question.subarray(0, 999))).toBe(false)
  for (const at of [messages.HEADER_BYTES, 500, 999]) {
    const changed = question.slice()
    changed[at] = (changed[at] ?? 0) ^ 1
    expect(intact(changed)).toBe(false)
  }
})

test('readMessage() makes nothing of what is not ours', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(messages.readMessage(bytes)).toBeUndefined()
    }),
  )
})

test('answerStream() says whether everything came', () => {
  const stream = messages.writeStream(3, 5000)
  expect(messages.readStreamLength(stream.subarray(0, 16))).toBe(5016)
  const answer = (bytes: Uint8Array) => messages.readMessage(messages.answerStream(bytes))
  expect(answer(stream)).toEqual({ kind: 'answer', number: 3, intact: true })
  stream[4000] = 255 - (stream[4000] ?? 0)
  expect(answer(stream)).toEqual({ kind: 'answer', number: 3, intact: false })
})

test('news carries its body', () => {
  const body = Buffer.from('{"said":"x"}')
  const read = messages.readMessage(messages.writeNews(body))
  expect(read?.kind === 'news' ? Buffer.from(read.body).toString() : '').toBe('{"said":"x"}')
})
