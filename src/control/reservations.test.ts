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
})
afterEach(async () => {
  for (const member of members) await member.stop()
  members = []
  scene[Symbol.dispose]()
})

async function start(state: string, options: Partial<MemberOptions> = {}): Promise<Member> {
  const member = await Member.start(scene, { state, ...options })
  members.push(member)
  return member
}

async function stop(member: Member): Promise<void> {
  members = members.filter((other) => other !== member)
  await member.stop()
}

const makeShop = async (member: Member, ...subnets: string[]): Promise<void> => {
  const wanted = subnets.length === 0 ? ['10.81.0.0/16'] : subnets
  await drive(scene, member.control.createNetwork({ name: 'shop', subnets: wanted }))
  await scene.clock.advance(1_000)
}

const reserve = (member: Member, name: string, ...addresses: string[]) =>
  drive(scene, member.control.reserve({ network: 'shop', name, addresses }))

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NetworkError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

async function addressesOf(member: Member, spec: Parameters<Member['attach']>[1]) {
  const { endpoint } = await member.attach('shop', spec)
  return { id: endpoint.id, addresses: endpoint.addresses as readonly string[] }
}

test('an endpoint of the name gets the address on any host, again and again', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await makeShop(a)
  await reserve(a, 'web', '10.81.0.10')
  await scene.clock.advance(1_000)
  for (const host of [b, a, b, b, a]) {
    const { id, addresses } = await addressesOf(host, { name: 'web' })
    assert.deepEqual(addresses, ['10.81.0.10'])
    const [view] = host.control.listReservations('shop')
    assert.deepEqual([view?.endpointId, view?.host], [id, host.control.status().hostName])
    await host.detach(id)
    // The other host hears that the endpoint is gone; the claim may still be on its way back.
    await scene.clock.advance(500)
  }
})

test("an address inside another host's block is granted to the name, and to nobody else", async () => {
  const [a, b] = [await start('a'), await start('b')]
  await makeShop(a)
  await addressesOf(a, { name: 'first' })
  await scene.clock.advance(1_000)
  const [view] = a.control.ipam('shop')
  const [block] = view?.prefixes[0]?.blocks ?? []
  const address = block?.prefix.replace(/\d+\/.*/, (last) => String(Number.parseInt(last, 10) + 5))
  assert.ok(address)
  await reserve(b, 'web', address)
  await scene.clock.advance(1_000)
  await assert.rejects(
    b.attach('shop', { name: 'thief', addresses: [address] }),
    refused('already-exists', /it is reserved for the endpoint named web/),
  )
  const { id, addresses } = await addressesOf(b, { name: 'web' })
  assert.deepEqual(addresses, [address])
  await b.detach(id)
  await scene.clock.advance(2_000)
  assert.deepEqual((await addressesOf(a, { name: 'web' })).addresses, [address])
})

test('automatic allocation passes reserved addresses by, until nothing else is left', async () => {
  const a = await start('a')
  await makeShop(a, '10.81.0.0/29')
  await reserve(a, 'web', '10.81.0.4')
  await scene.clock.advance(1_000)
  const given: string[] = []
  for (;;) {
    try {
      given.push(...(await addressesOf(a, {})).addresses)
    } catch (error) {
      assert.ok(refused('exhausted', /reserved|in use/)(error))
      break
    }
  }
  assert.ok(given.length >= 4, given.join(' '))
  assert.ok(!given.includes('10.81.0.4'))
  assert.deepEqual((await addressesOf(a, { name: 'web' })).addresses, ['10.81.0.4'])
})

test('both families are reserved, the second one later', async () => {
  const a = await start('a')
  await makeShop(a, '10.81.0.0/16', 'fd81::/48')
  await reserve(a, 'web', '10.81.0.10')
  const { reservation } = await reserve(a, 'web', 'fd81::10')
  assert.deepEqual(reservation.addresses as readonly string[], ['10.81.0.10', 'fd81::10'])
  assert.deepEqual((await addressesOf(a, { name: 'web' })).addresses, ['10.81.0.10', 'fd81::10'])
})

test('a reserved address that was given back is anybody’s', async () => {
  const a = await start('a')
  await makeShop(a)
  await reserve(a, 'web', '10.81.0.10')
  await assert.rejects(
    a.attach('shop', { addresses: ['10.81.0.10'] }),
    refused('already-exists', /reserved for the endpoint named web/),
  )
  await drive(scene, a.control.unreserve('shop', 'web'))
  await addressesOf(a, { addresses: ['10.81.0.10'] })
  await assert.rejects(
    drive(scene, a.control.unreserve('shop', 'web')),
    refused('not-found', /reservation for "web"/),
  )
  await reserve(a, 'web', '10.81.0.11')
  await drive(scene, a.control.detach(a.control.listEndpoints()[0]?.id ?? ''))
  await drive(scene, a.control.removeNetwork('shop'))
  const store = a.agent.store
  assert.equal((await store.range({ prefix: '/carrick/reservations/' })).count, 0)
})

for (const { why, name = 'web', addresses, code, message } of [
  { why: 'outside', addresses: ['10.82.0.1'], code: 'invalid', message: /not in the network/ },
  {
    why: 'network address',
    addresses: ['10.81.0.0'],
    code: 'invalid',
    message: /the network addr/,
  },
  { why: 'broadcast', addresses: ['10.81.255.255'], code: 'invalid', message: /the broadcast/ },
  { why: 'gateway', addresses: ['10.81.0.1'], code: 'invalid', message: /the gateway/ },
  { why: 'host address', addresses: ['10.81.0.63'], code: 'invalid', message: /host/ },
  { why: 'no address', addresses: ['x'], code: 'invalid', message: /"x" is not an address/ },
  { why: 'none', addresses: [], code: 'invalid', message: /at least one/ },
  {
    why: 'bad name',
    name: 'Web',
    addresses: ['10.81.0.9'],
    code: 'invalid',
    message: /not a name/,
  },
  {
    why: 'two of a family',
    addresses: ['10.81.0.8', '10.81.0.9'],
    code: 'invalid',
    message: /second address of the family of 10\.81\.0\.8/,
  },
  {
    why: 'taken',
    addresses: ['10.81.0.30'],
    code: 'already-exists',
    message: /endpoint holder on host a has it/,
  },
  {
    why: 'reserved already',
    addresses: ['10.81.0.20'],
    code: 'already-exists',
    message: /reserved for db already/,
  },
  {
    why: 'another of the family',
    name: 'db',
    addresses: ['10.81.0.21'],
    code: 'conflict',
    message: /10\.81\.0\.20 of the same family is reserved for db/,
  },
]) {
  test(`reserve refuses ${why}`, async () => {
    const a = await start('a')
    await makeShop(a)
    await addressesOf(a, { name: 'holder', addresses: ['10.81.0.30'] })
    await reserve(a, 'db', '10.81.0.20')
    await assert.rejects(reserve(a, name, ...addresses), refused(code, message))
  })
}

test('reserve refuses a network that is not there, and the store that is away', async () => {
  const a = await start('a')
  await assert.rejects(reserve(a, 'web', '10.81.0.9'), refused('not-found', /"shop"/))
  await makeShop(a)
  a.cut()
  await assert.rejects(reserve(a, 'web', '10.81.0.9'), refused('unavailable', /store/))
})

test('what an endpoint of the name has can be reserved for it', async () => {
  const a = await start('a')
  await makeShop(a)
  await addressesOf(a, { name: 'web', addresses: ['10.81.0.30'] })
  await scene.clock.advance(1_000)
  await reserve(a, 'web', '10.81.0.30')
})

test('an endpoint that came first, and was not heard of yet, keeps its address', async () => {
  const a = await start('a')
  const store = scene.cluster.client()
  const pause = (ms: number) => scene.clock.sleep(ms, new AbortController().signal)
  const { watch } = store
  async function* late(options: Parameters<typeof watch>[0]): ReturnType<typeof watch> {
    for await (const batch of watch(options)) {
      await pause(300)
      yield batch
    }
  }
  const b = await start('b', { store: Object.assign(store, { watch: late }) })
  await makeShop(a)
  await scene.clock.advance(2_000)
  await reserve(a, 'db', '10.81.0.20')
  await scene.clock.advance(2_000)
  await addressesOf(a, { name: 'holder' })
  const [view] = a.control.listEndpoints()
  const taken = view?.addresses[0] ?? ''
  await assert.rejects(
    reserve(b, 'web', taken),
    refused('already-exists', /endpoint holder on host a/),
  )
  await scene.clock.advance(2_000)
  assert.deepEqual(
    a.control.listReservations().map(({ reservation }) => reservation.name),
    ['db'],
  )
})

test('of two that reserve one address at the same time, one is refused', async () => {
  const [a, b] = [await start('a'), await start('b')]
  await makeShop(a)
  const made = await drive(
    scene,
    Promise.allSettled(
      [a, b].map((member, i) =>
        member.control.reserve({ network: 'shop', name: `web${i}`, addresses: ['10.81.0.10'] }),
      ),
    ),
  )
  assert.deepEqual(made.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

test('a name gets its former address back on the same host, also after a restart', async () => {
  const a = await start('a')
  await makeShop(a)
  const first = await addressesOf(a, { name: 'web' })
  await a.detach(first.id)
  await addressesOf(a, { name: 'other' })
  const again = await addressesOf(a, { name: 'web' })
  assert.deepEqual(again.addresses, first.addresses)
  await a.detach(again.id)
  await stop(a)
  const next = await start('a')
  await scene.clock.advance(1_000)
  assert.deepEqual((await addressesOf(next, { name: 'web' })).addresses, first.addresses)
})

test('a former address in unclaimed space comes back too, while the store answers', async () => {
  const a = await start('a')
  await makeShop(a)
  const first = await addressesOf(a, { name: 'web', addresses: ['10.81.0.30'] })
  await a.detach(first.id)
  await scene.clock.advance(5_000)
  assert.deepEqual((await addressesOf(a, { name: 'web' })).addresses, ['10.81.0.30'])
})

test('a former address that somebody has by now is not waited for', async () => {
  const a = await start('a')
  await makeShop(a, '10.81.0.0/29')
  const first = await addressesOf(a, { name: 'web' })
  await a.detach(first.id)
  const [former = ''] = first.addresses
  const others: (readonly string[])[] = []
  // The pool is short: the address that web had goes to somebody else, at last.
  for (let i = 0; i < 4; i++) others.push((await addressesOf(a, {})).addresses)
  assert.ok(!others.flat().includes(former))
  others.push((await addressesOf(a, {})).addresses)
  assert.ok(others.flat().includes(former), `${others} without ${former}`)
  await assert.rejects(a.attach('shop', { name: 'web' }), refused('exhausted', /all 5 addresses/))
})

test('an address asked for comes before what is reserved or remembered', async () => {
  const a = await start('a')
  await makeShop(a)
  await reserve(a, 'web', '10.81.0.10')
  const { addresses } = await addressesOf(a, { name: 'web', addresses: ['10.81.0.77'] })
  assert.deepEqual(addresses, ['10.81.0.77'])
})

test('the check of the books finds leaks that last, and repairs them', async () => {
  const a = await start('a')
  await makeShop(a)
  await addressesOf(a, { name: 'web' })
  await scene.clock.advance(5_000)
  const check = (repair: boolean) => drive(scene, a.control.checkIpam({ repair }))
  assert.deepEqual((await check(false)).findings, [])
  const { store } = a.agent
  const block = { schema: 1, networkId: 'gone', prefix: '10.9.0.0/26', hostId: a.hostId, epoch: 0 }
  await store.txn({
    success: [
      { kind: 'put', key: keys.networkName('old'), value: 'gone' },
      { kind: 'put', key: '/carrick/blocks/gone/4:0a090000/26', value: JSON.stringify(block) },
    ],
  })
  const found = (await check(false)).findings
  assert.deepEqual(
    found.map(({ kind, repaired }) => [kind, repaired]),
    [
      ['network-removed', false],
      ['name-without-network', false],
    ],
  )
  assert.ok((await check(true)).findings.every(({ repaired }) => repaired))
  assert.deepEqual((await check(false)).findings, [])
})
