import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { drive } from '../../control/member.ts'
import { Delegates } from './delegate.ts'
import type { JsonObject } from './fields.ts'
import { removeLost } from './lost.ts'
import { type Call, CniScene, said } from './testing.ts'

let host: CniScene

beforeEach(async () => {
  host = await CniScene.start()
  const spec = { name: 'blue', subnets: ['10.2.0.0/24', 'fd02::/64'] }
  await drive(host.scene, host.member.control.createNetwork(spec))
})
afterEach(() => host.stop())

const IPAM = { ipam: { type: 'host-local', subnet: '10.2.0.0/24' }, cniVersion: '1.0.0' }
const endpoints = () => host.member.control.listEndpoints()

const given = (...addresses: string[]): JsonObject => ({
  cniVersion: '1.0.0',
  ips: addresses.map((address) => ({ address })),
})

const call = (verb: string, { config, ...rest }: Call = {}) =>
  host.call(verb, { ...rest, config: { ...IPAM, ...config } })

test('addresses, routes and names come from the plug-in, which hears of every verb', async () => {
  const dns = { nameservers: ['192.0.2.53'] }
  const routes = [{ dst: '192.0.2.0/24' }]
  host.plugins.answers.set('ADD', said({ ...given('10.2.0.7/24'), dns, routes }))
  const { exit, said: result } = await call('ADD', { args: 'IP=10.2.0.7' })
  assert.equal(exit, 0, JSON.stringify(result))
  assert.deepEqual(result?.['dns'], dns)
  assert.deepEqual(result?.['routes'], [{ dst: '192.0.2.0/24', gw: '10.2.0.1' }])
  const [endpoint] = endpoints()
  assert.deepEqual(endpoint?.addresses, ['10.2.0.7'])
  assert.equal(endpoint?.defaultRoute, false)
  const [run] = host.plugins.runs
  assert.equal(run?.file, '/opt/cni/bin/host-local')
  assert.equal(run?.environment['CNI_CONTAINERID'], 'c1')
  assert.equal(run?.environment['CNI_ARGS'], 'IP=10.2.0.7')
  assert.deepEqual(JSON.parse(run?.stdin ?? '').ipam, IPAM.ipam)
  assert.equal((await call('DEL')).exit, 0)
  assert.deepEqual(endpoints(), [])
  assert.equal((await call('DEL')).exit, 0)
  assert.deepEqual(host.plugins.verbs, ['ADD', 'DEL', 'DEL'])
})

for (const { what, answer, code, text } of [
  {
    what: 'an address of another network',
    answer: said(given('192.0.2.7/24')),
    code: 7,
    text: /192\.0\.2\.7 is not in the network/,
  },
  { what: 'no address', answer: said({ cniVersion: '1.0.0' }), code: 105, text: /gave no address/ },
  {
    what: 'nothing but words',
    answer: { exit: 1, stdout: 'oops', stderr: 'bad day' },
    code: 105,
    text: /ended with 1 and said "bad day oops"/,
  },
  {
    what: 'an error of its own',
    answer: { ...said({ code: 999, msg: 'no IP addresses available' }), exit: 1 },
    code: 105,
    text: /host-local: no IP addresses available/,
  },
  {
    what: 'that it is busy',
    answer: { ...said({ code: 11, msg: 'try again' }), exit: 1 },
    code: 11,
    text: /try again/,
  },
  {
    what: 'nothing in time',
    answer: { exit: undefined, stdout: '', stderr: '' },
    code: 11,
    text: /it was ended/,
  },
]) {
  test(`a plug-in that answers ${what} attaches nothing, and is told to take all back`, async () => {
    host.plugins.answers.set('ADD', answer)
    const { exit, said: failure } = await call('ADD')
    assert.equal(exit, 1)
    assert.equal(failure?.['code'], code, JSON.stringify(failure))
    assert.match(String(failure?.['msg']), text)
    assert.deepEqual(endpoints(), [])
    assert.deepEqual(host.plugins.verbs, ['ADD', 'DEL'])
  })
}

test('an ADD of what stands does not disturb the plug-in', async () => {
  host.plugins.answers.set('ADD', said(given('10.2.0.7/24')))
  const both = await Promise.all([call('ADD'), call('ADD')])
  assert.deepEqual(both.map(({ exit }) => exit).sort(), [0, 1])
  assert.equal((await call('ADD')).said?.['code'], 101)
  assert.deepEqual(host.plugins.verbs, ['ADD'])
})

test('a caller that is gone while the plug-in thinks gets everything taken back', async () => {
  const gone = new AbortController()
  host.plugins.answers.set('ADD', async () => {
    gone.abort()
    return said(given('10.2.0.7/24'))
  })
  assert.equal((await call('ADD', { gone: gone.signal })).exit, 1)
  assert.deepEqual(endpoints(), [])
  assert.deepEqual(host.plugins.verbs, ['ADD', 'DEL'])
})

test('a plug-in that does not speak the version is not asked', async () => {
  const { said: failure } = await call('ADD', { config: { cniVersion: '0.3.1' } })
  assert.equal(failure?.['code'], 1)
  assert.match(String(failure?.['msg']), /does not speak cniVersion 0\.3\.1, but 0\.4\.0/)
  assert.deepEqual(host.plugins.verbs, [])
})

test('CHECK, GC and STATUS go on to the plug-in, and its errors come back', async () => {
  host.plugins.answers.set('STATUS', { ...said({ code: 50, msg: 'not yet' }), exit: 1 })
  const config = { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }
  const status = await call('STATUS', { config })
  assert.equal(status.said?.['code'], 50)
  assert.match(String(status.said?.['msg']), /not yet/)
  host.plugins.answers.set('GC', { ...said({ code: 999, msg: 'disk full' }), exit: 1 })
  const collected = await call('GC', { config })
  assert.match(String(collected.said?.['msg']), /0 of 0 stale.*disk full/)
})

test('what is lost is given back to the plug-in as a runtime would, at two looks', async () => {
  host.plugins.answers.set('ADD', said(given('10.2.0.7/24')))
  await call('ADD', { args: 'A=b' })
  const { control, ports } = host.member
  const { clock, log } = host.scene
  const ending = new AbortController()
  const delegates = new Delegates(host.plugins, log)
  const looking = removeLost({ control, delegates, clock, log, signal: ending.signal })
  await clock.advance(30_000)
  assert.equal(endpoints().length, 1)
  ports.gone.add('/run/netns/c1')
  await clock.advance(30_000)
  assert.deepEqual(endpoints(), [])
  const released = host.plugins.runs.at(-1)
  assert.deepEqual(released?.environment, {
    CNI_COMMAND: 'DEL',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'A=b',
    CNI_PATH: '/opt/cni/bin',
  })
  assert.deepEqual(JSON.parse(released?.stdin ?? ''), {
    name: 'cknet',
    cniVersion: '1.0.0',
    type: 'carrick',
    ipam: IPAM.ipam,
  })
  ending.abort(new Error('over'))
  await clock.advance(0)
  await looking
})
