import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isDump, NLM_F, readAck, readMessages, writeMessage } from './message.ts'
import { Attributes, eachAttribute } from './reader.ts'
import { Writer } from './writer.ts'

const bytes = fc.uint8Array({ maxLength: 64 })
const type = fc.integer({ min: 1, max: 200 })

test('what Writer writes as attributes, eachAttribute() gives back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ type, payload: bytes }, { noNullPrototype: true })),
      (list) => {
        const writer = new Writer()
        for (const each of list) writer.attr(each.type, each.payload)
        const read = [...eachAttribute(writer.finish())].map((each) => ({
          type: each.type,
          payload: Uint8Array.from(each.payload),
        }))
        assert.deepEqual(read, list)
      },
    ),
  )
})

test('a nested attribute is as long as its inside', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(0xffff_ffff), (text, number) => {
      fc.pre(!text.includes('\0'))
      const writer = new Writer()
      writer.nested(5, () => writer.nested(6, () => writer.attrString(1, text)).attrU32(2, number))
      writer.attrU8(7, 9)
      const read = new Attributes(writer.finish())
      assert.equal(read.nested(5).nested(6).string(1), text)
      assert.equal(read.nested(5).u32(2), number)
      assert.equal(read.u8(7), 9)
    }),
  )
})

test('Attributes of any bytes can be asked anything', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), type, (noise, asked) => {
      const read = new Attributes(noise)
      read.u8(asked)
      read.u16BE(asked)
      read.u32(asked)
      read.i32(asked)
      read.string(asked)
      read.ip(asked)
      read.nested(asked).u32(asked)
    }),
  )
})

test('what writeMessage() writes, readMessages() gives back, one behind the other', () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 5 }), (bodies) => {
      const datagram = Buffer.concat(
        bodies.map((body, i) =>
          writeMessage({ operation: '', type: 16, flags: 0, body }, i + 1, true),
        ),
      )
      const read = [...readMessages(datagram)]
      assert.deepEqual(
        read.map(({ body }) => Uint8Array.from(body)),
        bodies,
      )
      assert.deepEqual(
        read.map(({ sequence }) => sequence),
        bodies.map((_, i) => i + 1),
      )
    }),
  )
})

test('readMessages() and readAck() take any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      for (const message of readMessages(noise)) readAck({ ...message, type: 2 })
      readAck({ type: 2, flags: 0x300, sequence: 1, body: noise })
      readAck({ type: 3, flags: 0x300, sequence: 1, body: noise })
    }),
  )
})

test('a message asks for an acknowledgement where it should', () => {
  const request = { operation: '', type: 16, flags: NLM_F.CREATE, body: new Uint8Array(0) }
  const flagsOf = (acked: boolean) => [...readMessages(writeMessage(request, 1, acked))][0]?.flags
  assert.equal(flagsOf(true), NLM_F.CREATE | NLM_F.REQUEST | NLM_F.ACK)
  assert.equal(flagsOf(false), NLM_F.CREATE | NLM_F.REQUEST)
})

test('a list is told by its flags, but not from a change that has the same bits', () => {
  assert.ok(isDump({ type: 18, flags: NLM_F.DUMP }))
  assert.ok(!isDump({ type: 18, flags: 0 }))
  assert.ok(!isDump({ type: 16, flags: NLM_F.REPLACE | NLM_F.EXCL }))
})
