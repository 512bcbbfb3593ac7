import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { type AgentOptions, Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import { ROOT } from '../model/keys.ts'
import { prefix } from '../net/testing.ts'
import type { NetworkSpec } from './control.ts'
import { drive, Member } from './member.ts'
import { checkNetwork } from './network-spec.ts'

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

for (const { why, spec, message } of [
  {
    why: 'host bits',
    spec: { subnets: ['10.80.0.1/16'] },
    message: /did you mean 10\.80\.0\.0\/16\?/,
  },
  { why: 'no prefix', spec: { subnets: ['ten'] }, message: /not a subnet/ },
  { why: 'no subnet', spec: { subnets: [] }, message: /at least one subnet/ },
  {
    why: 'own overlap',
    spec: { subnets: ['10.0.0.0/8', '10.1.0.0/16'] },
    message: /overlaps 10\.0\.0\.0\/8/,
  },
  { why: 'a single address', spec: { subnets: ['10.0.0.1/32'] }, message: /too small/ },
  { why: 'a single IPv6 address', spec: { subnets: ['fd80::1/128'] }, message: /too small/ },
  { why: 'loopback', spec: { subnets: ['127.0.0.0/16'] }, message: /loopback/ },
  { why: 'everything', spec: { subnets: ['0.0.0.0/0'] }, message: /overlaps 0\.0\.0\.0\/8/ },
  { why: 'multicast', spec: { subnets: ['ff02::/64'] }, message: /multicast/ },
  { why: 'IPv4 link-local', spec: { subnets: ['169.254.7.0/24'] }, message: /link-local/ },
  { why: 'IPv6 link-local', spec: { subnets: ['fe80::/64'] }, message: /link-local/ },
  { why: 'a bad name', spec: { name: 'Blue' }, message: /not a name/ },
  {
    why: 'an unknown carrier',
    spec: { carrier: 'pigeon' as never },
    message: /"pigeon" is not a carrier/,
  },
  { why: 'a gateway elsewhere', spec: { gateways: ['10.1.0.1'] }, message: /none of the subnets/ },
  {
    why: 'two gateways',
    spec: { gateways: ['10.80.0.1', '10.80.0.2'] },
    message: /has a gateway already/,
  },
  { why: 'the broadcast as gateway', spec: { gateways: ['10.80.255.255'] }, message: /broadcast/ },
  {
    why: 'a small MTU for IPv6',
    spec: { subnets: ['fd80::/48'], mtuBytes: 1279 },
    message: /1280 to 65535/,
  },
  { why: 'a huge MTU', spec: { mtuBytes: 65536 }, message: /68 to 65535/ },
  { why: 'a reserved label', spec: { labels: { 'carrick/a': 'b' } }, message: /reserved/ },
] as { why: string; spec: Partial<NetworkSpec>; message: RegExp }[]) {
  test(`a network is refused for ${why}`, () => {
    const whole = { name: 'blue', subnets: ['10.80.0.0/16'], ...spec }
    assert.throws(() => checkNetwork(whole), refused('invalid', message))
  })
}

test('all wrong fields are told together', () => {
  try {
    checkNetwork({ name: 'B', subnets: ['10.0.0.1/8', 'x'], mtuBytes: 1 })
    assert.fail('accepted')
  } catch (error) {
    assert.ok(error instanceof NetworkError)
    const pointers = error.fields.map(({ pointer }) => pointer)
    assert.deepEqual(pointers, ['/name', '/subnets/0', '/subnets/1', '/mtuBytes'])
  }
})

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

async function start(state: string, options: Partial<AgentOptions> = {}): Promise<Member> {
  const member = await Member.start(scene, { state, ...options })
  members.push(member)
  return member
}

const make = (member: Member, name: string, spec: Partial<NetworkSpec> = {}) =>
  drive(scene, member.control.createNetwork({ name, subnets: ['10.80.0.0/16'], ...spec }))

test('a network is known here at once, elsewhere soon, by name, id and beginning of the id', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const network = await make(a, 'blue')
  assert.equal(network.vni, 1)
  assert.equal(network.carrier, 'auto')
  assert.deepEqual(network.gateways as readonly string[], ['10.80.0.1'])
  for (const reference of ['blue', network.id, network.id.slice(0, 12)]) {
    assert.equal(a.control.getNetwork(reference).id, network.id)
    assert.equal(b.control.getNetwork(reference).id, network.id)
  }
  assert.throws(() => a.control.getNetwork('red'), refused('not-found', /"red"/))
  await assert.rejects(make(b, 'blue'), refused('already-exists', /there is one of that name/))
})

test('flat networks never overlap, others may when somebody insists', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await make(a, 'one', { carrier: 'direct' })
  await assert.rejects(
    make(b, 'two'),
    refused('conflict', /overlaps 10\.80\.0\.0\/16 of network one/),
  )
  await assert.rejects(
    make(b, 'two', { force: true }),
    refused('conflict', /carrier auto cannot tell them apart/),
  )
  await assert.rejects(
    make(b, 'three', { carrier: 'vxlan' }),
    refused('conflict', /overlaps 10\.80\.0\.0\/16 of network one$/),
  )
  await make(a, 'three', { carrier: 'vxlan', force: true })
  await make(b, 'four', { carrier: 'local', force: true })
})

test('of two flat networks made at the same time, one is refused', async () => {
  const hosts = [await start('a'), await start('b'), await start('c')]
  const made = await drive(
    scene,
    Promise.allSettled(
      hosts.map((host, i) =>
        host.control.createNetwork({ name: `n${i}`, subnets: [`10.80.${i}.0/24`, '10.81.0.0/16'] }),
      ),
    ),
  )
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('of two networks made at the same time with one prefix, one is refused', async () => {
  const hosts = [await start('a'), await start('b'), await start('c')]
  const made = await drive(
    scene,
    Promise.allSettled(
      hosts.map((host, i) =>
        host.control.createNetwork({ name: `n${i}`, subnets: ['10.81.0.0/16'], carrier: 'vxlan' }),
      ),
    ),
  )
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('a route or the underlay of any host refuses a subnet; who insists is written down', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const route = { prefix: prefix('10.80.5.0/24'), device: 'eth1' }
  b.agent.publisher.setFacts({ schema: 1, routes: [route] })
  await scene.clock.advance(5_000)
  await assert.rejects(
    make(a, 'blue'),
    refused(
      'conflict',
      /subnet 10\.80\.0\.0\/16 overlaps route 10\.80\.5\.0\/24 of host b \(device eth1\)$/,
    ),
  )
  await assert.rejects(
    make(a, 'blue', { subnets: ['10.0.0.0/8', '192.0.2.128/25'] }),
    refused('conflict', /192\.0\.2\.0\/24, the underlay of host a \(and 2 more\)$/),
  )
  const by = { uid: 1000, user: 'ada' }
  const { forced } = await make(a, 'blue', { force: true, by })
  assert.deepEqual(
    { uid: forced?.uid, user: forced?.user, overlaps: forced?.overlaps },
    {
      ...by,
      overlaps: [
        { subnet: prefix('10.80.0.0/16'), other: route.prefix, host: 'b', device: 'eth1' },
      ],
    },
  )
  const clean = await make(a, 'red', { subnets: ['10.90.0.0/16'], force: true, by })
  assert.equal(clean.forced, undefined)
})

test('a route that appears later and overlaps is warned about on every host until it goes', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await make(a, 'blue')
  const warnings = () => [a, b].map(({ control }) => control.status().warnings)
  const text =
    'Network blue: 10.80.0.0/16 overlaps route 10.80.7.0/24 of host b (device tun0): its containers cannot reach what lies there'
  b.agent.publisher.setFacts({
    schema: 1,
    routes: [{ prefix: prefix('10.80.7.0/24'), device: 'tun0' }],
  })
  await scene.clock.advance(5_000)
  assert.deepEqual(warnings(), [[text], [text]])
  b.agent.publisher.setFacts({ schema: 1, routes: [] })
  await scene.clock.advance(5_000)
  assert.deepEqual(warnings(), [[], []])
})

test('numbers are not used again, and many are made at once', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const made = await drive(
    scene,
    Promise.all(
      [a, b, a, b].map((host, i) =>
        host.control.createNetwork({
          name: `n${i}`,
          subnets: [`10.${i}.0.0/16`],
          carrier: 'vxlan',
        }),
      ),
    ),
  )
  assert.deepEqual(made.map(({ vni }) => vni).sort(), [1, 2, 3, 4])
  await drive(scene, a.control.removeNetwork('n3'))
  const again = await make(b, 'n3', { carrier: 'vxlan' })
  assert.equal(again.vni, 5)
  assert.ok(!made.some(({ id }) => id === again.id))
})

test('a network in use is not removed, and the hosts are named', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await make(a, 'blue')
  await scene.clock.advance(1_000)
  const { endpoint } = await b.attach('blue')
  await assert.rejects(
    drive(scene, b.control.removeNetwork('blue')),
    refused('conflict', /1 endpoint uses it, on b$/),
  )
  await scene.clock.advance(1_000)
  await assert.rejects(drive(scene, a.control.removeNetwork('blue')), refused('conflict', /on b$/))
  await b.detach(endpoint.id)
  await scene.clock.advance(1_000)
  await drive(scene, a.control.removeNetwork('blue'))
  await scene.clock.advance(1_000)
  for (const kind of ['blocks', 'addresses', 'networks', 'network-names']) {
    assert.equal((await a.agent.store.range({ prefix: `${ROOT}${kind}/` })).count, 0)
  }
  await assert.rejects(b.attach('blue'), refused('not-found', /"blue"/))
})

test('what was detached here a moment ago does not hold a network, though the store has not heard of it', async () => {
  const a = await start('a', { gatherMs: 200 })
  await make(a, 'blue')
  const { endpoint } = await a.attach('blue')
  await scene.clock.advance(1_000)
  await a.detach(endpoint.id)
  assert.equal((await a.agent.store.range({ prefix: `${ROOT}endpoints/` })).count, 1)
  await drive(scene, a.control.removeNetwork('blue'))
  assert.deepEqual(a.control.listNetworks(), [])
})

test('a network is kept while the store cannot be told that its endpoints left', async () => {
  const a = await start('a', { gatherMs: 10_000 })
  await scene.clock.advance(100_000)
  await make(a, 'blue')
  const { endpoint } = await a.attach('blue')
  await scene.clock.advance(100_000)
  await a.detach(endpoint.id)
  await assert.rejects(
    drive(scene, a.control.removeNetwork('blue')),
    refused('unavailable', /1 endpoint that left it here is not yet known/),
  )
  assert.equal(a.control.listNetworks().length, 1)
})

test('without the store networks are listed, and neither made nor removed', async () => {
  const a = await start('a')
  await make(a, 'blue')
  a.cut()
  await scene.clock.advance(1_000)
  assert.equal(a.control.listNetworks().length, 1)
  await assert.rejects(make(a, 'red'), refused('unavailable', /store/))
  await assert.rejects(
    drive(scene, a.control.removeNetwork('blue')),
    refused('unavailable', /store/),
  )
})

test('hosts are listed with what they have, and found by name', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await make(a, 'blue')
  await scene.clock.advance(1_000)
  await b.attach('blue')
  await scene.clock.advance(3_000)
  assert.deepEqual(
    a.control
      .listHosts()
      .map(({ host, self, alive, endpoints }) => [host.name, self, alive, endpoints]),
    [
      ['a', true, true, 0],
      ['b', false, true, 1],
    ],
  )
  assert.equal(a.control.getHost('b').host.id, b.hostId)
  await assert.rejects(drive(scene, a.control.removeHost('b')), refused('conflict', /alive/))
  await assert.rejects(
    drive(scene, a.control.detach(b.control.listEndpoints()[0]?.id ?? '')),
    refused('conflict', /lives on host b/),
  )
})

test('a network without subnets gets one that is free, and two at once get two', async () => {
  const [a, b] = [await start('a'), await start('b')]
  const made = await drive(
    scene,
    Promise.all([
      a.control.createNetwork({ name: 'one' }),
      b.control.createNetwork({ name: 'two' }),
      a.control.createNetwork({ name: 'three' }),
    ]),
  )
  const prefixes = made.flatMap((network) => network.prefixes)
  assert.equal(new Set(prefixes).size, 3)
  for (const each of prefixes) assert.match(each, /^10\.\d+\.0\.0\/16$/)
  await assert.rejects(make(a, 'none', { subnets: [] }), refused('invalid', /at least one subnet/))
})
