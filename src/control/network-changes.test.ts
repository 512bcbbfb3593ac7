import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import type { Network } from '../model/network.ts'
import type { NetworkSpec } from './control.ts'
import { drive, Member } from './member.ts'
import type { NetworkPatch } from './network-patch.ts'

let scene: Scene
const members: Member[] = []

beforeEach(() => {
  scene = new Scene()
})
afterEach(async () => {
  for (const member of members.splice(0)) await member.stop()
  scene[Symbol.dispose]()
})

/** A host whose kernel has everything at once, as its status says, unless it is `mute`. */
async function start(state: string, { mute = false } = {}): Promise<Member> {
  const member = await Member.start(scene, { state })
  members.push(member)
  const { replica, publisher } = member.agent
  const common = { schema: 1, endpoints: 0, failures: [], updatedAt: '' } as const
  const confirm = (): void => {
    if (!mute)
      publisher.setStatus({ ...common, appliedRevision: replica.revision }, replica.revision)
  }
  replica.subscribe((changes) => {
    if (changes.some(({ kind }) => kind === 'network' || kind === 'all')) confirm()
  })
  confirm()
  await scene.clock.advance(1_000)
  return member
}

async function stop(member: Member): Promise<void> {
  members.splice(members.indexOf(member), 1)
  await member.kill()
}

const create = (member: Member, spec: Partial<NetworkSpec> = {}) =>
  drive(scene, member.control.createNetwork({ name: 'blue', subnets: ['10.9.0.0/24'], ...spec }))
const change = (member: Member, patch: NetworkPatch) =>
  drive(scene, member.control.changeNetwork('blue', patch))

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

/** Every record of the network that a host sees, as `carrier+alsoAccepts`. */
function carriersSeen(member: Member): string[] {
  const seen: string[] = []
  member.agent.replica.subscribe((changes) => {
    if (!changes.some(({ kind }) => kind === 'network')) return
    seen.push(carriers(member.control.getNetwork('blue')))
  })
  return seen
}

const carriers = ({ carrier, alsoAccepts }: Network): string =>
  alsoAccepts === undefined ? carrier : `${carrier}+${alsoAccepts}`

test('everything that is not named stays, null is the default, labels are merged', async () => {
  const a = await start('a')
  await create(a, { mtuBytes: 1400, labels: { tier: 'web', old: 'x' }, internal: true })
  const patch = {
    mtuBytes: null,
    labels: { old: null, new: 'y' },
    internal: null,
    masquerade: false,
  }
  const { network, notes } = await change(a, { ...patch, open: ['metadata'] })
  assert.deepEqual(notes, [])
  const { mtuBytes, labels, internal, masquerade, open, prefixes, carrier } = network
  assert.deepEqual(
    { mtuBytes, labels, internal, masquerade, open, prefixes, carrier },
    {
      mtuBytes: undefined,
      labels: { tier: 'web', new: 'y' },
      internal: false,
      masquerade: false,
      open: ['metadata'],
      prefixes: ['10.9.0.0/24'],
      carrier: 'auto',
    },
  )
  assert.deepEqual(a.control.getNetwork('blue'), network)
})

test('a wish that is fulfilled writes nothing', async () => {
  const a = await start('a')
  await create(a)
  const before = scene.cluster.revision
  await change(a, { subnets: ['10.9.0.0/24'], carrier: 'auto', mtuBytes: null })
  assert.equal(scene.cluster.revision, before)
})

test('a full network grows, and the new addresses are given', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, { subnets: ['10.9.0.0/30'] })
  await a.attach('blue')
  await assert.rejects(a.attach('blue'), refused('exhausted', /10\.9\.0\.0\/30/))
  const subnets = ['10.9.0.0/30', '10.10.0.0/24']
  const { network } = await change(a, { subnets, gateways: ['10.10.0.254'] })
  assert.deepEqual(network.gateways, ['10.9.0.1', '10.10.0.254'])
  await scene.clock.advance(1_000)
  for (const host of [a, b]) {
    const { endpoint } = await host.attach('blue')
    assert.match(endpoint.addresses[0] ?? '', /^10\.10\.0\./)
  }
  await assert.rejects(
    a.attach('blue', { addresses: ['10.10.0.254'] }),
    refused('invalid', /the gateway/),
  )
})

test('an empty subnet goes, whoever had blocks and single addresses of it', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, { subnets: ['10.9.0.0/24', '10.10.0.0/24'] })
  await scene.clock.advance(1_000)
  const stays = await a.attach('blue', { addresses: ['10.9.0.9'] })
  const single = await b.attach('blue', { addresses: ['10.10.0.200'] })
  const { network } = await refusedThenDone(a, b, single.endpoint.id)
  assert.deepEqual(network.prefixes, ['10.9.0.0/24'])
  const { items } = await a.agent.store.range({ prefix: '/carrick/' })
  const left = items.filter(({ key }) => /\/(blocks|addresses)\//.test(key) && /4:0a0a/.test(key))
  assert.deepEqual(left, [])
  assert.equal(a.control.getEndpoint(stays.endpoint.id).addresses[0], '10.9.0.9')
  await assert.rejects(
    b.attach('blue', { addresses: ['10.10.0.7'] }),
    refused('invalid', /not in the network/),
  )
  await change(a, { subnets: ['10.9.0.0/24', '10.10.0.0/24'] })
  await scene.clock.advance(1_000)
  await b.attach('blue', { addresses: ['10.10.0.7'] })
})

async function refusedThenDone(a: Member, b: Member, endpointId: string) {
  await scene.clock.advance(3_000)
  const before = a.control.getNetwork('blue')
  await assert.rejects(
    change(a, { subnets: ['10.9.0.0/24'] }),
    refused('conflict', new RegExp(`10\\.10\\.0\\.0/24 has endpoints ${endpointId}, on b`)),
  )
  assert.deepEqual(a.control.getNetwork('blue'), before)
  await b.detach(endpointId)
  await scene.clock.advance(3_000)
  return change(a, { subnets: ['10.9.0.0/24'] })
}

test('a host that is away and keeps a block is named', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, { subnets: ['10.9.0.0/30', '10.10.0.0/24'] })
  await scene.clock.advance(1_000)
  await a.attach('blue')
  const { endpoint } = await b.attach('blue')
  assert.match(endpoint.addresses[0] ?? '', /^10\.10\.0\./)
  await b.detach(endpoint.id)
  await scene.clock.advance(3_000)
  await stop(b)
  await scene.clock.advance(30_000)
  await assert.rejects(
    change(a, { subnets: ['10.9.0.0/30'] }),
    refused('conflict', /hosts keep addresses of subnet 10\.10\.0\.0\/24: b \(away\)/),
  )
})

test('the last subnet stays, a subnet keeps its gateway, and what create refuses is refused', async () => {
  const a = await start('a')
  await create(a, { subnets: ['10.9.0.0/24', 'fd09::/64'], carrier: 'vxlan' })
  await create(a, { name: 'flat', subnets: ['10.20.0.0/16'], carrier: 'direct' })
  const both = ['10.9.0.0/24', 'fd09::/64']
  const many = Array.from({ length: 17 }, (_, i) => `10.${100 + i}.0.0/24`)
  for (const [patch, code, message] of [
    [{ subnets: [] }, 'invalid', /at least one subnet/],
    [{ subnets: many }, 'invalid', /at most 16 subnets/],
    [{ subnets: both, gateways: ['10.9.0.7'] }, 'invalid', /keeps its gateway 10\.9\.0\.1/],
    [{ subnets: [...both, '10.9.0.128/25'] }, 'invalid', /overlaps 10\.9\.0\.0\/24 of the same/],
    [
      { subnets: [...both, '10.20.5.0/24'] },
      'conflict',
      /overlaps 10\.20\.0\.0\/16 of network flat/,
    ],
    [{ mtuBytes: 1000 }, 'invalid', /1280 to 65535/],
    [{ labels: { 'carrick/x': 'y' } }, 'invalid', /reserved/],
  ] as const) {
    await assert.rejects(change(a, patch), refused(code, message), JSON.stringify(patch))
  }
})

test('a carrier without a number needs subnets of its own', async () => {
  const a = await start('a')
  await create(a, { carrier: 'vxlan' })
  await create(a, { name: 'flat', subnets: ['10.9.0.0/16'], carrier: 'direct', force: true })
  await assert.rejects(
    change(a, { carrier: 'auto' }),
    refused('conflict', /10\.9\.0\.0\/24 overlaps 10\.9\.0\.0\/16 of network flat/),
  )
  assert.equal(a.control.getNetwork('blue').alsoAccepts, undefined)
})

test('what a change does not do for those who are there is told', async () => {
  const a = await start('a')
  await create(a)
  await a.attach('blue')
  const { notes } = await change(a, { subnets: ['10.9.0.0/24', 'fd09::/64'] })
  assert.match(notes.join(), /no IPv6 address: attach them anew/)
  const next = await a.attach('blue')
  assert.equal(next.endpoint.addresses.length, 2)
})

test('a subnet with a reserved address stays', async () => {
  const a = await start('a')
  await create(a, { subnets: ['10.9.0.0/24', '10.10.0.0/24'] })
  const network = a.control.getNetwork('blue')
  const key = `/carrick/reservations/${network.id}/web`
  const record = { schema: 1, networkId: network.id, name: 'web', addresses: ['10.10.0.10'] }
  const value = JSON.stringify({ ...record, createdAt: network.createdAt })
  await drive(scene, a.agent.store.txn({ success: [{ kind: 'put', key, value }] }))
  await scene.clock.advance(1_000)
  await assert.rejects(
    change(a, { subnets: ['10.9.0.0/24'] }),
    refused('conflict', /10\.10\.0\.0\/24 has an address that is reserved for web/),
  )
})

test('an MTU that does not fit between hosts is told', async () => {
  const a = await start('a')
  await create(a, { carrier: 'vxlan' })
  const { notes } = await change(a, { mtuBytes: 9000 })
  assert.match(notes.join(), /9000 is more than a can carry/)
})

test('that containers of engines keep the MTU they have is told', async () => {
  const a = await start('a')
  await create(a, { carrier: 'local' })
  const labels = { [ENGINE_LABELS.endpoint]: 'e1' }
  const plug = { network: 'blue', addresses: [], choose: [4] as const, labels }
  await drive(scene, a.control.plug(plug))
  const { notes } = await change(a, { mtuBytes: 1300 })
  assert.match(notes.join(), /one container .* keep the MTU they have until it is started/)
  assert.deepEqual((await change(a, { labels: { a: 'b' } })).notes, [])
})

test('the carrier changes in steps that every host confirms', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await create(a, { carrier: 'local' })
  const seen = carriersSeen(b)
  const { network, notes } = await change(a, { carrier: 'vxlan', mtuBytes: 1400 })
  assert.deepEqual(notes, [])
  assert.deepEqual(seen, ['local+vxlan', 'vxlan+local', 'vxlan'])
  assert.deepEqual([carriers(network), network.mtuBytes], ['vxlan', 1400])
  await change(b, { carrier: 'direct' })
  assert.deepEqual(seen.slice(3), ['vxlan+direct', 'direct+vxlan', 'direct'])
})

test('a host that is away is not waited for, and told; the same wish finishes later', async () => {
  const a = await start('a')
  await create(a, { carrier: 'vxlan' })
  const b = await start('b')
  await stop(b)
  await scene.clock.advance(30_000)
  const startedMs = scene.clock.monotonicMs()
  const { network, notes } = await change(a, { carrier: 'direct' })
  assert.ok(scene.clock.monotonicMs() - startedMs < 5_000)
  assert.equal(carriers(network), 'direct+vxlan')
  assert.match(notes.join(), /b did not confirm.*vxlan is still accepted/)
  scene.cluster.heal(b.agent.store)
  await start('b')
  const again = await change(a, { carrier: 'direct' })
  assert.deepEqual([carriers(again.network), again.notes], ['direct', []])
})

test('a host that lives and does not confirm holds it up for a while only', async () => {
  const a = await start('a')
  await start('slow', { mute: true })
  await create(a, { carrier: 'vxlan' })
  const startedMs = scene.clock.monotonicMs()
  const { network, notes } = await change(a, { carrier: 'local' })
  assert.ok(scene.clock.monotonicMs() - startedMs < 20_000)
  assert.equal(carriers(network), 'local+vxlan')
  assert.match(notes.join(), /slow did not confirm/)
})

for (const [left, target, steps] of [
  ['local+vxlan', 'vxlan', ['vxlan+local', 'vxlan']],
  ['vxlan+local', 'vxlan', ['vxlan']],
  ['vxlan+local', 'local', ['local+vxlan', 'local']],
  ['vxlan+local', 'direct', ['vxlan+direct', 'direct+vxlan', 'direct']],
] as const) {
  test(`a change left at ${left} is finished by the wish for ${target}`, async () => {
    const a = await start('a')
    const network = await create(a, { carrier: 'vxlan' })
    const [carrier, alsoAccepts] = left.split('+')
    const value = JSON.stringify({ ...network, carrier, alsoAccepts })
    const key = `/carrick/networks/${network.id}`
    await drive(scene, a.agent.store.txn({ success: [{ kind: 'put', key, value }] }))
    await scene.clock.advance(1_000)
    const seen = carriersSeen(a)
    await change(a, { carrier: target })
    assert.deepEqual(seen, steps)
  })
}

test('a change left half done does not smuggle in a carrier that needs subnets of its own', async () => {
  const a = await start('a')
  const network = await create(a, { carrier: 'vxlan' })
  await create(a, { name: 'flat', subnets: ['10.9.0.0/16'], carrier: 'direct', force: true })
  const value = JSON.stringify({ ...network, alsoAccepts: 'local' })
  const key = `/carrick/networks/${network.id}`
  await drive(scene, a.agent.store.txn({ success: [{ kind: 'put', key, value }] }))
  await scene.clock.advance(1_000)
  await assert.rejects(change(a, { carrier: 'direct' }), refused('conflict', /of network flat/))
  assert.equal(carriers(a.control.getNetwork('blue')), 'vxlan+local')
})

test('a change that no longer applies to what was read is refused', async () => {
  const a = await start('a')
  await create(a)
  const matches = ({ mtuBytes }: Network): boolean => mtuBytes === undefined
  await change(a, { mtuBytes: 1400 })
  await assert.rejects(
    drive(scene, a.control.changeNetwork('blue', { mtuBytes: 1300 }, { matches })),
    refused('conflict', /has changed since it was read/),
  )
})
