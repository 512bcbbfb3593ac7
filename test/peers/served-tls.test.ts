/** Who gets through the door of the served store, and who does not. */

import { afterAll, expect, test } from 'bun:test'
import { connect } from 'node:http2'
import { isNetworkError } from '../../src/lib/errors.ts'
import { createAuthority, issueCertificate } from '../../src/pki/certificates.ts'
import type { TlsMaterial } from '../../src/pki/files.ts'
import { connectEtcd } from '../../src/store/etcd/client.ts'
import { serveStore } from '../../src/store/served/server.ts'
import { openEmbeddedStore } from '../../src/store/sqlite/embedded.ts'
import { serveFixture } from './store-fixture.ts'

const DAY_MS = 86_400_000
const fixture = await serveFixture((commonName, key) => key.startsWith(`/own/${commonName}/`))
const now = new Date()
const tomorrow = new Date(now.getTime() + DAY_MS)

afterAll(() => fixture[Symbol.asyncDispose]())

async function refused(tls: TlsMaterial): Promise<void> {
  await using store = connectEtcd({ endpoints: [fixture.url], tls, timeoutMs: 1000 })
  const error = await store.range({ prefix: '/' }).catch((thrown: unknown) => thrown)
  expect(isNetworkError(error, 'unavailable')).toBe(true)
}

test('a certificate of another authority is refused', async () => {
  const other = await createAuthority(now)
  const wishes = { commonName: 'host-a', notAfter: tomorrow, roles: ['client'] as const }
  const foreign = await issueCertificate(other, wishes, now)
  await refused({ ca: fixture.authority.certificate, ...foreign })
})

test('an expired certificate is refused', async () => {
  const then = new Date(now.getTime() - 2 * DAY_MS)
  const notAfter = new Date(now.getTime() - DAY_MS)
  const wishes = { commonName: 'host-a', notAfter, roles: ['client'] as const }
  const expired = await issueCertificate(fixture.authority, wishes, then)
  await refused({ ca: fixture.authority.certificate, ...expired })
})

test('no certificate at all is refused', async () => {
  const session = connect(fixture.url, { ca: fixture.authority.certificate })
  const outcome = await new Promise<string>((resolve) => {
    session.on('error', () => resolve('refused'))
    const request = session.request({ ':path': '/etcdserverpb.KV/Range', ':method': 'POST' })
    request.on('response', () => resolve('answered'))
    request.on('error', () => resolve('refused'))
    request.end()
  })
  session.destroy()
  expect(outcome).toBe('refused')
})

test('a client does not speak with a store of another authority', async () => {
  const member = await fixture.member('host-a')
  const other = await createAuthority(now)
  await refused({ ...member, ca: other.certificate })
})

test('a client does not take a member for the store', async () => {
  const member = await fixture.member('host-a')
  await using embedded = openEmbeddedStore({ path: `${fixture.directory}/posing.db` })
  await using posing = await serveStore({
    engine: embedded.engine,
    listen: { host: '127.0.0.1', port: 0 },
    tls: member,
    mayWrite: () => true,
    name: 'posing',
    clientUrls: () => [],
  })
  const endpoints = [`https://127.0.0.1:${posing.address.port}`]
  await using store = connectEtcd({ endpoints, tls: member, timeoutMs: 1000 })
  const error = await store.range({ prefix: '/' }).catch((thrown: unknown) => thrown)
  expect(isNetworkError(error, 'unavailable')).toBe(true)
})

test('the name in the certificate decides what is written', async () => {
  const a = fixture.connect(await fixture.member('host-a'))
  await a.txn({ success: [{ kind: 'put', key: '/own/host-a/x', value: '' }] })
  const foreign = a.txn({ success: [{ kind: 'put', key: '/own/host-b/x', value: '' }] })
  const error = await foreign.catch((thrown: unknown) => thrown)
  expect(isNetworkError(error, 'forbidden')).toBe(true)
  await a.txn({ success: [{ kind: 'delete', range: { prefix: '/own/' } }] })
  expect((await a.range({ prefix: '/own/' })).count).toBe(0)
})

test('a client finds a store that went away and came back', async () => {
  const path = `${fixture.directory}/restarted.db`
  const serve = async (port: number): Promise<AsyncDisposable & { readonly port: number }> => {
    const embedded = openEmbeddedStore({ path })
    const served = await serveStore({
      engine: embedded.engine,
      listen: { host: '127.0.0.1', port },
      tls: fixture.server,
      mayWrite: () => true,
      name: 'restarted',
      clientUrls: () => [],
    })
    return {
      port: served.address.port,
      async [Symbol.asyncDispose]() {
        await served[Symbol.asyncDispose]()
        await embedded[Symbol.asyncDispose]()
      },
    }
  }
  const first = await serve(0)
  const endpoints = [`https://127.0.0.1:${first.port}`]
  const tls = await fixture.member('host-a')
  await using store = connectEtcd({ endpoints, tls, timeoutMs: 3000 })
  await store.txn({ success: [{ kind: 'put', key: '/k', value: 'kept' }] })
  const signal = AbortSignal.timeout(30_000)
  let broke: unknown
  try {
    for await (const _ of store.watch({ range: { key: '/k' }, signal })) {
      await first[Symbol.asyncDispose]()
    }
  } catch (error) {
    broke = error
  }
  expect(isNetworkError(broke, 'unavailable')).toBe(true)
  const away = await store.range({ key: '/k' }).catch((thrown: unknown) => thrown)
  expect(isNetworkError(away, 'unavailable')).toBe(true)
  await using _second = await serve(first.port)
  expect((await store.range({ key: '/k' })).items[0]?.value).toBe('kept')
}, 60_000)

test('a store that was closed does not connect again', async () => {
  const store = connectEtcd({ endpoints: [fixture.url], tls: await fixture.member('host-a') })
  await store.range({ prefix: '/' })
  await store[Symbol.asyncDispose]()
  const error = await store.range({ prefix: '/' }).catch((thrown: unknown) => thrown)
  expect(String(error)).toContain('it was closed')
})

test('a watcher that does not read for a while gets everything, from the history', async () => {
  const a = fixture.connect(await fixture.member('host-a'))
  const value = 'z'.repeat(60_000)
  const write = async (name: string): Promise<number> => {
    const success = [{ kind: 'put', key: `/own/host-a/${name}`, value }] as const
    return (await fixture.embedded.txn({ success })).revision
  }
  const fromRevision = await write('first')
  const signal = AbortSignal.timeout(30_000)
  let told = 0
  for await (const batch of a.watch({ range: { prefix: '/own/' }, fromRevision, signal })) {
    expect(batch).toMatchObject({ kind: 'events', revision: fromRevision + told })
    told++
    // 12 MB while nobody reads: more than is kept in memory for watches
    if (told === 1) for (let i = 0; i < 200; i++) await write(String(i))
    if (told === 201) break
  }
  expect(told).toBe(201)
}, 60_000)
