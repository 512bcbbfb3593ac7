import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { NetworkError } from '../lib/errors.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { endpointKey, keys } from '../model/keys.ts'
import type { Publication } from '../model/publication.ts'
import { settle } from '../store/replica/fake-clock.ts'
import { endpoint, network, publication, put, remove, write } from '../store/replica/fixtures.ts'
import type { Store } from '../store/store.ts'
import { publishedText } from './published.ts'
import { Agent, Scene } from './scene.ts'

let scene: Scene
let other: Store
const running: Agent[] = []

beforeEach(async () => {
  scene = new Scene()
  other = scene.cluster.client()
  await write(other, put(keys.network('n1'), network('n1')))
})
afterEach(async () => {
  for (const agent of running.splice(0)) await agent.stop().catch(() => undefined)
  scene[Symbol.dispose]()
})

async function start(options: Parameters<typeof Agent.start>[1]): Promise<Agent> {
  const agent = await Agent.start(scene, options)
  running.push(agent)
  return agent
}

async function stop(agent: Agent, how: 'stop' | 'kill' = 'stop'): Promise<void> {
  running.splice(running.indexOf(agent), 1)
  await agent[how]()
}

const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1)

async function publishedBy(hostId: string, networkId = 'n1'): Promise<string[]> {
  const { items } = await other.range({ prefix: keys.endpoint(networkId, hostId, '') })
  return items.map(({ key }) => key.slice(keys.endpoint(networkId, hostId, '').length))
}

async function hostRecord(hostId: string): Promise<Record<string, unknown>> {
  return JSON.parse((await other.range({ key: keys.host(hostId) })).items[0]?.value ?? '{}')
}

test('what is committed is published cut down, and removed again', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  const mine = endpoint('n1', agent.hostId, 1)
  const sequence = agent.attach(mine)
  await settle()
  const stored = (await other.range({ key: endpointKey(mine) })).items[0]?.value ?? ''
  assert.deepEqual(JSON.parse(stored), JSON.parse(publishedText(mine)))
  assert.doesNotMatch(stored, /sandbox|netns|"device"|"number"/)
  assert.equal(agent.publisher.publishedSequence, sequence)
  assert.equal((await hostRecord(agent.hostId))['publishedSequence'], sequence)
  const removed = agent.detach(mine)
  await settle()
  assert.deepEqual(await publishedBy(agent.hostId), [])
  assert.equal(agent.publisher.publishedSequence, removed)
  assert.deepEqual(agent.journal.changedSince(sequence), [])
})

test('a commit that comes alone is published soon, those of a row together', async () => {
  const agent = await start({ state: 'a', gatherMs: 20 })
  await scene.clock.advance(1_000)
  agent.attach(endpoint('n1', agent.hostId, 1))
  await scene.clock.advance(5)
  assert.equal((await publishedBy(agent.hostId)).length, 1)
  await scene.clock.advance(1_000)
  const before = scene.cluster.revision
  for (let n = 2; n < 12; n++) {
    agent.attach(endpoint('n1', agent.hostId, n))
    await scene.clock.advance(4)
  }
  assert.equal((await publishedBy(agent.hostId)).length, 1)
  await scene.clock.advance(40)
  assert.equal((await publishedBy(agent.hostId)).length, 11)
  assert.equal(scene.cluster.revision, before + 1)
})

test('after minutes of partition everything is published in the order of the journal', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  scene.cluster.cut(agent.store)
  const all: Endpoint[] = []
  for (let n = 0; n < 250; n++) {
    const next = endpoint('n1', agent.hostId, n)
    all.push(next)
    agent.attach(next)
    await scene.clock.advance(1000)
  }
  const [first, ...kept] = all
  assert.ok(first)
  agent.detach(first)
  assert.equal(agent.publisher.distrust(), undefined)
  const { signal } = new AbortController()
  const order: string[] = []
  const sequences: number[] = []
  const fromRevision = scene.cluster.revision + 1
  const watch = other.watch({ range: { prefix: '/carrick/' }, fromRevision, signal })
  const reading = (async () => {
    for await (const batch of watch) {
      if (batch.kind !== 'events') break
      assert.ok(batch.events.length <= 100)
      for (const event of batch.events) {
        if (event.kind !== 'put') continue
        if (event.item.key.startsWith('/carrick/endpoints/')) order.push(event.item.key)
        if (event.item.key === keys.host(agent.hostId)) {
          sequences.push(JSON.parse(event.item.value).publishedSequence)
        }
      }
    }
  })()
  scene.cluster.heal(agent.store)
  await scene.clock.advance(40_000)
  scene.cluster.progress()
  await reading
  assert.deepEqual(order, kept.map(endpointKey))
  assert.deepEqual(
    sequences,
    [...sequences].sort((a, b) => a - b),
  )
  assert.equal(agent.publisher.publishedSequence, agent.journal.sequence)
})

test('a lost answer is found out by comparing; nothing is written twice', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  await settle()
  scene.cluster.loseAnswers(agent.store, 1)
  const mine = endpoint('n1', agent.hostId, 1)
  agent.attach(mine)
  await scene.clock.advance(1000)
  const [item] = (await other.range({ key: endpointKey(mine) })).items
  assert.equal(item?.version, 1)
  assert.equal(agent.publisher.publishedSequence, agent.journal.sequence)
  assert.deepEqual(agent.adoptions, [])
})

test('a restored disk: what was published is adopted before anything is allocated', async () => {
  const first = await start({ state: 'a' })
  await first.publisher.ready
  const { hostId } = first
  const [kept, gone, lost, dead] = [1, 2, 3, 4].map((n) => endpoint('n1', hostId, n))
  assert.ok(kept && gone && lost && dead)
  const port = (n: number): readonly Publication[] => [publication('n1', hostId, n)]
  first.attach(kept, port(1))
  first.attach(gone, port(2))
  await settle()
  await stop(first)
  scene.copyState('a', 'backup')
  const again = await start({ state: 'a' })
  await again.publisher.ready
  again.detach(gone, port(2))
  again.attach(lost, port(3))
  again.attach(dead, port(4))
  await settle()
  const { publishedSequence } = again.publisher
  await stop(again)

  // the disk is put back, and while the store is away a new endpoint is made
  const store = scene.cluster.client()
  scene.cluster.cut(store)
  const old = await start({ state: 'backup', name: 'a', store, adopt: () => [lost] })
  const fresh = endpoint('n1', hostId, 9)
  old.attach(fresh, port(9))
  scene.cluster.heal(store)
  await scene.clock.advance(30_000)
  await old.publisher.ready
  const [found] = old.adoptions
  assert.deepEqual(
    found?.unknown.map(({ id }) => id),
    [lost.id, dead.id],
  )
  assert.deepEqual(found?.missing, [gone])
  assert.equal(old.adoptions.length, 1)
  assert.ok(old.journal.sequence > publishedSequence)
  assert.deepEqual(await publishedBy(hostId), [kept.id, lost.id, fresh.id])
  const left = [...port(1), ...port(3), ...port(9)]
  assert.deepEqual([...old.replica.publications()].sort(byId), left)
  const stored = await other.range({ prefix: keys.publication('n1', hostId, '') })
  assert.deepEqual(
    stored.items.map(({ value }) => JSON.parse(value)),
    left,
  )
  assert.deepEqual(old.replica.ownEndpoint(lost.id), lost)
  assert.equal(old.replica.ownEndpoint(gone.id), undefined)
  assert.equal(old.publisher.publishedSequence, old.journal.sequence)
})

test('a deleted journal: no allocation until the store has told what this host has', async () => {
  const first = await start({ state: 'a', joinedId: '01hostaaaaaaaaaaaaaaaaaaaa' })
  await first.publisher.ready
  const mine = endpoint('n1', first.hostId, 1)
  first.attach(mine)
  await settle()
  await stop(first, 'kill')
  scene.removeState('a')
  await scene.clock.advance(16_000)
  const again = await start({ state: 'a', joinedId: first.hostId, adopt: () => [mine] })
  assert.match(again.publisher.distrust() ?? '', /not known yet/)
  await again.publisher.ready
  assert.equal(again.publisher.distrust(), undefined)
  assert.deepEqual(again.adoptions[0]?.unknown.length, 1)
  assert.deepEqual([...again.replica.ownEndpoints()], [mine])
  assert.deepEqual(await publishedBy(first.hostId), [mine.id])
  assert.equal(again.replica.host(again.hostId)?.index, 1)
})

test('an adoption that fails is tried again, and nothing is written before', async () => {
  const first = await start({ state: 'a', joinedId: '01hostaaaaaaaaaaaaaaaaaaaa' })
  await first.publisher.ready
  const mine = endpoint('n1', first.hostId, 1)
  first.attach(mine)
  await settle()
  await stop(first)
  scene.removeState('a')
  let failures = 2
  const adopt = (): readonly Endpoint[] => {
    if (failures-- > 0) throw new NetworkError('kernel', 'Cannot list devices')
    return [mine]
  }
  const again = await start({ state: 'a', joinedId: first.hostId, adopt: () => adopt() })
  await settle()
  assert.match(again.publisher.distrust() ?? '', /older than what this host has published/)
  assert.deepEqual(await publishedBy(first.hostId), [mine.id])
  await scene.clock.advance(1000)
  await again.publisher.ready
  assert.deepEqual([...again.replica.ownEndpoints()], [mine])
})

test('a store restored from a backup is brought up again', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  const [old, gone, fresh] = [1, 2, 3].map((n) => endpoint('n1', agent.hostId, n))
  assert.ok(old && gone && fresh)
  agent.attach(old)
  agent.attach(gone)
  await settle()
  const backup = scene.cluster.snapshot()
  agent.detach(gone)
  agent.attach(fresh)
  await settle()
  scene.cluster.restore(backup)
  await scene.clock.advance(30_000)
  assert.deepEqual(await publishedBy(agent.hostId), [old.id, fresh.id])
  assert.deepEqual(agent.adoptions, [])
  assert.equal((await hostRecord(agent.hostId))['publishedSequence'], agent.journal.sequence)
  assert.ok(scene.lines.includes('the store went back in time; publishing again'))
})

test('endpoints of a network that is gone are not published, and come back with it', async () => {
  await write(other, put(keys.network('n2'), network('n2')))
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  const [here, there] = [endpoint('n1', agent.hostId, 1), endpoint('n2', agent.hostId, 2)]
  agent.attach(there)
  await settle()
  scene.cluster.cut(agent.store)
  await write(other, remove(keys.network('n2')))
  agent.attach(endpoint('n2', agent.hostId, 3))
  agent.attach(here)
  scene.cluster.heal(agent.store)
  await scene.clock.advance(40_000)
  assert.deepEqual(await publishedBy(agent.hostId), [here.id])
  assert.deepEqual(await publishedBy(agent.hostId, 'n2'), [])
  assert.equal(agent.publisher.unpublished.size, 2)
  assert.equal(agent.publisher.publishedSequence, agent.journal.sequence)
  await write(other, put(keys.network('n2'), network('n2')))
  await scene.clock.advance(6 * 60_000)
  assert.equal((await publishedBy(agent.hostId, 'n2')).length, 2)
  assert.equal(agent.publisher.unpublished.size, 0)
})

test('an endpoint too large for the store stays at home and does not hold up the rest', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  const huge = { ...endpoint('n1', agent.hostId, 1), labels: { app: 'x'.repeat(70_000) } }
  agent.attach(huge)
  const rest = Array.from({ length: 60 }, (_, n) => endpoint('n1', agent.hostId, n + 2))
  for (const own of rest) agent.attach({ ...own, labels: { app: 'y'.repeat(60_000) } })
  await scene.clock.advance(1000)
  assert.equal((await publishedBy(agent.hostId)).length, 60)
  assert.match(agent.publisher.unpublished.get(endpointKey(huge)) ?? '', /larger than 64 KiB/)
  assert.equal(agent.publisher.publishedSequence, agent.journal.sequence)
})

for (const { name, change, reason } of [
  {
    name: 'removed by an operator',
    change: (id: string) => write(other, remove(keys.host(id))),
    reason: /removed from the cluster/,
  },
  {
    name: 'reclaimed by an operator',
    change: async (id: string) =>
      write(other, put(keys.host(id), { ...(await hostRecord(id)), epoch: 1 })),
    reason: /reclaimed/,
  },
]) {
  test(`a host ${name} stops publishing and allocating`, async () => {
    const agent = await start({ state: 'a' })
    await agent.publisher.ready
    await change(agent.hostId)
    agent.attach(endpoint('n1', agent.hostId, 1))
    await scene.clock.advance(1000)
    assert.match(agent.publisher.distrust() ?? '', reason)
    assert.deepEqual(await publishedBy(agent.hostId), [])
    assert.ok(scene.lines.includes('publishing stopped'))
    const written = scene.cluster.revision
    agent.attach(endpoint('n1', agent.hostId, 2))
    await scene.clock.advance(1000)
    assert.equal(scene.cluster.revision, written)
  })
}

test('facts and status are written when they change, not more often than every two seconds', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  const { publisher, hostId } = agent
  const status = (endpoints: number, appliedRevision: number) =>
    ({
      schema: 1,
      appliedRevision,
      endpoints,
      failures: [],
      updatedAt: `t${appliedRevision}`,
    }) as const
  publisher.setFacts({ schema: 1, routes: [] })
  publisher.setStatus(status(0, 1))
  await settle()
  const read = async (key: string) => (await other.range({ key })).items[0]
  assert.equal((await read(keys.facts(hostId)))?.version, 1)
  assert.equal((await read(keys.status(hostId)))?.version, 1)
  for (let n = 1; n <= 10; n++) publisher.setStatus(status(n, 1))
  await settle()
  assert.equal((await read(keys.status(hostId)))?.version, 1)
  await scene.clock.advance(2000)
  assert.equal((await read(keys.status(hostId)))?.version, 2)
  assert.equal(JSON.parse((await read(keys.status(hostId)))?.value ?? '{}').endpoints, 10)
  // only the revision moved: no answer to the others' answers
  publisher.setStatus(status(10, 2))
  await scene.clock.advance(20_000)
  assert.equal((await read(keys.status(hostId)))?.version, 2)
  await scene.clock.advance(60_000)
  assert.equal((await read(keys.status(hostId)))?.version, 3)
  // somebody waits for this revision
  publisher.setStatus(status(10, 3), 3)
  await scene.clock.advance(200)
  assert.equal((await read(keys.status(hostId)))?.version, 4)
})
