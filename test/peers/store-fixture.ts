/** A served store with its certificates in a directory of its own, and members to call it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issueCertificate } from '../../src/pki/certificates.ts'
import type { Identity } from '../../src/pki/check.ts'
import type { TlsMaterial } from '../../src/pki/files.ts'
import { connectEtcd } from '../../src/store/etcd/client.ts'
import type { MayWrite } from '../../src/store/served/caller.ts'
import { serveStore } from '../../src/store/served/server.ts'
import { type EmbeddedStore, openEmbeddedStore } from '../../src/store/sqlite/embedded.ts'
import type { Store } from '../../src/store/store.ts'

const DAY_MS = 86_400_000

export interface ServedFixture extends AsyncDisposable {
  readonly directory: string
  readonly authority: Identity
  readonly embedded: EmbeddedStore
  readonly url: string
  /** The server's own certificate. */
  readonly server: TlsMaterial
  /** A client certificate with this common name. */
  member(commonName: string): Promise<TlsMaterial>
  /** A store that calls as this member; closed with the fixture. */
  connect(tls: TlsMaterial): Store
  /** Writes PEM for tools and returns their paths. */
  files(name: string, tls: TlsMaterial): { ca: string; cert: string; key: string }
}

export async function serveFixture(mayWrite: MayWrite = () => true): Promise<ServedFixture> {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-served-'))
  const now = new Date()
  const notAfter = new Date(now.getTime() + DAY_MS)
  const authority = await createAuthority(now)
  const ca = authority.certificate
  const server = await issueCertificate(
    authority,
    {
      commonName: 'store',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1', '::1'],
      notAfter,
      roles: ['server'],
    },
    now,
  )
  const embedded = openEmbeddedStore({ path: join(directory, 'store.db') })
  const tls = { ca, ...server }
  const served = await serveStore({
    engine: embedded.engine,
    listen: { host: '127.0.0.1', port: 0 },
    tls,
    mayWrite,
    name: 'first',
    clientUrls: () => ['https://127.0.0.1:2379'],
  })
  const url = `https://127.0.0.1:${served.address.port}`
  const stores: Store[] = []
  return {
    directory,
    authority,
    embedded,
    url,
    server: tls,
    async member(commonName) {
      const wishes = { commonName, notAfter, roles: ['client'] as const }
      return { ca, ...(await issueCertificate(authority, wishes, now)) }
    },
    connect(member) {
      const store = connectEtcd({ endpoints: [url], tls: member })
      stores.push(store)
      return store
    },
    files(name, material) {
      const paths = {
        ca: join(directory, `${name}-ca.pem`),
        cert: join(directory, `${name}.pem`),
        key: join(directory, `${name}.key`),
      }
      writeFileSync(paths.ca, material.ca)
      writeFileSync(paths.cert, material.certificate)
      writeFileSync(paths.key, material.key)
      return paths
    },
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store[Symbol.asyncDispose]()
      await served[Symbol.asyncDispose]()
      await embedded[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}
