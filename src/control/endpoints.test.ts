import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import type { ObjectFailure } from '../model/host.ts'
import { drive, Member } from './member.ts'

let scene: Scene
let member: Member

beforeEach(async () => {
  scene = new Scene()
  member = await Member.start(scene, { state: 'a' })
  for (const [name, subnet] of [
    ['blue', '10.9.0.0/24'],
    ['red', '10.8.0.0/24'],
  ] as const) {
    await drive(scene, member.control.createNetwork({ name, subnets: [subnet] }))
  }
})
afterEach(async () => {
  await member.stop()
  scene[Symbol.dispose]()
})

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

async function restart(options: { cut?: boolean } = {}): Promise<void> {
  const { store } = member.agent
  await member.kill()
  if (options.cut !== true) scene.cluster.heal(store)
  member = await drive(scene, Member.start(scene, { state: 'a', store }))
}

test('an object that failed takes its endpoint along, with its code', async () => {
  const own = member.ports
  // Whatever the new endpoint is called: the kernel refuses it.
  own.failures = new Proxy<ObjectFailure[]>([], {
    get: (_none, key) =>
      key === 'find'
        ? (is: (failure: ObjectFailure) => boolean) => {
            const [endpoint] = member.control.listEndpoints()
            const failure: ObjectFailure = {
              object: `endpoint/${endpoint?.id}`,
              code: 'already-exists',
              message: 'Cannot create eth0: it is there',
              since: '2026-01-01T00:00:00.000Z',
              attempts: 1,
            }
            return is(failure) ? failure : undefined
          }
        : undefined,
  })
  await assert.rejects(member.attach('blue'), refused('already-exists', /Cannot create eth0/))
  assert.deepEqual(member.control.listEndpoints(), [])
  own.failures = []
  await member.attach('blue')
})

test('a sandbox may be on two networks, and is held only while it is being attached', async () => {
  const netns = '/run/netns/x'
  const blue = await member.attach('blue', { netns })
  const red = await member.attach('red', { netns, ifname: 'eth1' })
  assert.equal(blue.endpoint.number, 1)
  assert.equal(red.endpoint.number, 2)
  assert.equal(member.ports.held.size, 0)
  await member.detach(blue.endpoint.id)
  await member.detach(red.endpoint.id)
})

test('the smallest free number is given', async () => {
  const ids = []
  for (let i = 0; i < 4; i++) ids.push((await member.attach('blue')).endpoint.id)
  await member.detach(ids[1] ?? '')
  await member.detach(ids[2] ?? '')
  assert.equal((await member.attach('blue')).endpoint.number, 2)
  assert.equal((await member.attach('blue')).endpoint.number, 3)
  assert.equal((await member.attach('blue')).endpoint.number, 5)
})

test('eight at once get eight of everything', async () => {
  const done = await drive(
    scene,
    Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        member.control.attach({ network: 'blue', netns: `/run/netns/${i}` }),
      ),
    ),
  )
  for (const field of ['id', 'number', 'device', 'mac'] as const) {
    assert.equal(new Set(done.map(({ endpoint }) => endpoint[field])).size, 8)
  }
  assert.equal(new Set(done.map(({ endpoint }) => endpoint.addresses[0])).size, 8)
})

test('two attaches at once do not get one name, one place or one address', async () => {
  const twice = (spec: object) =>
    drive(
      scene,
      Promise.allSettled([
        member.control.attach({ network: 'blue', netns: '/run/netns/a', ...spec }),
        member.control.attach({ network: 'blue', netns: '/run/netns/b', ...spec }),
      ]),
    )
  for (const spec of [{ name: 'web' }, { addresses: ['10.9.0.9'] }, { netns: '/run/netns/c' }]) {
    const done = await twice(spec)
    assert.equal(
      done.filter(({ status }) => status === 'fulfilled').length,
      1,
      JSON.stringify(spec),
    )
    for (const { id } of member.control.listEndpoints()) await member.detach(id)
  }
})

test('after a crash, without the store, everything is as before and goes on', async () => {
  const { endpoint } = await member.attach('blue', { name: 'web' })
  await scene.clock.advance(2_000)
  await restart({ cut: true })
  assert.deepEqual(member.control.getEndpoint('web'), endpoint)
  const next = await member.attach('blue', { netns: '/run/netns/next' })
  assert.notEqual(next.endpoint.addresses[0], endpoint.addresses[0])
  assert.equal(next.endpoint.number, 2)
  await assert.rejects(
    member.attach('blue', { name: 'web', netns: '/run/netns/other' }),
    refused('already-exists', /name "web" belongs to endpoint/),
  )
})

test('a name is found within its network, and asked for when it is in two', async () => {
  const blue = await member.attach('blue', { name: 'web' })
  const red = await member.attach('red', { name: 'web' })
  assert.equal(member.control.getEndpoint('web', 'red').id, red.endpoint.id)
  assert.throws(() => member.control.getEndpoint('web'), refused('invalid', /which endpoint "web"/))
  await drive(scene, member.control.detach('web', 'blue'))
  assert.equal(member.control.getEndpoint('web').id, red.endpoint.id)
  assert.deepEqual(member.control.listEndpoints({ network: 'blue' }), [])
  assert.ok(blue.endpoint.id !== red.endpoint.id)
})

test('a namespace that cannot be opened is nothing half done', async () => {
  const hold = member.ports.sandboxes.hold
  Object.assign(member.ports.sandboxes, {
    hold: () => {
      throw new NetworkError('not-found', 'Cannot open the namespace: there is none')
    },
  })
  await assert.rejects(member.attach('blue', { name: 'web' }), refused('not-found', /namespace/))
  Object.assign(member.ports.sandboxes, { hold })
  await member.attach('blue', { name: 'web' })
})

test('status tells what is there, and drops are told by name', async () => {
  const { endpoint } = await member.attach('blue', { name: 'web' })
  const status = await member.control.waitSettled(1_000)
  assert.deepEqual(status.endpoints, { local: 1, remote: 0 })
  assert.equal(status.networks, 2)
  assert.equal(status.hostName, 'a')
  assert.equal(status.store.connected, true)
  assert.deepEqual(status.warnings, [])
  member.drops = [
    { reason: 'spoofed', endpointNumber: 1, packets: 3, bytes: 180 },
    { reason: 'ignored', endpointNumber: 1, packets: 9, bytes: 900 },
    { reason: 'not-a-member', endpointNumber: 0, packets: 1, bytes: 60 },
  ]
  assert.deepEqual(await member.control.listDrops(), [
    {
      reason: 'spoofed',
      packets: 3,
      bytes: 180,
      endpointId: endpoint.id,
      endpointName: 'web',
      network: 'blue',
    },
    { reason: 'not-a-member', packets: 1, bytes: 60 },
  ])
  assert.equal((await member.control.listDrops({ all: true })).length, 3)
})
