/** Joining over loopback: the right cluster, and everybody who only says so. */

import { afterAll, expect, test } from 'bun:test'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { type ErrorCode, NetworkError } from '../../lib/errors.ts'
import { isId } from '../../lib/ids.ts'
import { silentLog } from '../../lib/log.ts'
import { keys } from '../../model/keys.ts'
import { commonNameOf, createAuthority, issueCertificate } from '../../pki/certificates.ts'
import { caHash, type Identity } from '../../pki/check.ts'
import { createToken, formatToken } from '../../pki/token.ts'
import { openEmbeddedStore } from '../sqlite/embedded.ts'
import { BadTokens } from './bad-tokens.ts'
import { type JoinDoor, openJoinDoor } from './join.ts'
import { joinCluster, type Membership } from './join-client.ts'

const directory = mkdtempSync(join(tmpdir(), 'ckt-join-'))
const store = openEmbeddedStore({ path: join(directory, 'store.db') })
const now = new Date()
const tomorrow = new Date(now.getTime() + 86_400_000)
const authority = await createAuthority(now)
const doors: JoinDoor[] = []
let admitted = 0

afterAll(async () => {
  for (const door of doors) await door[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

async function identity(ca: Identity, role: 'server' | 'client'): Promise<Identity> {
  return issueCertificate(ca, { commonName: 'door', notAfter: tomorrow, roles: [role] }, now)
}

/** A door that shows this authority and speaks TLS as this identity. */
async function doorWith(shown: Identity, speaking: Identity): Promise<string> {
  const door = await openJoinDoor({
    listen: { host: '127.0.0.1', port: 0 },
    tls: { ca: shown.certificate, ...speaking },
    authority: shown,
    store,
    clusterId: 'cluster-1',
    storeEndpoints: () => ['https://192.0.2.1:2379'],
    admit: ({ hostId, name }) => {
      admitted++
      const operation = { kind: 'put', key: keys.host(hostId), value: name } as const
      return { operations: [operation] }
    },
    now: () => new Date(),
    log: silentLog,
  })
  doors.push(door)
  return `127.0.0.1:${door.address.port}`
}

async function newToken(): Promise<string> {
  return formatToken(
    await createToken(store, { caHash: caHash(authority.certificate), expiresAt: tomorrow }),
  )
}

const address = await doorWith(authority, await identity(authority, 'server'))

test('a host joins: id, certificate for it, where the store is', async () => {
  const member = await joinCluster({ address, token: await newToken(), name: 'web-1', now })
  expect(isId(member.hostId)).toBe(true)
  expect(commonNameOf(member.tls.certificate)).toBe(member.hostId)
  expect(member.tls.ca).toBe(authority.certificate)
  expect(member.clusterId).toBe('cluster-1')
  expect(member.storeEndpoints).toEqual(['https://192.0.2.1:2379'])
  const [record] = (await store.range({ key: keys.host(member.hostId) })).items
  expect(record?.value).toBe('web-1')
})

test('a token admits once', async () => {
  const token = await newToken()
  await joinCluster({ address, token, name: 'web', now })
  expect(await refusedWith({ token })).toBe('unauthenticated')
})

test('an id that is in use stays with its owner, and the token stays good', async () => {
  const hostId = '01hqzzzzzzzzzzzzzzzzzzzzzz'
  await joinCluster({ address, token: await newToken(), name: 'a', hostId, now })
  const token = await newToken()
  expect(await refusedWith({ token, hostId })).toBe('conflict')
  await joinCluster({ address, token, name: 'b', now })
})

for (const { who, shown, speaking } of [
  { who: 'another cluster', shown: 'other', speaking: 'other' },
  { who: 'one who copied the authority certificate', shown: 'right', speaking: 'other' },
] as const) {
  test(`${who} does not learn the secret`, async () => {
    const other = await createAuthority(now)
    const before = admitted
    const posing = await doorWith(
      shown === 'right' ? authority : other,
      await identity(speaking === 'other' ? other : authority, 'server'),
    )
    expect(await refusedWith({ address: posing, token: await newToken() })).toBe('unauthenticated')
    expect(admitted).toBe(before)
  })
}

test('a member of the cluster that poses as the door does not learn the secret', async () => {
  const before = admitted
  const posing = await doorWith(authority, await identity(authority, 'client'))
  expect(await refusedWith({ address: posing, token: await newToken() })).toBe('unauthenticated')
  expect(admitted).toBe(before)
})

test('where certificates are asked for is not the door: the store may be there', async () => {
  const { certificate: cert, key } = await identity(authority, 'server')
  const ca = authority.certificate
  const store = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true })
  await once(store.listen(0, '127.0.0.1'), 'listening')
  try {
    const { port } = store.address() as AddressInfo
    const joining = joinCluster({
      ...{ address: `127.0.0.1:${port}`, token: await newToken(), name: 'web', now },
    })
    await expect(joining).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('as where the store is served'),
      hint: expect.stringContaining('7441'),
    })
  } finally {
    store.close()
  }
})

test('nobody there is unavailable, no address is invalid', async () => {
  expect(await refusedWith({ address: '127.0.0.1:1', token: await newToken() })).toBe('unavailable')
  expect(await refusedWith({ address: 'not an address', token: await newToken() })).toBe('invalid')
  expect(await refusedWith({ token: 'carrick1.x' })).toBe('invalid')
})

test('malformed requests are answered with the field that is wrong', async () => {
  const token = await newToken()
  for (const { body, says } of [
    { body: '{', says: 'no JSON' },
    { body: '[]', says: '"token"' },
    { body: JSON.stringify({ token, csr: 'x', name: 'Not A Name' }), says: '"name"' },
    { body: JSON.stringify({ token, csr: 'x', name: 'a', hostId: '../b' }), says: '"hostId"' },
    { body: JSON.stringify({ token, csr: 'x', name: 'a' }), says: 'certificate request' },
    { body: ' '.repeat(70_000), says: 'exceeds' },
  ]) {
    const { status, text } = await post(body)
    expect(status).toBe(400)
    expect((JSON.parse(text) as { detail: string }).detail).toContain(says)
  }
})

test('who tries many wrong tokens waits, and is then heard again', () => {
  const tried = new BadTokens()
  for (let i = 0; i < 10; i++) {
    expect(tried.secondsToWait('192.0.2.1', 1_000_000)).toBe(0)
    tried.count('192.0.2.1', 1_000_000)
  }
  expect(tried.secondsToWait('192.0.2.1', 1_030_000)).toBe(30)
  expect(tried.secondsToWait('192.0.2.2', 1_030_000)).toBe(0)
  expect(tried.secondsToWait('192.0.2.1', 1_060_000)).toBe(0)
  for (let i = 0; i < 100; i++) tried.count(`198.51.100.${i}`, 1_060_000)
  expect(tried.secondsToWait('192.0.2.2', 1_060_000)).toBe(60)
})

test('the door closes for an address after ten wrong tokens', async () => {
  const busy = await doorWith(authority, await identity(authority, 'server'))
  const wrong = (await newToken()).replace(/\.[^.]{32}\./, `.${'x'.repeat(32)}.`)
  for (let i = 0; i < 10; i++) {
    expect(await refusedWith({ address: busy, token: wrong })).toBe('unauthenticated')
  }
  expect(await refusedWith({ address: busy, token: wrong })).toBe('unavailable')
})

async function refusedWith(options: {
  readonly address?: string
  readonly token: string
  readonly hostId?: string
}): Promise<ErrorCode> {
  let member: Membership
  try {
    member = await joinCluster({ address, name: 'web', now, ...options })
  } catch (error) {
    if (error instanceof NetworkError) return error.code
    throw error
  }
  throw new Error(`${member.hostId} joined`)
}

function post(body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      ca: authority.certificate,
      checkServerIdentity: () => undefined,
    }
    const call = httpsRequest(`https://${address}/v1/join`, options, (response) => {
      let text = ''
      response.on('data', (piece: Buffer) => {
        text += piece.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.on('error', reject)
    call.end(body)
  })
}
