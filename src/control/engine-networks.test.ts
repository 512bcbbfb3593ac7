import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { Scene } from '../agent/scene.ts'
import { NetworkError } from '../lib/errors.ts'
import type { Network } from '../model/network.ts'
import { ip, prefix } from '../net/testing.ts'
import type { EngineNetworkSpec, PendingPool } from './docker-control.ts'
import { drive, Member } from './member.ts'

const ID = 'ab'.repeat(32)
let scene: Scene
let member: Member
let other: Member
let blue: Network

beforeEach(async () => {
  scene = new Scene()
  member = await Member.start(scene, { state: 'a' })
  other = await Member.start(scene, { state: 'b' })
  blue = await make('blue', '10.9.0.0/16')
  await scene.clock.advance(1_000)
})
afterEach(async () => {
  await member.stop()
  await other.stop()
  scene[Symbol.dispose]()
})

function make(name: string, subnet: string, fields: object = {}): Promise<Network> {
  return drive(scene, member.control.createNetwork({ name, subnets: [subnet], ...fields }))
}

function bound(fields: Partial<EngineNetworkSpec> = {}): EngineNetworkSpec {
  return {
    ...{ id: ID, networkId: blue.id, options: { 'carrick.mtu': '1400' } },
    pools: [
      {
        poolId: 'carrick/10.9.0.0/16/10.9.5.0/24',
        prefix: prefix('10.9.0.0/16'),
        range: prefix('10.9.5.0/24'),
        gateway: ip('10.9.0.254'),
        aux: { router: ip('10.9.5.9') },
      },
    ],
    ...{ internal: false, madeByUs: false },
    ...fields,
  }
}

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

test('who has a network on which engine is known everywhere, and survives a restart', async () => {
  const made = member.control.bindEngineNetwork(bound())
  assert.deepEqual(member.control.engineNetwork(ID), made)
  member.control.bindEngineNetwork(bound({ name: 'shop_front' }))
  other.control.bindEngineNetwork(bound({ madeByUs: true, name: 'shop_front' }))
  await scene.clock.advance(1_000)
  for (const { control } of [member, other]) {
    const found = control.listEngineNetworks({ network: 'blue' })
    assert.deepEqual(
      found.map(({ hostId, name, madeByUs }) => [hostId, name, madeByUs]).sort(),
      [
        [member.hostId, 'shop_front', false],
        [other.hostId, 'shop_front', true],
      ].sort(),
    )
    assert.equal(control.listEngineNetworks({ host: other.hostId }).length, 1)
  }
  const known = member.control.engineNetwork(ID)
  await member.stop()
  member = await drive(scene, Member.start(scene, { state: 'a' }))
  assert.deepEqual(member.control.engineNetwork(ID), known)
  assert.equal(known?.createdAt, made.createdAt)
  member.control.unbindEngineNetwork(ID)
  member.control.unbindEngineNetwork(ID)
  assert.equal(member.control.engineNetwork(ID), undefined)
  await scene.clock.advance(1_000)
  assert.equal(other.control.listEngineNetworks().length, 1)
})

test('a network that an engine has anew may be another one of ours', async () => {
  const red = await make('red', '10.8.0.0/16')
  member.control.bindEngineNetwork(bound())
  member.control.bindEngineNetwork(bound({ networkId: red.id }))
  assert.equal(member.control.engineNetwork(ID)?.networkId, red.id)
  await scene.clock.advance(1_000)
  assert.deepEqual(
    other.control.listEngineNetworks().map(({ networkId }) => networkId),
    [red.id],
  )
  const gone = refused('not-found', /nowhere is gone/)
  assert.throws(() => member.control.bindEngineNetwork(bound({ networkId: 'nowhere' })), gone)
})

test('of a network that is removed elsewhere, its host takes back what it noted', async () => {
  member.control.bindEngineNetwork(bound())
  await scene.clock.advance(1_000)
  await drive(scene, other.control.removeNetwork('blue'))
  await scene.clock.advance(1_000)
  assert.equal(member.control.engineNetwork(ID)?.networkId, blue.id)
  member.control.unbindEngineNetwork(ID)
  await scene.clock.advance(1_000)
  assert.deepEqual(member.control.listEngineNetworks(), [])
  assert.deepEqual(other.control.listEngineNetworks(), [])
})

test('how a network appears on engines is part of it, and changes', async () => {
  const docker = {
    ...{ name: 'Shop.front_1', options: { a: 'b' }, labels: { team: 'x' } },
    ranges: [prefix('10.9.5.0/24')],
  }
  const green = await make('green', '10.7.0.0/16', { docker: { ...docker, ranges: [] } })
  assert.equal(green.docker?.name, 'Shop.front_1')
  await assert.rejects(
    drive(scene, member.control.setNetworkDocker('blue', docker)),
    refused('already-exists', /network green is shown so/),
  )
  await drive(scene, member.control.setNetworkDocker('green', undefined))
  const changed = await drive(scene, member.control.setNetworkDocker('blue', docker))
  assert.deepEqual(changed, { ...blue, docker })
  await scene.clock.advance(1_000)
  assert.deepEqual(other.control.getNetwork('blue').docker, docker)
  assert.equal(other.control.getNetwork('green').docker, undefined)
  const outside = { ...docker, ranges: [prefix('10.1.0.0/24')] }
  await assert.rejects(
    drive(scene, member.control.setNetworkDocker('blue', outside)),
    refused('invalid', /range 10\.1\.0\.0\/24 is not in the network/),
  )
  await assert.rejects(
    drive(scene, member.control.setNetworkDocker('blue', { ...docker, name: 'a\nb' })),
    refused('invalid', /control character/),
  )
})

test('a name given for another goes, and is free at once', async () => {
  const renamed = await drive(scene, member.control.renameNetwork('blue', 'shop-front'))
  assert.deepEqual(renamed, { ...blue, name: 'shop-front' })
  await scene.clock.advance(1_000)
  for (const { control } of [member, other]) {
    assert.equal(control.getNetwork('shop-front').id, blue.id)
    assert.throws(() => control.getNetwork('blue'), refused('not-found', /blue/))
  }
  const next = await make('blue', '10.8.0.0/16')
  await assert.rejects(
    drive(scene, member.control.renameNetwork(next.id, 'shop-front')),
    refused('already-exists', /a network named "shop-front"/),
  )
  await assert.rejects(
    drive(scene, member.control.renameNetwork(next.id, 'Shop')),
    refused('invalid', /not a name/),
  )
  assert.equal((await drive(scene, member.control.renameNetwork('blue', 'blue'))).name, 'blue')
})

test('of two that want a name at the same time one gets it', async () => {
  await make('red', '10.8.0.0/16')
  await scene.clock.advance(1_000)
  const results = await Promise.allSettled([
    drive(scene, member.control.renameNetwork('blue', 'front')),
    drive(scene, other.control.renameNetwork('red', 'front')),
  ])
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  await scene.clock.advance(1_000)
  const names = member.control.listNetworks().map(({ name }) => name)
  assert.equal(names.filter((name) => name === 'front').length, 1)
  assert.equal((await drive(scene, member.control.checkIpam({ repair: false }))).findings.length, 0)
})

for (const [engineName, want] of [
  ['shop_front', 'shop-front'],
  ['Shop.Front', 'shop-front'],
  ['test@#$', 'test'],
  ['__', 'network'],
  ['été', 't'],
  ['x'.repeat(70), 'x'.repeat(63)],
  [`${'y'.repeat(62)}_z`, 'y'.repeat(62)],
] as const) {
  test(`a network that an engine calls "${engineName}" is called ${want}`, () => {
    assert.equal(member.control.networkNameFor(engineName), want)
  })
}

test('where a name is taken another one is made, the same for the same', async () => {
  const first = member.control.networkNameFor('Blue')
  assert.match(first, /^blue-[0-9a-f]{4}$/)
  assert.equal(member.control.networkNameFor('Blue'), first)
  assert.notEqual(member.control.networkNameFor('BLUE'), first)
  await make(first, '10.8.0.0/16')
  assert.match(member.control.networkNameFor('Blue'), /^blue-[0-9a-f]{4}$/)
  assert.notEqual(member.control.networkNameFor('Blue'), first)
})

test('pools that are no network’s yet survive a restart, and are this host’s alone', async () => {
  const pool: PendingPool = {
    ...{ poolId: 'carrick/10.6.0.0/16', prefix: prefix('10.6.0.0/16'), aux: {} },
    ...{ space: 'carrick', automatic: true, createdAt: '2026-01-01T00:00:00.000Z' },
  }
  member.control.keepPendingPool(pool)
  const gateway = ip('10.6.0.9')
  member.control.keepPendingPool({ ...pool, gateway })
  await member.stop()
  member = await drive(scene, Member.start(scene, { state: 'a' }))
  assert.deepEqual(member.control.pendingPools(), [{ ...pool, gateway }])
  assert.deepEqual(other.control.pendingPools(), [])
  member.control.dropPendingPool(pool.poolId)
  member.control.dropPendingPool(pool.poolId)
  assert.deepEqual(member.control.pendingPools(), [])
})
