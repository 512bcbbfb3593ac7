import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'
import { prefixContains } from '../net/prefix.ts'
import { ip, prefix } from '../net/testing.ts'
import { drive, Member } from './member.ts'

const RANGE = prefix('10.9.5.0/24')
const POOL = { [ENGINE_LABELS.pool]: 'carrick/10.9.0.0/16' }
let scene: Scene
let member: Member
let other: Member

beforeEach(async () => {
  scene = new Scene()
  member = await Member.start(scene, { state: 'a' })
  other = await Member.start(scene, { state: 'b' })
  for (const [name, subnets] of [
    ['blue', ['10.9.0.0/16']],
    ['dual', ['10.8.0.0/16', 'fd80::/64']],
  ] as const) {
    await drive(scene, member.control.createNetwork({ name, subnets }))
  }
  await scene.clock.advance(1_000)
})
afterEach(async () => {
  await member.stop()
  await other.stop()
  scene[Symbol.dispose]()
})

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

type Hold = Parameters<Member['control']['holdAddress']>[0]

function hold(spec: Partial<Hold> = {}, at = member) {
  return drive(scene, at.control.holdAddress({ network: 'blue', labels: POOL, ...spec }))
}

function plug(id: string, addresses: readonly string[], spec: object = {}, at = member) {
  const labels = { [ENGINE_LABELS.endpoint]: id }
  return drive(scene, at.control.plug({ network: 'blue', addresses, labels, ...spec }))
}

test('a held address is taken over by the endpoint that is plugged with it', async () => {
  const { address, endpointId, prefix: found } = await hold()
  assert.equal(found, prefix('10.9.0.0/16'))
  assert.equal(member.control.getEndpoint(endpointId).attachment, 'held')
  const before = member.agent.journal.sequence
  const { endpoint, revision } = await plug('e1', [address])
  assert.equal(revision, before + 1)
  assert.deepEqual(endpoint.addresses, [address])
  assert.equal(endpoint.attachment, 'engine')
  assert.match(endpoint.device, /^ck[0-9a-f]{12}$/)
  assert.equal(endpoint.ifname, `cke${endpoint.device.slice(2)}`)
  assert.deepEqual(
    member.control.listEngineEndpoints().map(({ id }) => id),
    [endpoint.id],
  )
  assert.equal(member.control.plugged('e1')?.id, endpoint.id)
  await drive(scene, member.control.unplug('e1'))
  await drive(scene, member.control.unplug('e1'))
  await drive(scene, member.control.releaseHeld('blue', address))
  assert.deepEqual(member.control.listEndpoints(), [])
})

test('releasing lets go of what is held, and of nothing that an endpoint has', async () => {
  const { address } = await hold({ address: '10.9.3.3' })
  await plug('e1', [address])
  await drive(scene, member.control.releaseHeld('blue', address))
  assert.equal(member.control.plugged('e1')?.addresses[0], address)
  const free = await hold({ address: '10.9.3.4' })
  await drive(scene, member.control.releaseHeld('blue', free.address))
  await drive(scene, member.control.releaseHeld('blue', free.address))
  await drive(scene, member.control.releaseHeld('gone', free.address))
  await hold({ address: '10.9.3.4', labels: { [ENGINE_LABELS.pool]: 'another' } })
})

test('who holds an address gets it again; nobody else does', async () => {
  const first = await hold({ address: '10.9.3.3' })
  assert.deepEqual(await hold({ address: '10.9.3.3' }), first)
  const labels = { [ENGINE_LABELS.pool]: 'another' }
  const taken = refused('already-exists', /10\.9\.3\.3: a container engine has it/)
  await assert.rejects(hold({ address: '10.9.3.3', labels }), taken)
  await plug('e1', [first.address])
  await assert.rejects(hold({ address: '10.9.3.3' }), refused('already-exists', /has it/))
})

test('what another host has set aside is answered equally, and plugged by nobody', async () => {
  const labels = { [ENGINE_LABELS.aux]: 'router' }
  const first = await hold({ address: '10.9.3.3', labels })
  await scene.clock.advance(1_000)
  assert.deepEqual(await hold({ address: '10.9.3.3', labels }, other), first)
  await assert.rejects(
    plug('e2', [first.address], {}, other),
    refused('already-exists', /10\.9\.3\.3/),
  )
  await drive(scene, other.control.releaseHeld('blue', first.address))
  assert.deepEqual(await hold({ address: '10.9.3.3', labels }), first)
})

test('what another host holds for a container is not held twice', async () => {
  await hold({ address: '10.9.3.3' })
  await scene.clock.advance(1_000)
  await assert.rejects(
    hold({ address: '10.9.3.3' }, other),
    refused('already-exists', /10\.9\.3\.3/),
  )
})

test('an auxiliary address is held for nobody', async () => {
  const labels = { ...POOL, [ENGINE_LABELS.aux]: 'router' }
  await hold({ address: '10.9.3.3', labels })
  await assert.rejects(plug('e1', ['10.9.3.3']), refused('already-exists', /a container engine/))
  assert.deepEqual((await hold({ address: '10.9.3.3', labels })).address, ip('10.9.3.3'))
})

test('held addresses and plugged endpoints survive a crash of the daemon, without the store', async () => {
  const held = await hold()
  const { endpoint } = await plug('e1', [(await hold()).address])
  await scene.clock.advance(1_000)
  const { store } = member.agent
  await member.kill()
  scene.cluster.cut(store)
  member = await drive(scene, Member.start(scene, { state: 'a', store }))
  await scene.clock.advance(3_000)
  assert.equal(member.control.plugged('e1')?.id, endpoint.id)
  const again = await plug('e2', [held.address])
  assert.deepEqual(again.endpoint.addresses, [held.address])
  assert.notEqual(again.endpoint.run, endpoint.run)
  await drive(scene, member.control.unplug('e1'))
  await drive(scene, member.control.unplug('e2'))
  scene.cluster.heal(store)
  await scene.clock.advance(40_000)
  assert.deepEqual([...other.control.listEndpoints()], [])
})

test('addresses are held, plugged and unplugged from local state while the store is away', async () => {
  await hold()
  await scene.clock.advance(2_000)
  member.cut()
  for (let i = 0; i < 20; i++) {
    const { address } = await hold()
    await plug(`e${i}`, [address])
  }
  for (let i = 0; i < 20; i++) await drive(scene, member.control.unplug(`e${i}`))
  await assert.rejects(hold({ address: '10.9.77.7' }), refused('unavailable', /store|connect/))
  await member.heal()
})

test('chosen addresses come from the range, those that are asked for from the whole prefix', async () => {
  const chosen = new Set<string>()
  for (let i = 0; i < 30; i++) {
    const { address } = await hold({ within: RANGE })
    assert.ok(prefixContains(RANGE, address), address)
    chosen.add(address)
  }
  assert.equal(chosen.size, 30)
  assert.equal((await hold({ within: RANGE, address: '10.9.200.7' })).address, ip('10.9.200.7'))
  const outside = refused('invalid', /10\.1\.0\.0\/24 is not in the network/)
  await assert.rejects(hold({ within: prefix('10.1.0.0/24') }), outside)
})

test('a range smaller than a block is given out to its last address, to several hosts', async () => {
  const within = prefix('10.9.5.8/29')
  const chosen = new Set<string>()
  for (let i = 0; i < 8; i++) {
    const { address } = await hold({ within }, i % 2 === 0 ? member : other)
    await scene.clock.advance(1_000)
    assert.ok(prefixContains(within, address), address)
    chosen.add(address)
  }
  assert.equal(chosen.size, 8)
  await assert.rejects(hold({ within }), refused('exhausted', /10\.9\.5\.8\/29: all 8 addresses/))
})

test('a range is given out to its end whichever hosts have its blocks', async () => {
  const within = prefix('10.9.5.0/25')
  const chosen = new Set<string>()
  // two blocks of 64, of which each host keeps the last address for itself
  for (let i = 0; i < 126; i++) {
    const { address } = await hold({ within }, i % 3 === 0 ? member : other)
    assert.ok(prefixContains(within, address), address)
    chosen.add(address)
  }
  assert.equal(chosen.size, 126)
  await assert.rejects(hold({ within }), refused('exhausted', /10\.9\.5\.0\/25/))
})

test('the same endpoint plugged twice is one, also at the same time', async () => {
  const { address } = await hold()
  const [a, b] = await Promise.all([plug('e1', [address]), plug('e1', [address])])
  assert.equal(a.endpoint.id, b.endpoint.id)
  assert.equal((await plug('e1', [address])).endpoint.id, a.endpoint.id)
  const other = refused('already-exists', /endpoint e1 has/)
  await assert.rejects(plug('e1', ['10.9.3.3']), other)
})

test('both families are held one by one; what is lacking is chosen where that is asked for', async () => {
  const v4 = await hold({ network: 'dual' })
  const v6 = await hold({ network: 'dual', family: 6 })
  const both = await plug('e1', [v6.address, v4.address], { network: 'dual' })
  assert.deepEqual(both.endpoint.addresses, [v4.address, v6.address])
  const one = await plug('e2', [(await hold({ network: 'dual' })).address], { network: 'dual' })
  assert.equal(one.endpoint.addresses.length, 1)
  const chosen = await plug('e3', [], { network: 'dual', choose: [4, 6] })
  assert.equal(chosen.endpoint.addresses.length, 2)
  const foreign = await plug('e4', ['10.8.7.7'], { network: 'dual', choose: [4] })
  assert.deepEqual(foreign.endpoint.addresses, [ip('10.8.7.7')])
})

for (const [what, addresses, spec, message] of [
  ['no address', [], {}, /at least one address/],
  ['no such address', ['10.7.0.1'], {}, /not in the network/],
  ['the gateway', ['10.9.0.1'], {}, /is the gateway/],
  ['two of a family', ['10.9.3.3', '10.9.3.4'], {}, /second address/],
  ['a MAC of many', ['10.9.3.3'], { mac: '01:00:5e:00:00:01' }, /MAC address of one device/],
] as const) {
  test(`an endpoint with ${what} is refused`, async () => {
    await assert.rejects(plug('e1', addresses, spec), refused('invalid', message))
    assert.deepEqual(member.control.listEndpoints(), [])
  })
}

test('when the kernel refuses the pair, nothing of it stays', async () => {
  const { address } = await hold()
  member.ports.refusal = new NetworkError('timeout', 'Cannot wait for change 1: 10 s have passed')
  await assert.rejects(plug('e1', [address]), refused('timeout', /10 s/))
  await scene.clock.advance(1_000)
  assert.deepEqual(member.control.listEndpoints(), [])
  assert.equal((await plug('e2', [address])).endpoint.addresses[0], address)
})

test('labels come later, and leave the ids of the engine alone', async () => {
  const { endpoint } = await plug('e1', ['10.9.3.3'])
  const labels = { [ENGINE_LABELS.container]: 'web', 'com.docker.compose.project': 'shop' }
  const before = member.agent.journal.sequence
  member.control.labelEndpoint(endpoint.id, { ...labels, [ENGINE_LABELS.endpoint]: 'e9' })
  const want = { ...labels, [ENGINE_LABELS.endpoint]: 'e1' }
  assert.deepEqual(member.control.getEndpoint(endpoint.id).labels, want)
  member.control.labelEndpoint(endpoint.id, labels)
  assert.equal(member.agent.journal.sequence, before + 1)
  assert.equal(member.control.plugged('e1')?.id, endpoint.id)
  await scene.clock.advance(1_000)
  assert.deepEqual(other.control.getEndpoint(endpoint.id).labels, want)
  assert.throws(() => member.control.labelEndpoint('none', {}), refused('not-found', /not here/))
})

test('a network with held addresses is in use', async () => {
  const { address } = await hold()
  const used = refused('conflict', /1 endpoint uses it/)
  await assert.rejects(drive(scene, member.control.removeNetwork('blue')), used)
  await drive(scene, member.control.releaseHeld('blue', address))
  await drive(scene, member.control.removeNetwork('blue'))
})

test('ports are published for what an engine plugged, whatever its other endpoints are', async () => {
  await plug('e1', ['10.9.3.3'])
  const { endpoint } = await plug('e2', ['10.8.3.3'], { network: 'dual' })
  const { publication } = await drive(scene, member.control.publish(endpoint.id, '8080:80'))
  assert.equal(publication.endpointId, endpoint.id)
  await drive(scene, member.control.unplug('e2'))
  assert.deepEqual(member.control.listPublications(), [])
})
