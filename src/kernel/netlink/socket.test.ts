import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError } from '../../lib/errors.ts'
import { NLM_F, type Request, readMessages } from './message.ts'
import { NetlinkSocket, type Transport } from './socket.ts'
import { Writer } from './writer.ts'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const EEXIST = 17

const list: Request = {
  operation: 'list links',
  type: 18,
  flags: NLM_F.DUMP,
  body: new Uint8Array(16),
}
const create = (name: string): Request => ({
  operation: `create link "${name}"`,
  type: 16,
  flags: NLM_F.CREATE,
  body: Buffer.from(name.padEnd(16)),
})

/** Answers each send with the datagrams that `answer` makes of its sequence numbers. */
function scripted(answer: (sequences: readonly number[], send: number) => readonly Uint8Array[]) {
  const waiting: Uint8Array[] = []
  const sent: (readonly number[])[] = []
  const acked: number[] = []
  const transport: Transport = {
    send(bytes) {
      const messages = [...readMessages(bytes)]
      const sequences = messages.map(({ sequence }) => sequence)
      acked.push(
        ...messages.flatMap(({ flags, sequence }) => ((flags & NLM_F.ACK) === 0 ? [] : [sequence])),
      )
      sent.push(sequences)
      waiting.push(...answer(sequences, sent.length))
    },
    receive() {
      const datagram = waiting.shift()
      if (datagram === undefined) throw new Error('nothing more was scripted')
      return datagram
    },
    [Symbol.dispose]() {},
  }
  return { socket: new NetlinkSocket(transport), sent, acked }
}

function message(type: number, sequence: number, body: Uint8Array, flags = 0): Uint8Array {
  const header = new Writer()
    .u32(16 + body.length)
    .u16(type)
    .u16(flags)
    .u32(sequence)
    .u32(0)
  return header.bytes(body).finish()
}

const link = (sequence: number, text: string, flags = 0) =>
  message(16, sequence, Buffer.from(text), flags)
const done = (sequence: number, errno = 0) =>
  message(NLMSG_DONE, sequence, new Writer().i32(-errno).finish())
const ack = (sequence: number, errno = 0, text = '') => {
  const body = new Writer().i32(-errno).bytes(new Uint8Array(16))
  if (text !== '') body.attrString(1, text)
  return message(NLMSG_ERROR, sequence, body.finish(), 0x100 | (text === '' ? 0 : 0x200))
}
const texts = (answers: readonly Uint8Array[]) =>
  answers.map((each) => Buffer.from(each).toString())

test('a list is gathered over several datagrams', () => {
  const { socket } = scripted(([sequence = 0]) => [
    Buffer.concat([link(sequence, 'aaaa'), link(sequence, 'bbbb')]),
    link(sequence, 'cccc'),
    done(sequence),
  ])
  assert.deepEqual(texts(socket.request(list)), ['aaaa', 'bbbb', 'cccc'])
})

test('an interrupted list is asked again and only the whole one is given', () => {
  const { socket, sent } = scripted(([sequence = 0], send) => [
    link(sequence, send < 3 ? 'torn' : 'good', send < 3 ? NLM_F.DUMP_INTR : 0),
    done(sequence),
  ])
  assert.deepEqual(texts(socket.request(list)), ['good'])
  assert.equal(sent.length, 3)
})

test('a list that never comes to rest is unavailable', () => {
  const { socket } = scripted(([sequence = 0]) => [
    link(sequence, 'torn', NLM_F.DUMP_INTR),
    done(sequence),
  ])
  assert.throws(
    () => socket.request(list),
    (error) => isNetworkError(error, 'unavailable'),
  )
})

test('a list can end with an error', () => {
  const { socket } = scripted(([sequence = 0]) => [done(sequence, EEXIST)])
  assert.throws(() => socket.request(list), /Cannot list links: EEXIST/)
})

test('answers to earlier requests are passed over', () => {
  const { socket } = scripted(([sequence = 0]) => [
    ack(sequence - 1, EEXIST),
    link(sequence + 7, 'alien'),
    link(sequence, 'mine'),
    ack(sequence),
  ])
  assert.deepEqual(texts(socket.request(create('a'))), ['mine'])
})

test('a refusal tells the operation, the errno and the words of the kernel', () => {
  const { socket } = scripted(([sequence = 0]) => [ack(sequence, EEXIST, 'Already here')])
  assert.throws(
    () => socket.request(create('a')),
    (error) =>
      isNetworkError(error, 'kernel') &&
      error.message === 'Cannot create link "a": Already here (EEXIST)' &&
      error.details['errno'] === 'EEXIST' &&
      error.details['ack'] === 'Already here' &&
      error.details['operation'] === 'create link "a"',
  )
})

test('a refusal the request accepts is success', () => {
  const { socket } = scripted(([sequence = 0]) => [ack(sequence, EEXIST)])
  assert.deepEqual(socket.request({ ...create('a'), accept: (errno) => errno === 'EEXIST' }), [])
})

test('batch() goes out in one send and says which request failed; only the last one is acknowledged', () => {
  const { socket, sent, acked } = scripted(([, second = 0, third = 0]) => [
    ack(second, EEXIST),
    ack(third),
  ])
  const failures = socket.batch([create('a'), create('b'), create('c')])
  assert.deepEqual(sent, [[1, 2, 3]])
  assert.deepEqual(acked, [3])
  assert.deepEqual(
    failures.map(({ request, error }) => [request, error.message]),
    [[1, 'Cannot create link "b": EEXIST']],
  )
})

const bracket = (type: number): Request => ({ ...create('begin or end'), type, flags: 0 })

test('transaction() is one send between two messages, which nobody acknowledges', () => {
  const { socket, sent, acked } = scripted(([, , second = 0]) => [ack(second)])
  socket.transaction(bracket(16), [create('a'), create('b')], bracket(17))
  assert.deepEqual(sent, [[1, 2, 3, 4]])
  assert.deepEqual(acked, [3])
  socket.transaction(bracket(16), [], bracket(17))
  assert.equal(sent.length, 1)
})

test('transaction() throws what failed first, or why there was none at all', () => {
  const { socket } = scripted(([begin = 0, first = 0, second = 0], send) =>
    send === 1 ? [ack(first, EEXIST), ack(second)] : [ack(begin, 1)],
  )
  const work = () => socket.transaction(bracket(16), [create('a'), create('b')], bracket(17))
  assert.throws(work, { message: 'Cannot create link "a": EEXIST' })
  assert.throws(work, { message: 'Cannot create link "begin or end": EPERM' })
})

test('batch() of more than fits is sent in parts, counted through', () => {
  const { socket, sent } = scripted((sequences) =>
    sequences.flatMap((sequence, i) => {
      if (sequence === 1000) return [ack(sequence, EEXIST)]
      return i === sequences.length - 1 ? [ack(sequence)] : []
    }),
  )
  const failures = socket.batch(Array.from({ length: 1200 }, (_, i) => create(`${i}`)))
  assert.equal(sent.flat().length, 1200)
  assert.ok(sent.length > 1)
  assert.deepEqual(
    failures.map(({ request }) => request),
    [999],
  )
})

test('a malformed tail of a datagram is left out', () => {
  const { socket } = scripted(([sequence = 0]) => [
    Buffer.concat([link(sequence, 'good'), Buffer.from([200, 0, 0, 0, 16, 0])]),
    done(sequence),
  ])
  assert.deepEqual(texts(socket.request(list)), ['good'])
})
