/** Whatever the connection goes through, the replica ends up as the store, and who listened knows it. */

import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { silentLog } from '../../lib/log.ts'
import { endpointKey, keys, publicationKey } from '../../model/keys.ts'
import { openJournal } from '../journal/sqlite-journal.ts'
import { MemoryCluster, type MemorySnapshot } from '../memory.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { host, network, publication, published, put, remove, write } from './fixtures.ts'
import { createReplica } from './live-replica.ts'
import type { LiveReplica } from './replica.ts'

const KINDS = [
  ...['cut', 'heal', 'deafen', 'hear', 'compact', 'backup', 'restore', 'restart'],
  ...['put', 'put', 'put', 'remove', 'remove', 'host', 'network', 'wait'],
  ...['publish', 'publish', 'unpublish'],
] as const
const step = fc.record({ kind: fc.constantFrom(...KINDS), n: fc.nat(7), version: fc.nat(3) })

/** What a listener believes, from changes alone. */
class Mirror {
  readonly endpoints = new Map<string, unknown>()
  readonly publications = new Map<string, unknown>()
  readonly #replica: LiveReplica

  constructor(replica: LiveReplica) {
    this.#replica = replica
    this.#all()
    replica.subscribe((changes) => {
      for (const change of changes) {
        if (change.kind === 'all') this.#all()
        if (change.kind === 'endpoint') this.#one(change.id)
        if (change.kind === 'publication') this.#onePublication(change.id)
      }
    })
  }

  #all(): void {
    this.endpoints.clear()
    for (const { id } of this.#replica.endpoints()) this.#one(id)
    this.publications.clear()
    for (const { id } of this.#replica.publications()) this.#onePublication(id)
  }

  #onePublication(id: string): void {
    const found = this.#replica.publication(id)
    if (found === undefined) this.publications.delete(id)
    else this.publications.set(id, found)
  }

  #one(id: string): void {
    const found = this.#replica.endpoint(id)
    if (found === undefined) this.endpoints.delete(id)
    else this.endpoints.set(id, found)
  }
}

test('after any history the replica, its copy and its listeners agree with the store', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const directory = mkdtempSync(join(tmpdir(), `ckt-replica-${process.pid}-`))
      using journal = openJournal({ path: join(directory, 'journal.db') })
      const clock = new FakeClock()
      const cluster = new MemoryCluster({ now: () => clock.monotonicMs() })
      const [store, other] = [cluster.client(), cluster.client()]
      const { signal } = new AbortController()
      const random = (count: number): Uint8Array => new Uint8Array(count).fill(99)
      const start = (): LiveReplica =>
        createReplica({ store, journal, hostId: 'h1', clock, random, log: silentLog, signal })
      let replica = start()
      let mirror = new Mirror(replica)
      let backup: MemorySnapshot = cluster.snapshot()
      try {
        for (const { kind, n, version } of steps) {
          const one = { ...published('n1', `h${2 + (n % 2)}`, n), name: `name-${version}` }
          if (kind === 'cut') cluster.cut(store)
          else if (kind === 'heal') cluster.heal(store)
          else if (kind === 'deafen') cluster.deafen(store)
          else if (kind === 'hear') cluster.hear(store)
          else if (kind === 'compact') await other.compact(cluster.revision).catch(() => undefined)
          else if (kind === 'backup') backup = cluster.snapshot()
          else if (kind === 'restore') cluster.restore(backup)
          else if (kind === 'put') await write(other, put(endpointKey(one), one))
          else if (kind === 'remove') await write(other, remove(endpointKey(one)))
          else if (kind === 'publish') {
            const endpointId = `ep-${version}`
            const port = { ...publication('n1', one.hostId, n), endpointId }
            await write(other, put(publicationKey(port), port))
          } else if (kind === 'unpublish') {
            await write(other, remove(publicationKey(publication('n1', one.hostId, n))))
          } else if (kind === 'host') {
            await write(other, put(keys.host('h2'), host('h2', { publishedSequence: version })))
          } else if (kind === 'network') {
            await write(other, put(keys.network('n1'), network('n1', { name: `name-${version}` })))
          } else if (kind === 'wait') await clock.advance([0, 50, 5000, 60_000][version] ?? 0)
          else {
            await replica[Symbol.asyncDispose]()
            replica = start()
            mirror = new Mirror(replica)
          }
          if (n > 4) await settle()
        }
        cluster.heal(store)
        cluster.hear(store)
        await clock.advance(7 * 60_000)
        const { items } = await other.range({ prefix: '/carrick/' })
        const want = new Map(items.map(({ key, value }) => [key, JSON.parse(value)]))
        const have = new Map<string, unknown>()
        for (const found of replica.networks()) have.set(keys.network(found.id), found)
        for (const found of replica.hosts()) have.set(keys.host(found.id), found)
        for (const found of replica.endpoints()) have.set(endpointKey(found), found)
        for (const found of replica.publications()) have.set(publicationKey(found), found)
        assert.deepEqual(have, want)
        assert.deepEqual(
          mirror.endpoints,
          new Map(Array.from(replica.endpoints(), (e) => [e.id, e])),
        )
        assert.deepEqual(
          mirror.publications,
          new Map(Array.from(replica.publications(), (p) => [p.id, p])),
        )
        const byEndpoint = [0, 1, 2, 3].flatMap((n) => [
          ...replica.publicationsOfEndpoint(`ep-${n}`),
        ])
        assert.equal(byEndpoint.length, [...replica.publications()].length)
        const copy = Array.from(journal.cache.load(), ({ key, value }) => [key, JSON.parse(value)])
        assert.deepEqual(new Map(copy as [string, unknown][]), want) // rows of key and value
        assert.equal(replica.revision, cluster.revision)
        for (const { name, id } of replica.networks()) {
          assert.equal(replica.networkByName(name)?.id, id)
        }
        const byHost = ['h2', 'h3'].flatMap((id) => [...replica.endpointsOfHost(id)])
        assert.equal(byHost.length, [...replica.endpointsOf('n1')].length)
      } finally {
        await replica[Symbol.asyncDispose]()
        rmSync(directory, { recursive: true, force: true })
      }
    }),
    { numRuns: 60 },
  )
}, 60_000)
