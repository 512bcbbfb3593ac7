import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { NetworkSpec } from '../../control/control.ts'
import { setUp } from './ask.ts'
import { fakeNetwork } from './fake-control.ts'

const RESERVATIONS = '/v1/networks/blue/reservations'
const WEB = { metadata: { name: 'web' }, spec: { addresses: ['10.80.0.10', 'fd80::10'] } }

test('a reservation is made, read, listed and given back', async () => {
  const { ask } = setUp()
  const made = await ask('POST', RESERVATIONS, WEB)
  assert.equal(made.status, 201)
  assert.match(made.headers.get('etag') ?? '', /^"/)
  assert.deepEqual(made.body.spec, { network: 'blue', addresses: WEB.spec.addresses })
  assert.equal(made.body.metadata.id, 'blue/web')
  assert.deepEqual((await ask('GET', `${RESERVATIONS}/web`)).body, made.body)
  for (const path of ['/v1/reservations', RESERVATIONS]) {
    const { body } = await ask('GET', path)
    assert.deepEqual([body.kind, body.items.length], ['ReservationList', 1])
  }
  const stale = { 'if-match': '"other"' }
  assert.equal((await ask('DELETE', `${RESERVATIONS}/web`, undefined, stale)).status, 412)
  assert.equal((await ask('DELETE', `${RESERVATIONS}/web`)).status, 204)
  assert.equal((await ask('DELETE', `${RESERVATIONS}/web`)).status, 204)
  assert.equal((await ask('GET', `${RESERVATIONS}/web`)).status, 404)
})

for (const { method, path, body, status } of [
  { method: 'POST', path: RESERVATIONS, body: { spec: WEB.spec }, status: 400 },
  { method: 'POST', path: RESERVATIONS, body: { ...WEB, spec: {} }, status: 400 },
  { method: 'POST', path: '/v1/networks/nope/reservations', body: WEB, status: 404 },
  { method: 'GET', path: '/v1/networks/nope/reservations', status: 404 },
  { method: 'GET', path: '/v1/ipam/networks/nope', status: 404 },
  { method: 'GET', path: '/v1/ipam/suggestions?size=x', status: 400 },
  { method: 'GET', path: '/v1/ipam/suggestions?family=5', status: 400 },
  { method: 'POST', path: '/v1/ipam/checks', body: { spec: { repair: 'yes' } }, status: 400 },
  { method: 'DELETE', path: '/v1/ipam/checks', status: 405 },
]) {
  test(`${method} ${path} ${JSON.stringify(body) ?? ''} answers ${status}`, async () => {
    assert.equal((await setUp().ask(method, path, body)).status, status)
  })
}

test('numbers of addresses are decimal text: IPv6 has more than a number can say', async () => {
  const { ask } = setUp()
  const { body } = await ask('GET', '/v1/ipam/networks/blue')
  const [subnet] = body.status.subnets
  assert.deepEqual([subnet.usable, subnet.blocks[0].host], ['65533', 'h1'])
  const { body: six } = await ask('GET', '/v1/ipam/suggestions?family=6')
  assert.deepEqual(six.items, [{ prefix: 'fd00::/48', addresses: String(2n ** 80n) }])
})

test('a check tells what it found; repairing is asked for in the body', async () => {
  const { ask } = setUp()
  const repaired = async (spec: object) => {
    const { status, body } = await ask('POST', '/v1/ipam/checks', { spec })
    assert.equal(status, 200)
    return body.status.findings[0].repaired
  }
  assert.equal(await repaired({}), false)
  assert.equal(await repaired({ repair: true }), true)
})

test('?force=true says who asks; without it nobody is looked for', async () => {
  const asked: (number | undefined)[] = []
  const { ask, control } = setUp({
    caller: (pid) => {
      asked.push(pid)
      return { uid: 1000, user: 'ada' }
    },
  })
  const specs: NetworkSpec[] = []
  control.createNetwork = async (spec) => {
    specs.push(spec)
    return fakeNetwork(spec.name, 2)
  }
  const body = { metadata: { name: 'red' }, spec: { subnets: ['10.80.0.0/16'] } }
  await ask('POST', '/v1/networks', body)
  await ask('POST', '/v1/networks?force=true', body, {
    'content-type': 'application/json',
    'carrick-pid': '4711',
  })
  assert.deepEqual(asked, [4711])
  assert.deepEqual(
    specs.map(({ force, by }) => [force, by?.user]),
    [
      [false, undefined],
      [true, 'ada'],
    ],
  )
  assert.equal((await ask('POST', '/v1/networks?force=maybe', body)).status, 400)
})
