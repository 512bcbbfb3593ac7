/**
 * The shared store this host uses: etcd where the settings name one, the first host's store where this host
 * joined it, else its own, which it also serves to those that will join. Whoever asks gets a Store and
 * cannot tell which. Only the packages of the one that is used are loaded: they cost megabytes.
 */

import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { keys, ownerOf } from '../model/keys.ts'
import type { IP } from '../net/ip.ts'
import { caHash, type Identity } from '../pki/check.ts'
import {
  readAuthority,
  readTlsMaterial,
  type TlsMaterial,
  writeAuthorityCertificate,
  writeIdentity,
} from '../pki/files.ts'
import { type Membership, writeMembership } from './membership.ts'
import { readMoved, writeMoved } from './served/moved.ts'
import type { Store } from './store.ts'

const SERVER_DAYS = 397
const DAY_MS = 86_400_000

export interface Place {
  readonly address: string
  readonly port: number
}

export interface SharedStoreOptions {
  readonly stateDir: string
  readonly hostId: string
  readonly hostName: string
  /** Where this host is now, the preferred address first. */
  readonly underlay: () => readonly IP[]
  readonly etcd?: {
    readonly endpoints: readonly Place[]
    readonly caFile?: string | undefined
    readonly certFile?: string | undefined
    readonly keyFile?: string | undefined
  }
  readonly membership: Membership | undefined
  readonly listen: Place
  readonly joinListen: Place
  readonly now: () => Date
  readonly log: Log
}

export interface SharedStore extends AsyncDisposable {
  readonly kind: 'embedded' | 'joined' | 'etcd'
  /** Where it is now, for people. */
  readonly address: string
  readonly store: Store
  /**
   * This host has another underlay: what it serves is certified for it, what it asks is asked from there.
   * Gives the datagram that tells the members where their store is now, if that is this host's to say.
   */
  moved(): Promise<Uint8Array | undefined>
  /** Takes such a datagram: the store is asked there from now on. Content when it is not to be believed. */
  hear(datagram: Uint8Array): void
  /** Lets newcomers in; needs the cluster's record, so that it comes after the host is registered. */
  openDoor(): Promise<void>
  /** Makes a join token; `unsupported` with an etcd of the operator's own. */
  createToken(ttlSeconds: number): Promise<{ id: string; text: string; expiresAt: string }>
  /** Gives up what a store elsewhere has not answered yet; every later call fails at once. */
  hangUp(): void
}

export async function openSharedStore(options: SharedStoreOptions): Promise<SharedStore> {
  if (options.etcd !== undefined) return openEtcd(options.etcd)
  if (options.membership !== undefined) return openJoined(options, options.membership)
  return openOwn(options)
}

async function openEtcd(etcd: NonNullable<SharedStoreOptions['etcd']>): Promise<SharedStore> {
  const { connectEtcd } = await import('./etcd/client.ts')
  const { caFile, certFile, keyFile } = etcd
  const files = [caFile, certFile, keyFile].filter((file) => file !== undefined)
  if (files.length !== 0 && files.length !== 3) {
    throw new NetworkError(
      'invalid',
      'Cannot use TLS with etcd: storeCa, storeCert and storeKey are needed together',
    )
  }
  const [ca, certificate, key] = files.map(readPem)
  const tls: TlsMaterial | undefined =
    ca === undefined || certificate === undefined || key === undefined
      ? undefined
      : { ca, certificate, key }
  const scheme = tls === undefined ? 'http' : 'https'
  const endpoints = etcd.endpoints.map(({ address, port }) => url(scheme, address, port))
  const store = connectEtcd({ endpoints, ...(tls === undefined ? {} : { tls }) })
  return {
    kind: 'etcd',
    address: endpoints.join(','),
    store,
    async moved() {
      store.moveTo(endpoints)
      return undefined
    },
    hear() {},
    async openDoor() {},
    async createToken() {
      throw new NetworkError(
        'unsupported',
        'Cannot make a join token: hosts use etcd by their own settings',
        { hint: 'start the other hosts with the same --store' },
      )
    },
    hangUp: () => void store[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

async function openJoined(
  options: SharedStoreOptions,
  membership: Membership,
): Promise<SharedStore> {
  const { connectEtcd } = await import('./etcd/client.ts')
  const { clusterId, tls } = membership
  let { storeEndpoints } = membership
  let heardAtMs = 0
  const store = connectEtcd({ endpoints: storeEndpoints, tls })
  return {
    kind: 'joined',
    get address() {
      return storeEndpoints.join(',')
    },
    store,
    async moved() {
      store.moveTo(storeEndpoints)
      return undefined
    },
    hear(datagram) {
      const moved = readMoved(datagram, tls.ca)
      if (moved === undefined || moved.clusterId !== clusterId || moved.atMs <= heardAtMs) return
      heardAtMs = moved.atMs
      if (moved.storeEndpoints.join() === storeEndpoints.join()) return
      storeEndpoints = moved.storeEndpoints
      options.log.info('store moved', { store: storeEndpoints.join(',') })
      writeMembership(options.stateDir, { ...membership, storeEndpoints })
      store.moveTo(storeEndpoints)
    },
    async openDoor() {},
    createToken: (ttlSeconds) => tokenOf(store, membership.tls.ca, ttlSeconds, options.now()),
    hangUp: () => void store[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

async function openOwn(options: SharedStoreOptions): Promise<SharedStore> {
  const [{ openEmbeddedStore }, { serveStore }, { openJoinDoor }] = await Promise.all([
    import('./sqlite/embedded.ts'),
    import('./served/server.ts'),
    import('./served/join.ts'),
  ])
  const { stateDir, hostId, hostName, underlay, listen, joinListen, now, log } = options
  const directory = join(stateDir, 'tls')
  const authority = readAuthority(directory, now()) ?? (await makeAuthority(directory, now()))
  const embedded = openEmbeddedStore({ path: join(stateDir, 'store', 'store.db') })
  try {
    const tls = await ownCertificate(options, directory, authority)
    const storeEndpoints = (): readonly string[] =>
      underlay().map((address) => url('https', address, listen.port))
    const served = await serveStore({
      engine: embedded.engine,
      listen: { host: listen.address === '' ? '::' : listen.address, port: listen.port },
      tls,
      mayWrite,
      name: hostName,
      clientUrls: storeEndpoints,
    })
    const doors: AsyncDisposable[] = []
    return {
      kind: 'embedded',
      get address() {
        return storeEndpoints().join(',')
      },
      store: embedded,
      async moved() {
        served.renew(await ownCertificate(options, directory, authority))
        const moved = { storeEndpoints: storeEndpoints(), atMs: now().getTime() }
        return writeMoved({ clusterId: await clusterIdOf(embedded), ...moved }, authority.key)
      },
      hear() {},
      async openDoor() {
        const door = await openJoinDoor({
          listen: {
            host: joinListen.address === '' ? '::' : joinListen.address,
            port: joinListen.port,
          },
          tls,
          authority,
          store: embedded,
          clusterId: await clusterIdOf(embedded),
          storeEndpoints,
          admit: ({ name }) => ({
            compare: [
              { range: { key: keys.hostName(name) }, target: 'createRevision', is: '=', value: 0 },
            ],
            operations: [],
          }),
          now,
          log,
        })
        doors.push(door)
      },
      createToken: (ttlSeconds) => tokenOf(embedded, authority.certificate, ttlSeconds, now()),
      hangUp() {},
      async [Symbol.asyncDispose]() {
        for (const door of doors) await door[Symbol.asyncDispose]()
        await served[Symbol.asyncDispose]()
        await embedded[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await embedded[Symbol.asyncDispose]()
    throw error
  }

  /** A member writes its own keys and those that are nobody's; host keys of others are an operator's. R49 */
  function mayWrite(commonName: string, key: string): boolean {
    const owner = ownerOf(key)
    return owner === undefined || owner === commonName || commonName === hostId
  }
}

async function makeAuthority(directory: string, now: Date): Promise<Identity> {
  const { createAuthority } = await import('../pki/certificates.ts')
  const authority = await createAuthority(now)
  writeIdentity(directory, 'ca', authority)
  writeAuthorityCertificate(directory, authority.certificate)
  return authority
}

/** The certificate under which the store is served, made anew at each start and move: addresses change. */
async function ownCertificate(
  { hostId, hostName, underlay, now }: SharedStoreOptions,
  directory: string,
  authority: Identity,
): Promise<TlsMaterial> {
  const wishes = {
    dnsNames: [hostName, 'localhost'],
    ipAddresses: [...underlay(), '127.0.0.1', '::1'].filter((address) => isIP(address) !== 0),
    notAfter: new Date(now().getTime() + SERVER_DAYS * DAY_MS),
  }
  const { issueCertificate } = await import('../pki/certificates.ts')
  const store = await issueCertificate(
    authority,
    { ...wishes, commonName: hostName, roles: ['server', 'client'] },
    now(),
  )
  writeIdentity(directory, 'store', store)
  // For tools on this host that read or write the store as this host: etcdctl, for one.
  const host = await issueCertificate(
    authority,
    { ...wishes, commonName: hostId, roles: ['client'] },
    now(),
  )
  writeIdentity(directory, 'host', host)
  const tls = readTlsMaterial(directory, 'store', now())
  if (tls === undefined) throw new Error(`the certificates written to ${directory} are not there`)
  return tls
}

async function tokenOf(
  store: Store,
  ca: string,
  ttlSeconds: number,
  now: Date,
): Promise<{ id: string; text: string; expiresAt: string }> {
  const { createToken, formatToken } = await import('../pki/token.ts')
  const expiresAt = new Date(now.getTime() + ttlSeconds * 1000)
  const token = await createToken(store, { caHash: caHash(ca), expiresAt })
  return { id: token.id, text: formatToken(token), expiresAt: expiresAt.toISOString() }
}

async function clusterIdOf(store: Store): Promise<string> {
  const { items } = await store.range({ key: keys.cluster })
  const id =
    items[0] === undefined ? undefined : (JSON.parse(items[0].value) as { id?: unknown }).id
  if (typeof id !== 'string') throw new Error('the store has no cluster record')
  return id
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new NetworkError('invalid', `Cannot read ${file}: ${String(cause)}`, { cause })
  }
}

function url(scheme: string, address: string, port: number): string {
  return `${scheme}://${isIP(address) === 6 ? `[${address}]` : address}:${port}`
}
