import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import { keys } from '../model/keys.ts'
import { drive, Member, type MemberOptions } from './member.ts'

let scene: Scene
let members: Member[] = []

beforeEach(() => {
  scene = new Scene()
  members = []
})
afterEach(async () => {
  for (const member of members) await member.stop()
  scene[Symbol.dispose]()
})

async function start(state: string, options: Partial<MemberOptions> = {}): Promise<Member> {
  const member = await Member.start(scene, { state, ...options })
  members.push(member)
  return member
}

function create(member: Member, name: string, ...subnets: string[]) {
  return drive(scene, member.control.createNetwork({ name, subnets }))
}

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

test('an endpoint gets one address per family from the far end, and is published', async () => {
  const a = await start('a')
  const network = await create(a, 'blue', '10.80.0.0/16', 'fd80::/48')
  const { endpoint, revision } = await a.attach('blue', { name: 'web', labels: { app: 'web' } })
  const [v4 = '', v6 = ''] = endpoint.addresses
  assert.match(v4, /^10\.80\.25[45]\./)
  assert.match(v6, /^fd80:0:0:fff/)
  assert.equal(endpoint.number, 1)
  assert.match(endpoint.device, /^ck[0-9a-f]{12}$/)
  assert.equal(endpoint.ifname, 'eth0')
  assert.ok(revision > 0)
  await scene.clock.advance(3_000)
  const { items } = await a.agent.store.range({ prefix: keys.endpoints(network.id) })
  assert.equal(items.length, 1)
  assert.equal(a.control.status().endpoints.local, 1)
})

test('after the first endpoint a host has a spare block, and attaches without the store', async () => {
  const a = await start('a')
  await create(a, 'blue', '10.9.0.0/24')
  await a.attach('blue')
  await scene.clock.advance(1_000)
  const { count } = await a.agent.store.range({ prefix: '/carrick/blocks/' })
  assert.equal(count, 2)
  a.cut()
  // two blocks of eight, each with an address of the host, the last with the broadcast address
  for (let i = 1; i < 13; i++) await a.attach('blue')
  const rest = [a.attach('blue'), a.attach('blue')]
  await assert.rejects(Promise.all(rest), refused('unavailable', /no free address/))
  await Promise.allSettled(rest)
  await a.heal()
  await a.attach('blue')
})

test('ten hosts share a /24, and its last address is found', async () => {
  const hosts = []
  for (let i = 0; i < 10; i++) hosts.push(await start(`h${i}`))
  const [first] = hosts
  assert.ok(first)
  await create(first, 'blue', '10.9.0.0/24')
  await scene.clock.advance(1_000)
  const seen = new Set<string>()
  for (let round = 0; round < 2; round++) {
    for (const host of hosts) {
      const { endpoint } = await host.attach('blue')
      seen.add(endpoint.addresses[0] ?? '')
    }
  }
  assert.equal(seen.size, 20)
  // 32 blocks, each with an address of its host
  for (let i = 20; i < 221; i++) {
    const { endpoint } = await first.attach('blue')
    seen.add(endpoint.addresses[0] ?? '')
  }
  assert.equal(seen.size, 221)
  await assert.rejects(
    first.attach('blue'),
    refused('exhausted', /^Cannot allocate from 10\.9\.0\.0\/24: all 221 addresses are in use$/),
  )
}, 60_000)

for (const { subnet, room } of [
  { subnet: '198.51.100.0/30', room: 1 },
  { subnet: '198.51.100.0/31', room: 1 },
  { subnet: '198.51.100.0/29', room: 5 },
  { subnet: '2001:db8::/126', room: 2 },
  { subnet: '2001:db8::/127', room: 1 },
  { subnet: '2001:db8::/120', room: 222 },
]) {
  test(`${subnet} serves ${room} and then says so`, async () => {
    const a = await start('a')
    await create(a, 'tiny', subnet)
    const seen = new Set<string>()
    for (let i = 0; i < room; i++) {
      seen.add((await a.attach('tiny')).endpoint.addresses.join())
    }
    assert.equal(seen.size, room)
    await assert.rejects(
      a.attach('tiny'),
      refused('exhausted', new RegExp(`all ${room} addresses`)),
    )
  })
}

test('a released address rests, unless it is asked for or nothing else is left', async () => {
  const a = await start('a')
  await create(a, 'tiny', '198.51.100.0/29')
  const { endpoint } = await a.attach('tiny')
  const [address = ''] = endpoint.addresses
  await a.detach(endpoint.id)
  const others = []
  for (let i = 0; i < 4; i++) others.push((await a.attach('tiny')).endpoint.addresses[0])
  assert.ok(!others.includes(address as never))
  const asked = await a.attach('tiny', { addresses: [address] })
  assert.deepEqual(asked.endpoint.addresses as readonly string[], [address])
  await a.detach(asked.endpoint.id)
  const last = await a.attach('tiny')
  assert.deepEqual(last.endpoint.addresses as readonly string[], [address])
})

test('an address in unclaimed space becomes static and is nobody else’s', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const network = await create(a, 'blue', '10.9.0.0/24')
  await scene.clock.advance(1_000)
  const { endpoint } = await a.attach('blue', { addresses: ['10.9.0.7'] })
  await scene.clock.advance(1_000)
  await assert.rejects(
    b.attach('blue', { addresses: ['10.9.0.7'] }),
    refused('already-exists', /10\.9\.0\.7/),
  )
  await a.detach(endpoint.id)
  await scene.clock.advance(2_000)
  const { count } = await a.agent.store.range({ prefix: keys.addresses(network.id) })
  assert.equal(count, 0)
  await b.attach('blue', { addresses: ['10.9.0.7'] })
})

test('an address inside another host’s block is granted by that host alone', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const network = await create(a, 'blue', '10.9.0.0/24')
  await scene.clock.advance(1_000)
  const mine = (await a.attach('blue')).endpoint.addresses[0] ?? ''
  await scene.clock.advance(1_000)
  const free = `10.9.0.${Number(mine.split('.')[3]) + 1}`
  await assert.rejects(b.attach('blue', { addresses: [mine] }), refused('already-exists', /host a/))
  const granted = await b.attach('blue', { addresses: [free] })
  assert.deepEqual(granted.endpoint.addresses as readonly string[], [free])
  for (let i = 0; i < 14; i++) {
    const { endpoint } = await a.attach('blue')
    assert.ok(!endpoint.addresses.includes(free as never))
  }
  await b.detach(granted.endpoint.id)
  await scene.clock.advance(5_000)
  assert.equal((await a.agent.store.range({ prefix: keys.addresses(network.id) })).count, 0)
  await a.attach('blue', { addresses: [free] })
  a.cut()
  const other = `10.9.0.${Number(mine.split('.')[3]) + 2}`
  await assert.rejects(b.attach('blue', { addresses: [other] }), (error) =>
    refused('unavailable', /host a|claimed/)(error),
  )
})

test('the address of a host is no endpoint’s, and the refusal names the host', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, 'blue', '10.9.0.0/24')
  await scene.clock.advance(1_000)
  const [mine = ''] = (await a.attach('blue')).endpoint.addresses
  await scene.clock.advance(1_000)
  const block = Number(mine.split('.')[3]) & ~7
  const own = `10.9.0.${block === 248 ? 254 : block + 7}`
  const message = new RegExp(`^Cannot use ${own}: it is the address of host a in this network$`)
  for (const member of [a, b]) {
    await assert.rejects(
      member.attach('blue', { addresses: [own] }),
      refused('already-exists', message),
    )
  }
})

test('a removed host gives no addresses, and its blocks serve others', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, 'blue', '198.51.100.0/28')
  await scene.clock.advance(1_000)
  await a.attach('blue')
  b.cut()
  await scene.clock.advance(60_000)
  await assert.rejects(drive(scene, a.control.removeHost('a')), refused('conflict', /runs on it/))
  await drive(scene, a.control.removeHost('b'))
  scene.cluster.heal(b.agent.store)
  await scene.clock.advance(40_000)
  await assert.rejects(b.attach('blue'), refused('conflict', /removed from the cluster/))
  for (let i = 1; i < 13; i++) await a.attach('blue')
  await assert.rejects(a.attach('blue'), refused('exhausted', /all 13/))
})

test('a failure of the kernel takes the record away again', async () => {
  const a = await start('a')
  await create(a, 'blue', '10.9.0.0/24')
  a.ports.refusal = new NetworkError('timeout', 'Cannot wait')
  await assert.rejects(a.attach('blue', { name: 'web' }), refused('timeout', /Cannot wait/))
  assert.equal(a.control.listEndpoints().length, 0)
  assert.equal(a.ports.held.size, 0)
  const { endpoint } = await a.attach('blue', { name: 'web' })
  assert.equal(endpoint.number, 1)
})

test('names, places and addresses are taken once', async () => {
  const a = await start('a')
  await create(a, 'blue', '10.9.0.0/24')
  const { endpoint } = await a.attach('blue', { name: 'web', netns: '/run/netns/x' })
  await assert.rejects(a.attach('blue', { name: 'web' }), refused('already-exists', /"web"/))
  await assert.rejects(
    a.attach('blue', { netns: '/run/netns/x' }),
    refused('already-exists', /network blue is in this namespace already/),
  )
  await assert.rejects(
    a.attach('blue', { netns: '/run/netns/x', ifname: 'eth0' }),
    refused('already-exists', /eth0 in this namespace belongs to endpoint web/),
  )
  assert.equal(a.ports.held.size, 0)
  await assert.rejects(
    a.attach('blue', { addresses: [endpoint.addresses[0] ?? ''] }),
    refused('already-exists', /endpoint web/),
  )
  assert.equal(a.control.getEndpoint('web').id, endpoint.id)
  assert.equal(a.control.getEndpoint(endpoint.id.slice(0, 20)).id, endpoint.id)
  await a.detach('web')
  await a.detach(endpoint.id) // gone already
  await assert.rejects(a.detach('web'), refused('not-found', /"web"/))
  assert.equal(a.ports.held.size, 0)
})

for (const { spec, message } of [
  { spec: { addresses: ['10.9.0.0'] }, message: /network address/ },
  { spec: { addresses: ['10.9.0.1'] }, message: /the gateway/ },
  { spec: { addresses: ['10.9.0.255'] }, message: /broadcast/ },
  { spec: { addresses: ['10.10.0.2'] }, message: /not in the network, which has 10\.9\.0\.0\/24/ },
  { spec: { addresses: ['10.9.0.2', '10.9.0.3'] }, message: /second address/ },
  { spec: { addresses: ['x'] }, message: /not an address/ },
  { spec: { mac: '01:00:00:00:00:01' }, message: /MAC/ },
  { spec: { name: 'Web' }, message: /not a name/ },
  { spec: { ifname: 'averylonginterface' }, message: /longer than 15/ },
  { spec: { ifname: 'lo' }, message: /every namespace has one/ },
  { spec: { labels: { 'carrick/x': 'y' } }, message: /reserved/ },
  { spec: { netns: 'relative' }, message: /absolute/ },
  { spec: { netns: '/a', pid: 1 }, message: /either/ },
]) {
  test(`attach refuses ${JSON.stringify(spec)}`, async () => {
    const a = await start('a')
    await create(a, 'blue', '10.9.0.0/24')
    await assert.rejects(a.attach('blue', spec), refused('invalid', message))
    assert.equal(a.ports.held.size, 0)
  })
}

test('a removal that was interrupted is finished by the id', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const network = await create(a, 'blue', '10.9.0.0/24')
  await scene.clock.advance(1_000)
  await b.attach('blue')
  await scene.clock.advance(3_000)
  b.cut()
  await scene.clock.advance(60_000)
  await a.agent.store.txn({ success: [{ kind: 'delete', range: { key: keys.host(b.hostId) } }] })
  await scene.clock.advance(1_000)
  await drive(scene, a.control.removeHost(b.hostId))
  for (const prefix of [keys.endpoints(network.id), keys.blocks(network.id)]) {
    assert.equal((await a.agent.store.range({ prefix })).count, 0)
  }
  await scene.clock.advance(1_000)
  await assert.rejects(drive(scene, a.control.removeHost(b.hostId)), refused('not-found', /host/))
})

test('after the store was restored nobody claims before every host has said what it has', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, 'blue', '198.51.100.0/28')
  await scene.clock.advance(1_000)
  const before = scene.cluster.snapshot()
  const { endpoint } = await b.attach('blue')
  await a.attach('blue')
  await scene.clock.advance(3_000)
  b.cut()
  scene.cluster.restore(before)
  await scene.clock.advance(10_000)
  const more = []
  for (let i = 0; i < 4; i++) more.push(a.attach('blue').catch((error: unknown) => error))
  const errors = (await Promise.all(more)).filter((result) => result instanceof NetworkError)
  assert.ok(errors.length > 0)
  for (const error of errors) refused('unavailable', /store was restored/)(error)
  await b.heal()
  const after = await a.attach('blue')
  assert.notDeepEqual(after.endpoint.addresses, endpoint.addresses)
  const { items } = await a.agent.store.range({ prefix: '/carrick/ipam/restore/' })
  assert.deepEqual(items, [])
  assert.deepEqual(b.control.status().failures, [])
})
