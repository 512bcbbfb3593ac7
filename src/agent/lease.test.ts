import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { isNetworkError } from '../lib/errors.ts'
import { keys } from '../model/keys.ts'
import { settle } from '../store/replica/fake-clock.ts'
import { endpoint, network, put, remove, write } from '../store/replica/fixtures.ts'
import type { Store } from '../store/store.ts'
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

async function stop(agent: Agent, how: 'stop' | 'kill'): Promise<void> {
  running.splice(running.indexOf(agent), 1)
  await agent[how]()
}

const isConflict = (error: unknown): boolean => isNetworkError(error, 'conflict')

async function aliveOf(hostId: string): Promise<string | undefined> {
  return (await other.range({ key: keys.alive(hostId) })).items[0]?.value
}

test('the sign of life stands while the daemon runs and goes with a clean stop', async () => {
  const agent = await start({ state: 'a' })
  await agent.lease.acquired
  await scene.clock.advance(120_000)
  assert.equal(await aliveOf(agent.hostId), agent.lease.record)
  assert.equal(agent.lease.state, 'held')
  await stop(agent, 'stop')
  assert.equal(await aliveOf(agent.hostId), undefined)
})

test('after a crash of the daemon the next one takes over at once', async () => {
  const first = await start({ state: 'a' })
  await first.lease.acquired
  await stop(first, 'kill')
  assert.equal(await aliveOf(first.hostId), first.lease.record)
  const next = await start({ state: 'a' })
  await settle()
  assert.equal(next.lease.state, 'held')
  assert.equal(await aliveOf(next.hostId), next.lease.record)
  // the dead one's lease ends and takes nothing along
  await scene.clock.advance(20_000)
  assert.equal(await aliveOf(next.hostId), next.lease.record)
})

test('after a quick reboot the next daemon waits until the old lease has ended', async () => {
  const first = await start({ state: 'a' })
  await first.lease.acquired
  await stop(first, 'kill')
  const next = await start({ state: 'a', bootId: 'boot-2' })
  await settle()
  assert.equal(next.lease.state, 'waiting')
  assert.match(next.lease.distrust() ?? '', /may live/)
  await scene.clock.advance(17_000)
  assert.equal(next.lease.state, 'held')
  assert.equal(next.lease.distrust(), undefined)
})

for (const { name, bootId } of [
  { name: 'that booted by itself', bootId: 'boot-2' },
  { name: 'with the same boot id, whose instance is not ours', bootId: 'boot-1' },
]) {
  test(`a clone ${name} is refused while the original lives`, async () => {
    const seed = await start({ state: 'a' })
    await seed.lease.acquired
    await stop(seed, 'stop')
    scene.copyState('a', 'copy')
    const original = await start({ state: 'a' })
    await original.lease.acquired
    await settle()
    const before = scene.cluster.revision
    const clone = await start({ state: 'copy', name: 'a', bootId })
    clone.attach(endpoint('n1', clone.hostId, 1))
    const refused = assert.rejects(clone.lease.acquired, isConflict)
    await scene.clock.advance(30_000)
    await refused
    assert.equal(clone.lease.state, 'cloned')
    assert.match(clone.lease.distrust() ?? '', /another daemon lives/)
    assert.equal(original.lease.state, 'held')
    assert.equal(scene.cluster.revision, before)
    assert.ok(scene.lines.includes('another daemon lives under the id of this host'))
  })
}

test('a host cut off finds a clone in its place after the heal, and stops publishing', async () => {
  const seed = await start({ state: 'a' })
  await seed.lease.acquired
  await stop(seed, 'stop')
  scene.copyState('a', 'copy')
  const original = await start({ state: 'a' })
  await original.publisher.ready
  scene.cluster.cut(original.store)
  await scene.clock.advance(60_000)
  assert.equal(original.lease.distrust(), undefined) // local first: cut off is no reason
  const clone = await start({ state: 'copy', name: 'a', bootId: 'boot-2' })
  await clone.publisher.ready
  original.attach(endpoint('n1', original.hostId, 1))
  scene.cluster.heal(original.store)
  await scene.clock.advance(60_000)
  assert.equal(original.lease.state, 'cloned')
  const { items } = await other.range({ prefix: keys.endpoints('n1') })
  assert.deepEqual(items, [])
  assert.equal(clone.lease.state, 'held')
})

test('a lease that ended during a partition is made anew after the heal', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  scene.cluster.cut(agent.store)
  await scene.clock.advance(60_000)
  assert.equal(await aliveOf(agent.hostId), undefined)
  scene.cluster.heal(agent.store)
  await scene.clock.advance(10_000)
  assert.equal(await aliveOf(agent.hostId), agent.lease.record)
  assert.equal(agent.lease.state, 'held')
})

test('a key taken away by hand is back soon, and at once when a write was refused', async () => {
  const agent = await start({ state: 'a' })
  await agent.publisher.ready
  await settle()
  await write(other, remove(keys.alive(agent.hostId)))
  agent.attach(endpoint('n1', agent.hostId, 1))
  await scene.clock.advance(500)
  assert.equal(await aliveOf(agent.hostId), agent.lease.record)
  assert.equal(agent.publisher.publishedSequence, agent.journal.sequence)
})

test('a store put back to a backup with an old sign of life of ours is no clone', async () => {
  const first = await start({ state: 'a' })
  await first.publisher.ready
  const backup = scene.cluster.snapshot()
  await stop(first, 'stop')
  const next = await start({ state: 'a' })
  await next.publisher.ready
  scene.cluster.restore(backup)
  await scene.clock.advance(12_000)
  assert.equal(next.lease.state, 'held')
  assert.equal(await aliveOf(next.hostId), next.lease.record)
})
