/** Join tokens: their text, and that each use of one happens once. */

import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NetworkError } from '../lib/errors.ts'
import { keys } from '../model/keys.ts'
import { openEmbeddedStore } from '../store/sqlite/embedded.ts'
import type { Operation } from '../store/store.ts'
import { createToken, formatToken, parseToken, spendToken, type Token } from './token.ts'

const directory = mkdtempSync(join(tmpdir(), 'ckt-token-'))
const store = openEmbeddedStore({ path: join(directory, 'store.db') })
const hash = 'h'.repeat(43)
const now = new Date('2026-03-01T12:00:00Z')
const expiresAt = new Date('2026-03-01T13:00:00Z')

afterAll(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

test('what is formatted is parsed again, and is one printable line', async () => {
  const token = await createToken(store, { caHash: hash, expiresAt })
  const text = formatToken(token)
  expect(text).toMatch(/^[!-~]+$/)
  expect(parseToken(` ${text}\n`)).toEqual(token)
})

for (const { text, says } of [
  { text: '', says: 'does not begin with "carrick1."' },
  { text: 'carrick2.a.b.c', says: 'does not begin with "carrick1."' },
  { text: 'carrick1.000000000000', says: 'has 2 parts, 4 are needed' },
  { text: `carrick1.xyz.${'s'.repeat(32)}.${hash}`, says: 'id is not 12 hexadecimal digits' },
  { text: `carrick1.000000000000.${'s'.repeat(31)}.${hash}`, says: 'secret is cut' },
  { text: `carrick1.000000000000.${'s'.repeat(32)}.${hash.slice(1)}`, says: 'hash is cut' },
]) {
  test(`parseToken() of "${text.slice(0, 30)}" says: ${says}`, () => {
    expect(() => parseToken(text)).toThrow(says)
  })
}

test('the store keeps a hash of the secret, never the secret', async () => {
  const token = await createToken(store, { caHash: hash, expiresAt })
  const [item] = (await store.range({ key: keys.token(token.id) })).items
  expect(item?.value).toContain('"expiresAt":"2026-03-01T13:00:00.000Z"')
  expect(item?.value).not.toContain(token.secret)
})

test('a token is spent together with what it admits, once, however many try at a time', async () => {
  const token = await createToken(store, { caHash: hash, expiresAt })
  const outcomes = await Promise.all(
    ['a', 'b', 'c', 'd'].map((name) => tryToSpend(token, [put(`/joined/${name}`)])),
  )
  expect(outcomes.filter((outcome) => outcome === 'joined').length).toBe(1)
  expect(new Set(outcomes)).toEqual(new Set(['joined', 'unauthenticated']))
  expect((await store.range({ prefix: '/joined/' })).count).toBe(1)
})

test('a token for three hosts admits three', async () => {
  const token = await createToken(store, { caHash: hash, expiresAt, uses: 3 })
  const outcomes = await Promise.all([1, 2, 3, 4, 5].map(() => tryToSpend(token, [])))
  expect(outcomes.filter((outcome) => outcome === 'joined').length).toBe(3)
})

test('unknown and wrong secret look the same; expired is told to the one who knows', async () => {
  const token = await createToken(store, { caHash: hash, expiresAt })
  const wrong = { ...token, secret: 'x'.repeat(32) }
  const unknown = { ...token, id: '000000000000' }
  const late = new Date('2026-03-01T13:00:00Z')
  const texts = [wrong, unknown].map(async (bad) => (await refusal(bad, now)).message)
  expect(await Promise.all(texts)).toEqual(
    Array(2).fill('Cannot join with this token: it is not known here, or it was spent'),
  )
  expect((await refusal(wrong, late)).message).toContain('not known here')
  const expired = await refusal(token, late)
  expect([expired.code, expired.message]).toEqual([
    'unauthenticated',
    'Cannot join with this token: it expired at 2026-03-01T13:00:00.000Z',
  ])
  expect(await tryToSpend(token, [])).toBe('joined')
})

test('what stands in the way is a conflict, and the token stays good', async () => {
  const token = await createToken(store, { caHash: hash, expiresAt })
  await store.txn({ success: [put('/taken')] })
  const range = { key: '/taken' }
  const compare = [{ range, target: 'createRevision', is: '=', value: 0 }] as const
  const blocked = spendToken(store, token, { compare, operations: [put('/never')] }, now)
  const error = await blocked.catch((thrown: unknown) => thrown)
  expect(error instanceof NetworkError && error.code).toBe('conflict')
  expect((await store.range({ key: '/never' })).count).toBe(0)
  expect(await tryToSpend(token, [])).toBe('joined')
})

function put(key: string): Operation {
  return { kind: 'put', key, value: '' }
}

async function tryToSpend(token: Token, operations: readonly Operation[]): Promise<string> {
  try {
    await spendToken(store, token, { operations }, now)
    return 'joined'
  } catch (error) {
    if (error instanceof NetworkError) return error.code
    throw error
  }
}

async function refusal(token: Token, at: Date): Promise<NetworkError> {
  try {
    await spendToken(store, token, { operations: [] }, at)
  } catch (error) {
    if (error instanceof NetworkError) return error
    throw error
  }
  throw new Error('The token was taken')
}
