import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import type { AttachAllSpec } from './control.ts'
import { drive, Member } from './member.ts'

let scene: Scene
let member: Member

beforeEach(async () => {
  scene = new Scene()
  member = await Member.start(scene, { state: 'a' })
  const networks = [
    { name: 'lan', subnets: ['10.1.0.0/24'] },
    { name: 'blue', subnets: ['10.2.0.0/24', 'fd02::/64'] },
    { name: 'shop', subnets: ['10.3.0.0/24'] },
    { name: 'quiet', subnets: ['10.4.0.0/24'], internal: true },
  ]
  for (const spec of networks) await drive(scene, member.control.createNetwork(spec))
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

const attachAll = (spec: Partial<AttachAllSpec>) =>
  drive(scene, member.control.attachAll({ netns: '/run/netns/x', networks: [], ...spec }))

const named = (...networks: string[]) => networks.map((network) => ({ network }))

/** Interface and rank by network, of all endpoints there are. */
function standing(): Record<string, string> {
  return Object.fromEntries(
    member.control.listEndpoints().map(({ networkId, ifname, order }) => {
      return [member.control.getNetwork(networkId).name, `${ifname} ${order}`]
    }),
  )
}

test('several networks are one commit, with interfaces and ranks in their order', async () => {
  const before = member.agent.journal.sequence
  const done = await attachAll({ networks: named('lan', 'blue', 'shop'), name: 'web' })
  assert.equal(member.agent.journal.sequence, before + 1)
  assert.deepEqual(standing(), { lan: 'eth0 0', blue: 'eth1 1', shop: 'eth2 2' })
  assert.deepEqual(
    done.map(({ endpoint }) => [endpoint.number, endpoint.name, endpoint.ifname]),
    [
      [1, 'web', 'eth0'],
      [2, 'web', 'eth1'],
      [3, 'web', 'eth2'],
    ],
  )
  assert.equal(member.ports.held.size, 0)
})

test('one more comes after the others, on the first free interface', async () => {
  await attachAll({ networks: named('lan', 'blue') })
  await drive(scene, member.control.detach(idIn('lan')))
  assert.deepEqual(standing(), { blue: 'eth1 1' })
  await member.attach('shop', { netns: '/run/netns/x' })
  assert.deepEqual(standing(), { blue: 'eth1 1', shop: 'eth0 2' })
})

test('another network may be the default route, at once or later', async () => {
  await attachAll({
    networks: [{ network: 'lan' }, { network: 'blue', defaultRoute: true }],
  })
  assert.deepEqual(standing(), { lan: 'eth0 1', blue: 'eth1 0' })
  await member.attach('shop', { netns: '/run/netns/x', defaultRoute: true })
  assert.deepEqual(standing(), { lan: 'eth0 2', blue: 'eth1 1', shop: 'eth2 0' })
})

test('an interface that was named is not given to another', async () => {
  await attachAll({ networks: [{ network: 'lan' }, { network: 'blue', ifname: 'eth0' }] })
  assert.deepEqual(standing(), { lan: 'eth1 0', blue: 'eth0 1' })
})

test('an address goes to the network that has it', async () => {
  const done = await attachAll({
    networks: named('lan', 'blue'),
    addresses: ['10.2.0.9', '10.1.0.8', 'fd02::9'],
  })
  assert.deepEqual(
    done.map(({ endpoint }) => endpoint.addresses),
    [['10.1.0.8'], ['10.2.0.9', 'fd02::9']],
  )
})

test('one network twice needs a name for its interface', async () => {
  const twice = [{ network: 'lan' }, { network: 'lan', ifname: 'lan1' }]
  await attachAll({ networks: twice })
  assert.deepEqual(
    member.control.listEndpoints().map(({ ifname }) => ifname),
    ['eth0', 'lan1'],
  )
})

for (const { what, spec, code = 'invalid', message } of [
  { what: 'no network', spec: { networks: [] }, message: /at least one network/ },
  { what: 'one twice', spec: { networks: named('lan', 'lan') }, message: /name an interface/ },
  {
    what: 'two default routes',
    spec: {
      networks: [
        { network: 'lan', defaultRoute: true },
        { network: 'blue', defaultRoute: true },
      ],
    },
    message: /one default route, and network lan is to give it already/,
  },
  {
    what: 'an internal default route',
    spec: { networks: [{ network: 'lan' }, { network: 'quiet', defaultRoute: true }] },
    message: /quiet is internal/,
  },
  {
    what: 'a foreign address',
    spec: { networks: named('lan', 'blue'), addresses: ['10.3.0.5'] },
    message: /10\.3\.0\.5 is in none of the networks lan, blue/,
  },
  {
    what: 'an ambiguous address',
    spec: {
      networks: [{ network: 'lan' }, { network: 'lan', ifname: 'b' }],
      addresses: ['10.1.0.5'],
    },
    message: /could be of networks lan and lan/,
  },
  {
    what: 'one interface twice',
    spec: {
      networks: [
        { network: 'lan', ifname: 'a' },
        { network: 'blue', ifname: 'a' },
      ],
    },
    message: /a is named twice/,
  },
  {
    what: 'a network that is not there',
    spec: { networks: named('lan', 'nowhere') },
    code: 'not-found',
    message: /nowhere/,
  },
]) {
  test(`refused as a whole: ${what}`, async () => {
    await assert.rejects(attachAll(spec), refused(code, message))
    assert.deepEqual(member.control.listEndpoints(), [])
    assert.equal(member.ports.held.size, 0)
  })
}

test('networks whose subnets overlap are refused in one namespace, and only there', async () => {
  await drive(
    scene,
    member.control.createNetwork({
      name: 'twin',
      subnets: ['10.1.0.0/16'],
      carrier: 'vxlan',
      force: true,
    }),
  )
  const problem = /10\.1\.0\.0\/16 of network twin overlaps 10\.1\.0\.0\/24 of network lan/
  await assert.rejects(attachAll({ networks: named('lan', 'twin') }), refused('invalid', problem))
  await attachAll({ networks: named('lan', 'blue') })
  const late = member.attach('twin', { netns: '/run/netns/x' })
  await assert.rejects(late, refused('conflict', problem))
  await member.attach('twin', { netns: '/run/netns/y' })
})

test('what the kernel refuses of one network takes the others along', async () => {
  member.ports.refusal = new NetworkError('timeout', 'Cannot wait any longer')
  await assert.rejects(
    attachAll({ networks: named('lan', 'blue') }),
    refused('timeout', /any longer/),
  )
  assert.deepEqual(member.control.listEndpoints(), [])
})

test('two at once in one namespace share neither interfaces nor ranks', async () => {
  const target = { netns: '/run/netns/x' }
  const both = Promise.all([
    member.control.attachAll({ ...target, networks: named('lan', 'quiet') }),
    member.control.attachAll({ ...target, networks: named('blue', 'shop') }),
  ])
  await drive(scene, both)
  const places = Object.values(standing())
  assert.deepEqual(places.map((place) => place.split(' ')[0]).sort(), [
    'eth0',
    'eth1',
    'eth2',
    'eth3',
  ])
  assert.deepEqual(places.map((place) => place.split(' ')[1]).sort(), ['0', '1', '2', '3'])
})

function idIn(network: string): string {
  return member.control.listEndpoints({ network })[0]?.id ?? ''
}
