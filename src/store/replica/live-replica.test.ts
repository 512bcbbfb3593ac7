import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log, LogFields } from '../../lib/log.ts'
import { endpointKey, keys, publicationKey } from '../../model/keys.ts'
import type { Journal } from '../journal/journal.ts'
import { openJournal } from '../journal/sqlite-journal.ts'
import { MemoryCluster } from '../memory.ts'
import type { Store } from '../store.ts'
import { FakeClock, settle } from './fake-clock.ts'
import {
  block,
  claim,
  endpoint,
  host,
  network,
  publication,
  published,
  put,
  remove,
  write,
} from './fixtures.ts'
import { createReplica } from './live-replica.ts'
import type { LiveReplica, ReplicaChange } from './replica.ts'

let directory = ''
let clock = new FakeClock()
let cluster = new MemoryCluster()
let other: Store = cluster.client()
let journal: Journal
let lines: string[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `ckt-replica-${process.pid}-`))
  clock = new FakeClock()
  cluster = new MemoryCluster({ now: () => clock.monotonicMs() })
  other = cluster.client()
  lines = []
  journal = openJournal({ path: join(directory, 'journal.db') })
})
afterEach(() => {
  journal[Symbol.dispose]()
  rmSync(directory, { recursive: true, force: true })
})

const note = (message: string, fields?: LogFields): void =>
  void lines.push(`${message} ${fields?.['key'] ?? ''}`.trim())
const log: Log = { debug() {}, info() {}, warn: note, error: note, child: () => log }

function start(
  store: Store = cluster.client(),
  log_ = log,
): LiveReplica & { told: ReplicaChange[] } {
  const replica = createReplica({
    store,
    journal,
    hostId: 'h1',
    clock,
    random: (count) => new Uint8Array(count).fill(128),
    log: log_,
    signal: new AbortController().signal,
  })
  const told: ReplicaChange[] = []
  replica.subscribe((changes) => void told.push(...changes))
  return Object.assign(replica, { told })
}

const names = (items: Iterable<{ readonly id: string }>): string[] =>
  Array.from(items, ({ id }) => id).sort()

test('lists, watches, and keeps every kind of record by its place', async () => {
  const there = published('n1', 'h2', 7)
  await write(other, put(keys.network('n1'), network('n1')), put(keys.host('h2'), host('h2')))
  await using replica = start()
  assert.equal(replica.complete, false)
  await replica.ready
  assert.deepEqual(replica.told, [{ kind: 'all' }])
  const revision = await write(
    other,
    put(endpointKey(there), there),
    put(
      keys.block('n1', block('n1', 'h2', '10.80.4.0/26').prefix),
      block('n1', 'h2', '10.80.4.0/26'),
    ),
    put(keys.address('n1', claim('n1', 'h2', '10.80.0.9').address), claim('n1', 'h2', '10.80.0.9')),
    put(keys.alive('h2'), { bootId: 'b', instance: 'i', since: 's' }),
  )
  await settle()
  assert.deepEqual(replica.told.slice(1), [
    { kind: 'endpoint', id: there.id, networkId: 'n1', hostId: 'h2' },
    { kind: 'block', networkId: 'n1' },
    { kind: 'address', networkId: 'n1' },
    { kind: 'alive', id: 'h2' },
  ])
  assert.equal(replica.revision, revision)
  assert.equal(replica.connected, true)
  assert.deepEqual(replica.endpoint(there.id), there)
  assert.deepEqual(names(replica.endpointsOf('n1')), [there.id])
  assert.deepEqual(names(replica.endpointsOfHost('h2')), [there.id])
  assert.equal(replica.networkByName('net-n1')?.id, 'n1')
  assert.equal([...replica.blocks('n1')][0]?.hostId, 'h2')
  assert.equal([...replica.addressClaims('n1')][0]?.endpointId, 'ep-x')
  await write(other, remove(endpointKey(there)), remove(keys.alive('h2')))
  await settle()
  assert.equal(replica.endpoint(there.id), undefined)
  assert.equal(replica.alive('h2'), undefined)
  assert.deepEqual(names(replica.endpointsOf('n1')), [])
})

test('own endpoints come from the journal in the same turn, whatever the store says', async () => {
  const mine = endpoint('n1', 'h1', 1)
  const forged = published('n1', 'h1', 2)
  await write(other, put(endpointKey(forged), forged))
  await using replica = start()
  await replica.ready
  assert.deepEqual(names(replica.endpoints()), [])
  journal.commit([{ kind: 'put', key: endpointKey(mine), value: JSON.stringify(mine) }])
  assert.deepEqual(replica.ownEndpoint(mine.id), mine)
  assert.deepEqual(replica.told.at(-1), {
    kind: 'endpoint',
    id: mine.id,
    networkId: 'n1',
    hostId: 'h1',
  })
  await write(other, remove(endpointKey(mine)))
  await settle()
  assert.deepEqual(names(replica.ownEndpoints()), [mine.id])
  journal.commit([{ kind: 'delete', key: endpointKey(mine) }])
  assert.deepEqual(names(replica.endpoints()), [])
})

test('a host that only published has not changed; its own record is the journal with the epoch of the store', async () => {
  await using replica = start()
  await replica.ready
  journal.commit([
    { kind: 'put', key: keys.host('h1'), value: JSON.stringify(host('h1', { name: 'here' })) },
  ])
  await write(
    other,
    put(keys.host('h1'), host('h1', { name: 'stale', epoch: 3, publishedSequence: 9 })),
    put(keys.host('h2'), host('h2')),
  )
  await settle()
  const own = replica.host('h1')
  assert.deepEqual([own?.name, own?.epoch, own?.publishedSequence], ['here', 3, 9])
  replica.told.length = 0
  await write(other, put(keys.host('h2'), host('h2', { publishedSequence: 5 })))
  await settle()
  assert.deepEqual(replica.told, [])
  assert.equal(replica.host('h2')?.publishedSequence, 5)
  await write(other, put(keys.host('h2'), host('h2', { publishedSequence: 6, version: '0.2.0' })))
  await settle()
  assert.deepEqual(replica.told, [{ kind: 'host', id: 'h2' }])
})

test('starts complete from the copy of an earlier run, and hears only what changed since', async () => {
  const [kept, removed] = [published('n1', 'h2', 1), published('n1', 'h2', 2)]
  await write(
    other,
    put(keys.network('n1'), network('n1')),
    put(endpointKey(kept), kept),
    put(endpointKey(removed), removed),
  )
  {
    await using replica = start()
    await replica.ready
  }
  const added = published('n1', 'h2', 3)
  await write(other, remove(endpointKey(removed)), put(endpointKey(added), added))
  const store = cluster.client()
  cluster.cut(store)
  await using replica = start(store)
  assert.equal(replica.complete, true)
  assert.equal(replica.connected, false)
  assert.deepEqual(names(replica.endpoints()), [kept.id, removed.id])
  await settle()
  cluster.heal(store)
  await clock.advance(200)
  assert.equal(replica.connected, true)
  assert.deepEqual(names(replica.endpoints()), [kept.id, added.id])
  assert.deepEqual(
    replica.told.map((change) => (change.kind === 'endpoint' ? change.id : change.kind)).sort(),
    [removed.id, added.id].sort(),
  )
})

test('the copy is written at most once a second', async () => {
  await using replica = start()
  await replica.ready
  await clock.advance(1000)
  const before = journal.cache.revision
  for (let n = 0; n < 5; n++) {
    await write(other, put(endpointKey(published('n1', 'h2', n)), published('n1', 'h2', n)))
  }
  await settle()
  assert.equal(journal.cache.revision, before)
  await clock.advance(1000)
  assert.equal(journal.cache.revision, replica.revision)
  assert.equal([...journal.cache.load()].length, 5)
})

test('a partition of minutes: answers from memory, then compares', async () => {
  const store = cluster.client()
  await write(other, put(keys.network('n1'), network('n1')))
  await using replica = start(store)
  await replica.ready
  cluster.cut(store)
  await clock.advance(5000)
  assert.equal(replica.connected, false)
  assert.equal(replica.network('n1')?.vni, 5)
  const late = published('n1', 'h2', 1)
  await write(other, put(endpointKey(late), late))
  await other.compact(cluster.revision)
  await clock.advance(180_000)
  replica.told.length = 0
  cluster.heal(store)
  await clock.advance(36_000)
  assert.equal(replica.connected, true)
  assert.deepEqual(replica.told, [{ kind: 'endpoint', id: late.id, networkId: 'n1', hostId: 'h2' }])
  assert.deepEqual(lines, ['store disconnected'])
})

test('many records are listed in pages of one revision while the store goes on', async () => {
  const many = Array.from({ length: 2500 }, (_, n) => published('n1', 'h2', n))
  for (const one of many) await write(other, put(endpointKey(one), one))
  const [first, last] = [many[0], many.at(-1)]
  assert.ok(first && last)
  const store = cluster.client()
  let pages = 0
  const range: Store['range'] = async (where, options) => {
    const page = await store.range(where, options)
    // between two pages the first record goes and the last one changes
    if (++pages === 1) {
      await write(other, remove(endpointKey(first)))
      await write(other, put(endpointKey(last), { ...last, name: 'renamed' }))
    }
    return page
  }
  await using replica = start({ ...store, range })
  await replica.ready
  assert.equal(pages, 5)
  assert.equal([...replica.endpointsOf('n1')].length, 2500)
  assert.equal(replica.endpoint(last.id)?.name, last.name)
  await settle()
  assert.equal([...replica.endpointsOf('n1')].length, 2499)
  assert.equal(replica.endpoint(last.id)?.name, 'renamed')
  assert.equal(replica.revision, cluster.revision)
})

test('events that the watch lost are found by the listing every five minutes', async () => {
  const store = cluster.client()
  const [lost, gone] = [published('n1', 'h2', 1), published('n1', 'h2', 2)]
  await write(other, put(endpointKey(gone), gone))
  await using replica = start(store)
  await replica.ready
  await settle()
  cluster.deafen(store)
  await write(other, put(endpointKey(lost), lost), remove(endpointKey(gone)))
  cluster.hear(store)
  await settle()
  assert.deepEqual(names(replica.endpoints()), [gone.id])
  await clock.advance(6 * 60_000)
  assert.deepEqual(names(replica.endpoints()), [lost.id])
  assert.equal(replica.connected, true)
  assert.deepEqual(lines, [])
})

test('a store put back to a backup is followed back, same revisions with other contents too', async () => {
  const store = cluster.client()
  await using replica = start(store)
  await replica.ready
  const backup = cluster.snapshot()
  await write(other, put(keys.network('n1'), network('n1', { vni: 1 })))
  await write(other, put(keys.network('n2'), network('n2')))
  await settle()
  const before = replica.revision
  cluster.restore(backup)
  await write(other, put(keys.network('n1'), network('n1', { vni: 2 })))
  await clock.advance(1000)
  assert.ok(replica.revision < before)
  assert.deepEqual(names(replica.networks()), ['n1'])
  assert.equal(replica.network('n1')?.vni, 2)
})

for (const { name, key, value } of [
  { name: 'no JSON', key: keys.network('n1'), value: '{' },
  { name: 'a list', key: keys.network('n1'), value: '[]' },
  { name: 'a missing field', key: keys.network('n1'), value: { ...network('n1'), vni: undefined } },
  {
    name: 'host bits',
    key: keys.network('n1'),
    value: { ...network('n1'), prefixes: ['10.0.0.1/8'] },
  },
  { name: 'a newer schema', key: keys.network('n1'), value: { ...network('n1'), schema: 2 } },
  { name: 'the id of another', key: keys.network('n1'), value: network('n2') },
  {
    name: 'an endpoint of another host',
    key: keys.endpoint('n1', 'h3', published('n1', 'h2', 1).id),
    value: published('n1', 'h2', 1),
  },
  {
    name: 'a published port of another host',
    key: keys.publication('n1', 'h3', publication('n1', 'h2', 1).id),
    value: publication('n1', 'h2', 1),
  },
  {
    name: 'published ports beyond the last',
    key: publicationKey(publication('n1', 'h2', 1)),
    value: { ...publication('n1', 'h2', 1), hostPort: 65_535, count: 2 },
  },
  {
    name: 'a protocol that is not there',
    key: publicationKey(publication('n1', 'h2', 1)),
    value: { ...publication('n1', 'h2', 1), protocol: 'icmp' },
  },
  {
    name: 'a host address that is none',
    key: publicationKey(publication('n1', 'h2', 1)),
    value: { ...publication('n1', 'h2', 1), hostAddress: 'all' },
  },
]) {
  test(`a record with ${name} is ignored, and told once`, async () => {
    await using replica = start()
    await replica.ready
    await write(other, put(key, value))
    await settle()
    await clock.advance(6 * 60_000)
    assert.deepEqual(names(replica.networks()), [])
    assert.deepEqual(names(replica.endpoints()), [])
    assert.deepEqual([...replica.publications()], [])
    assert.deepEqual(lines, [`record ignored ${key}`])
    await write(other, remove(key), put(keys.network('n9'), network('n9')))
    await settle()
    assert.deepEqual(names(replica.networks()), ['n9'])
  })
}

test('keys that are not for the replica are passed over', async () => {
  await write(
    other,
    put('/carrick/later/thing', 'x'),
    put(keys.cluster, '{}'),
    put(keys.counter('vni'), '7'),
    put(keys.token('t1'), 'secret'),
    put('/elsewhere', 'x'),
  )
  await using replica = start()
  await replica.ready
  await clock.advance(1000)
  assert.deepEqual(lines, [])
  assert.deepEqual([...journal.cache.load()], [])
})
