import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readAnswer, writePost } from './http.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

test('writePost() counts bytes, not characters', () => {
  assert.equal(
    new TextDecoder().decode(writePost('/cni/v1', '"ü"')),
    'POST /cni/v1 HTTP/1.1\r\nhost: carrick\r\ncontent-type: application/json\r\ncontent-length: 4\r\nconnection: close\r\n\r\n"ü"',
  )
})

const COUNTED = 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\n"ü"'
const CHUNKED =
  'HTTP/1.1 404 \r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\n{}\r\nA\r\n0123456789\r\n0\r\n\r\n'

for (const [name, text, want] of [
  ['a counted body', COUNTED, { status: 200, body: '"ü"' }],
  ['no body', 'HTTP/1.1 204 No\r\ncontent-length:0\r\n\r\n', { status: 204, body: '' }],
  ['more than there should be', `${COUNTED}x`, { status: 200, body: '"ü"' }],
  ['chunks', CHUNKED, { status: 404, body: '{}0123456789' }],
  ['nothing', '', 'more'],
  ['something else', 'SSH-2.0-OpenSSH\r\n', undefined],
  ['another version', 'HTTP/2 200\r\n\r\n', undefined],
  ['no status', 'HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n', undefined],
  ['a provisional status', 'HTTP/1.1 100 Go on\r\n\r\n', undefined],
  ['a body of unknown length', 'HTTP/1.1 200 OK\r\n\r\n{}', undefined],
  ['an odd length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}', undefined],
  ['an odd chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', undefined],
] as const) {
  test(`readAnswer() of ${name}`, () => assert.deepEqual(readAnswer(bytes(text)), want))
}

for (const whole of [COUNTED, CHUNKED]) {
  test(`readAnswer() waits for the end of ${whole.slice(9, 12)}`, () => {
    const all = bytes(whole)
    const last = whole === CHUNKED ? all.length - 4 : all.length - 1 // the end of the last chunk’s line is enough
    for (let length = 0; length <= last; length++) {
      assert.equal(readAnswer(all.subarray(0, length)), 'more', `${length} bytes`)
    }
  })
}
