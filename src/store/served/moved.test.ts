import { expect, test } from 'bun:test'
import { createAuthority } from '../../pki/certificates.ts'
import { readMoved, writeMoved } from './moved.ts'

const moved = { clusterId: 'c1', storeEndpoints: ['https://192.0.2.7:7440'], atMs: 5 }
const authority = await createAuthority(new Date())

test('readMoved() gives what writeMoved() said', () => {
  const bytes = writeMoved(moved, authority.key)
  expect(readMoved(bytes, authority.certificate)).toEqual(moved)
})

test('readMoved() believes no other authority, and nothing that was changed', async () => {
  const stranger = await createAuthority(new Date())
  const bytes = writeMoved(moved, stranger.key)
  expect(readMoved(bytes, authority.certificate)).toBeUndefined()
  const forged = Buffer.from(writeMoved(moved, authority.key))
    .toString()
    .replace('192.0.2.7', '192.0.2.8')
  expect(readMoved(Buffer.from(forged), authority.certificate)).toBeUndefined()
})

for (const text of [
  '',
  '{}',
  'null',
  '{"said":1}',
  '{"said":"x","signature":""}',
  'x'.repeat(5000),
]) {
  test(`readMoved() makes nothing of "${text.slice(0, 30)}"`, () => {
    expect(readMoved(Buffer.from(text), authority.certificate)).toBeUndefined()
  })
}
