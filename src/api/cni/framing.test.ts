import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readFramed, writeFramed } from './framing.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

test('readFramed() takes variables and standard input as they are', () => {
  assert.deepEqual(readFramed(bytes('CNI_COMMAND=ADD\0CNI_ARGS=a=b;c=\0CNI_NETNS=\0\0{"ü":1}\0')), {
    version: 1,
    environment: { CNI_COMMAND: 'ADD', CNI_ARGS: 'a=b;c=', CNI_NETNS: '' },
    stdin: '{"ü":1}\0',
  })
})

test('readFramed() takes no variables and nothing on standard input', () => {
  assert.deepEqual(readFramed(bytes('\0')), { version: 1, environment: {}, stdin: '' })
})

for (const [what, body] of [
  ['nothing', bytes('')],
  ['variables without end', bytes('CNI_COMMAND=ADD\0')],
  ['a variable without value', bytes('CNI_COMMAND\0\0{}')],
  ['a variable without name', bytes('=ADD\0\0{}')],
  ['what is not UTF-8', new Uint8Array([0, 0xff, 0xfe])],
  ['a variable that is not UTF-8', new Uint8Array([0x41, 0x3d, 0xff, 0, 0])],
] as const) {
  test(`readFramed() refuses ${what}`, () => assert.equal(readFramed(body), undefined))
}

test('writeFramed() ends each of three texts by a zero', async () => {
  assert.equal(await writeFramed({ stdout: '{}', exit: 0 }).text(), '0\0{}\0\0')
  assert.equal(await writeFramed({ stdout: '', stderr: 'hm', exit: 11 }).text(), '11\0\0hm\0')
})
