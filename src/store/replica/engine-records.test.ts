import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../lib/log.ts'
import { NO_SANDBOX } from '../../model/endpoint.ts'
import type { EngineNetwork } from '../../model/engine-network.ts'
import { keys, ownerOf, parseKey } from '../../model/keys.ts'
import { ip, prefix } from '../../net/testing.ts'
import { openJournal } from '../journal/sqlite-journal.ts'
import { MemoryCluster } from '../memory.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { endpoint, network, published, put, remove, write } from './fixtures.ts'
import { createReplica } from './live-replica.ts'
import { RecordReader } from './records.ts'
import type { ReplicaChange } from './replica.ts'

function read(key: string, value: unknown) {
  const parsed = parseKey(key)
  assert.ok(parsed)
  return new RecordReader().read(key, parsed, JSON.stringify(value))
}

const ID = 'ab'.repeat(32)
const POOL = {
  poolId: 'carrick/10.80.0.0/16/10.80.5.0/24',
  prefix: prefix('10.80.0.0/16'),
  range: prefix('10.80.5.0/24'),
  gateway: ip('10.80.0.254'),
  aux: { router: ip('10.80.5.9') },
}

function bound(hostId: string, fields: Partial<EngineNetwork> = {}): EngineNetwork {
  return {
    ...{ schema: 1, id: ID, networkId: 'n1', hostId, engine: 'docker', name: 'shop_front' },
    ...{ options: { a: 'b' }, internal: false, pools: [POOL], madeByUs: true },
    createdAt: '2026-01-01T00:00:00.000Z',
    ...fields,
  }
}

const KEY = keys.engineNetwork('n1', 'h1', ID)

test('a network on an engine is read as it was written, and is its host’s', () => {
  for (const record of [bound('h1'), { ...bound('h1'), pools: [{ ...POOL, aux: {} }] }]) {
    const parsed = read(KEY, record)
    assert.ok(parsed.ok)
    assert.deepEqual(parsed.item.record as object, record)
  }
  assert.equal(ownerOf(KEY), 'h1')
})

for (const { why, change } of [
  { why: 'the id of another', change: { id: 'cd' } },
  { why: 'another host', change: { hostId: 'h2' } },
  { why: 'another network', change: { networkId: 'n2' } },
  { why: 'an engine that is not known', change: { engine: 'podman' } },
  { why: 'a number for an option', change: { options: { mtu: 1400 } } },
  { why: 'a pool without a prefix', change: { pools: [{ poolId: 'x', aux: {} }] } },
  { why: 'half an auxiliary address', change: { pools: [{ ...POOL, aux: { router: '10.80' } }] } },
  { why: 'no time', change: { createdAt: 7 } },
]) {
  test(`a network on an engine with ${why} is ignored`, () => {
    assert.equal(read(KEY, { ...bound('h1'), ...change }).ok, false)
  })
}

test('how a network appears on engines is read; what cannot be read of it is left out', () => {
  const docker = { name: 'Shop', options: {}, labels: { a: 'b' }, ranges: ['10.80.5.0/24'] }
  const readDocker = (value: unknown): unknown => {
    const parsed = read(keys.network('n1'), { ...network('n1'), docker: value })
    assert.ok(parsed.ok && parsed.item.kind === 'network')
    return parsed.item.record.docker
  }
  assert.deepEqual(readDocker(docker), docker)
  const more = { ...docker, aux: { r1: '10.80.5.5' }, takenUp: true }
  assert.deepEqual(readDocker(more), more)
  assert.equal(readDocker({ ...docker, aux: { r1: 'x' } }), undefined)
  assert.equal(readDocker({ ...docker, ranges: ['x'] }), undefined)
  assert.equal(readDocker({ ...docker, name: 7 }), undefined)
  assert.equal(readDocker(undefined), undefined)
})

test('how an endpoint is attached is read; a way that is not known is that of others', () => {
  const key = keys.endpoint('n1', 'h1', 'ep-h1-1')
  const attachmentOf = (attachment: unknown): unknown => {
    const parsed = read(key, { ...published('n1', 'h1', 1), attachment })
    assert.ok(parsed.ok && parsed.item.kind === 'endpoint')
    return parsed.item.record.attachment
  }
  for (const known of ['engine', 'held']) assert.equal(attachmentOf(known), known)
  assert.equal(attachmentOf('sriov'), undefined)
  const own = { ...endpoint('n1', 'h1', 1), attachment: 'engine', sandbox: NO_SANDBOX, run: 'r1' }
  assert.deepEqual(new RecordReader().readOwn(JSON.stringify(own)) as object, own)
})

test('the replica shows networks on engines of all hosts, under one id on several', async () => {
  const directory = mkdtempSync(join(tmpdir(), `ckt-engines-${process.pid}-`))
  try {
    const cluster = new MemoryCluster()
    const journal = openJournal({ path: join(directory, 'state.db') })
    const stop = new AbortController()
    const told: ReplicaChange[] = []
    {
      await using replica = createReplica({
        ...{ store: cluster.client(), journal, hostId: 'h1', clock: new FakeClock() },
        ...{
          random: (count: number) => new Uint8Array(count),
          log: silentLog,
          signal: stop.signal,
        },
      })
      await replica.ready
      replica.subscribe((changes) => void told.push(...changes))
      const hostsWith = (networkId?: string) =>
        Array.from(replica.engineNetworks(networkId), ({ hostId }) => hostId).sort()
      journal.commit([{ kind: 'put', key: KEY, value: JSON.stringify(bound('h1')) }])
      assert.deepEqual(told, [{ kind: 'engine-network', id: ID, networkId: 'n1', hostId: 'h1' }])
      const client = cluster.client()
      await write(client, put(keys.engineNetwork('n1', 'h2', ID), bound('h2')))
      await settle()
      assert.deepEqual(hostsWith(), ['h1', 'h2'])
      assert.deepEqual(hostsWith('n1'), ['h1', 'h2'])
      assert.deepEqual(hostsWith('n2'), [])
      // What the store says of this host is not listened to.
      await write(client, put(KEY, bound('h1', { name: 'old' })), remove(keys.network('n1')))
      await settle()
      assert.equal([...replica.engineNetworks()].find((n) => n.hostId === 'h1')?.name, 'shop_front')
      journal.commit([{ kind: 'delete', key: KEY }])
      await write(client, remove(keys.engineNetwork('n1', 'h2', ID)))
      await settle()
      assert.deepEqual(hostsWith(), [])
      assert.equal(told.length, 4)
    }
    stop.abort()
    journal[Symbol.dispose]()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
