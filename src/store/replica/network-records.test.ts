import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../lib/log.ts'
import { keys, parseKey } from '../../model/keys.ts'
import { ip, prefix } from '../../net/testing.ts'
import { openJournal } from '../journal/sqlite-journal.ts'
import { MemoryCluster } from '../memory.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { network, put, remove, write } from './fixtures.ts'
import { createReplica } from './live-replica.ts'
import { RecordReader } from './records.ts'
import type { ReplicaChange } from './replica.ts'

function read(key: string, value: unknown) {
  const parsed = parseKey(key)
  assert.ok(parsed)
  return new RecordReader().read(key, parsed, JSON.stringify(value))
}

const KEY = keys.reservation('n1', 'web')
const RESERVATION = {
  schema: 1,
  networkId: 'n1',
  name: 'web',
  addresses: ['10.80.0.9', 'fd80::9'],
  createdAt: '2026-01-01T00:00:00.000Z',
}

test('a reservation is read as it was written', () => {
  const parsed = read(KEY, RESERVATION)
  assert.ok(parsed.ok)
  assert.deepEqual(parsed.item.record as object, RESERVATION)
})

for (const { why, change } of [
  { why: 'another name', change: { name: 'db' } },
  { why: 'another network', change: { networkId: 'n2' } },
  { why: 'no address', change: { addresses: [] } },
  { why: 'half an address', change: { addresses: ['10.80'] } },
  { why: 'no time', change: { createdAt: 7 } },
  { why: 'a newer schema', change: { schema: 2 } },
]) {
  test(`a reservation with ${why} is ignored`, () => {
    assert.equal(read(KEY, { ...RESERVATION, ...change }).ok, false)
  })
}

test('who insisted on a network is read; what cannot be read of it is left out', () => {
  const overlap = { subnet: '10.80.0.0/16', other: '10.80.5.0/24', host: 'h2', device: 'eth1' }
  const forced = { uid: 7, user: 'ada', at: 'now', overlaps: [overlap] }
  const readForced = (value: unknown): unknown => {
    const parsed = read(keys.network('n1'), { ...network('n1'), forced: value })
    assert.ok(parsed.ok && parsed.item.kind === 'network')
    return parsed.item.record.forced
  }
  assert.deepEqual(readForced(forced), forced)
  assert.deepEqual(readForced({ at: 'now', overlaps: [{ subnet: 'x' }] }), {
    at: 'now',
    overlaps: [],
  })
  assert.equal(readForced({ uid: 7 }), undefined)
  assert.equal(readForced(undefined), undefined)
})

test('the replica shows reservations, and facts of this host before they are published', async () => {
  const directory = mkdtempSync(join(tmpdir(), `ckt-reserved-${process.pid}-`))
  try {
    using journal = openJournal({ path: join(directory, 'journal.db') })
    const cluster = new MemoryCluster()
    const other = cluster.client()
    await using replica = createReplica({
      store: cluster.client(),
      journal,
      hostId: 'h1',
      clock: new FakeClock(),
      random: (count) => new Uint8Array(count),
      log: silentLog,
      signal: new AbortController().signal,
    })
    await replica.ready
    const told: ReplicaChange[] = []
    replica.subscribe((changes) => void told.push(...changes))
    await write(other, put(KEY, RESERVATION))
    await settle()
    assert.deepEqual(
      [...replica.reservations('n1')].map(({ addresses }) => addresses),
      [[ip('10.80.0.9'), ip('fd80::9')]],
    )
    await write(other, remove(KEY))
    await settle()
    assert.deepEqual([...replica.reservations('n1')], [])
    const facts = {
      schema: 1,
      routes: [{ prefix: prefix('10.9.0.0/24'), device: 'eth1' }],
    } as const
    replica.setOwnFacts(facts)
    assert.equal(replica.facts('h1'), facts)
    await write(other, put(keys.facts('h1'), { schema: 1, routes: [] }))
    await write(other, put(keys.facts('h2'), facts))
    await settle()
    assert.equal(replica.facts('h1'), facts)
    assert.deepEqual(replica.facts('h2'), facts)
    assert.deepEqual(
      told.map(({ kind }) => kind),
      ['reservation', 'reservation', 'facts', 'facts', 'facts'],
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
})
