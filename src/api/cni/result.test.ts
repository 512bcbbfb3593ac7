import { test } from 'bun:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CNI_VERSIONS, type CniVersion } from '../../cni/exchange.ts'
import { ip, prefix } from '../../net/testing.ts'
import { cniCodeOf } from './errors.ts'
import { Fields } from './fields.ts'
import { type CniResult, chainResults, NO_DNS } from './result.ts'
import { readResult } from './result-read.ts'
import { writeResult } from './result-write.ts'

function read(object: object, fallback: CniVersion = '1.0.0'): CniResult {
  return readResult(new Fields({ ...object }, 'prevResult'), fallback)
}

/** What an ADD of ours gives, both families. */
const OURS: CniResult = {
  interfaces: [
    { name: 'ckb0123', mac: '5e:68:70:b1:a5:2e' },
    { name: 'eth0', mac: '0a:00:00:00:00:77', mtuBytes: 1450, sandbox: '/run/netns/c1' },
  ],
  ips: [
    { address: ip('10.231.0.77'), length: 24, gateway: ip('10.231.0.1'), interface: 1 },
    { address: ip('fd00:acc1::2'), length: 64, gateway: ip('fd00:acc1::1'), interface: 1 },
  ],
  routes: [
    { to: prefix('0.0.0.0/0') },
    { to: prefix('::/0'), via: ip('fd00:acc1::1'), mtuBytes: 1400, table: 7, scope: 0 },
  ],
  dns: { nameservers: ['169.254.77.53'], search: [], options: [] },
}

const GOLDEN: Readonly<Record<CniVersion, string>> = {
  '0.1.0':
    '{"cniVersion":"0.1.0","ip4":{"ip":"10.231.0.77/24","gateway":"10.231.0.1","routes":[{"dst":"0.0.0.0/0"}]},"ip6":{"ip":"fd00:acc1::2/64","gateway":"fd00:acc1::1","routes":[{"dst":"::/0","gw":"fd00:acc1::1"}]},"dns":{"nameservers":["169.254.77.53"]}}',
  '0.2.0':
    '{"cniVersion":"0.2.0","ip4":{"ip":"10.231.0.77/24","gateway":"10.231.0.1","routes":[{"dst":"0.0.0.0/0"}]},"ip6":{"ip":"fd00:acc1::2/64","gateway":"fd00:acc1::1","routes":[{"dst":"::/0","gw":"fd00:acc1::1"}]},"dns":{"nameservers":["169.254.77.53"]}}',
  '0.3.0': modern('0.3.0', true),
  '0.3.1': modern('0.3.1', true),
  '0.4.0': modern('0.4.0', true),
  '1.0.0': modern('1.0.0', false),
  '1.1.0':
    '{"cniVersion":"1.1.0","interfaces":[{"name":"ckb0123","mac":"5e:68:70:b1:a5:2e"},{"name":"eth0","mac":"0a:00:00:00:00:77","mtu":1450,"sandbox":"/run/netns/c1"}],"ips":[{"interface":1,"address":"10.231.0.77/24","gateway":"10.231.0.1"},{"interface":1,"address":"fd00:acc1::2/64","gateway":"fd00:acc1::1"}],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0","gw":"fd00:acc1::1","mtu":1400,"table":7,"scope":0}],"dns":{"nameservers":["169.254.77.53"]}}',
}

function modern(version: string, withFamily: boolean): string {
  const [four, six] = withFamily ? ['"version":"4",', '"version":"6",'] : ['', '']
  return `{"cniVersion":"${version}","interfaces":[{"name":"ckb0123","mac":"5e:68:70:b1:a5:2e"},{"name":"eth0","mac":"0a:00:00:00:00:77","sandbox":"/run/netns/c1"}],"ips":[{${four}"interface":1,"address":"10.231.0.77/24","gateway":"10.231.0.1"},{${six}"interface":1,"address":"fd00:acc1::2/64","gateway":"fd00:acc1::1"}],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0","gw":"fd00:acc1::1"}],"dns":{"nameservers":["169.254.77.53"]}}`
}

for (const version of CNI_VERSIONS) {
  test(`writeResult() at ${version}`, () =>
    assert.equal(JSON.stringify(writeResult(OURS, version)), GOLDEN[version]))

  test(`readResult() reads what writeResult() wrote at ${version}`, () => {
    const again = read(JSON.parse(GOLDEN[version]))
    assert.equal(JSON.stringify(writeResult(again, version)), GOLDEN[version])
  })
}

test('readResult() keeps all there is at 1.1.0', () => {
  assert.deepEqual(read(writeResult(OURS, '1.1.0')), OURS)
})

for (const { name, version, object } of [
  {
    name: 'the reference bridge',
    version: '0.4.0' as const,
    object: {
      cniVersion: '0.4.0',
      interfaces: [
        { name: 'br0', mac: 'f6:d7:d3:9c:7f:2f' },
        { name: 'veth2b3cf4d7', mac: '5e:68:70:b1:a5:2e' },
        { name: 'eth0', mac: 'd2:f7:57:4d:f9:ae', sandbox: '/run/netns/c1' },
      ],
      ips: [{ version: '4', interface: 2, address: '10.231.0.3/24', gateway: '10.231.0.1' }],
      routes: [{ dst: '0.0.0.0/0' }],
      dns: {},
    },
  },
  {
    name: 'the reference bridge, without cniVersion',
    version: '0.1.0' as const,
    object: {
      cniVersion: '0.1.0',
      ip4: { ip: '10.231.0.78/24', gateway: '10.231.0.1', routes: [{ dst: '0.0.0.0/0' }] },
      dns: {},
    },
  },
  {
    name: 'the reference loopback',
    version: '1.0.0' as const,
    object: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: '/run/netns/c1' }],
      ips: [
        { interface: 0, address: '127.0.0.1/8' },
        { interface: 0, address: '::1/128' },
      ],
      dns: {},
    },
  },
]) {
  test(`readResult() passes on what ${name} gave`, () =>
    assert.deepEqual(writeResult(read(object), version), object))
}

test('readResult() reads host-local’s, which has no interfaces', () => {
  const ips = [{ address: '10.231.0.3/24', gateway: '10.231.0.1' }]
  assert.deepEqual(read({ cniVersion: '1.0.0', ips, routes: [{ dst: '0.0.0.0/0' }], dns: {} }), {
    interfaces: [],
    ips: [{ address: '10.231.0.3', length: 24, gateway: '10.231.0.1' }],
    routes: [{ to: '0.0.0.0/0' }],
    dns: NO_DNS,
  })
})

const TWO = { interfaces: [{ name: 'a' }, { name: 'b' }] }
const address = '10.0.0.1/24'
for (const { name, object, code, told } of [
  {
    name: 'an index of -1',
    object: { ...TWO, ips: [{ address, interface: -1 }] },
    code: 7,
    told: /"-1": .*0 to 1/,
  },
  {
    name: 'an index past the end',
    object: { ...TWO, ips: [{ address, interface: 2 }] },
    code: 7,
    told: /ips\[0\]\.interface "2"/,
  },
  {
    name: 'an index without interfaces',
    object: { ips: [{ address, interface: 0 }] },
    code: 7,
    told: /no interfaces/,
  },
  {
    name: 'an index that is text',
    object: { ...TWO, ips: [{ address, interface: '0' }] },
    code: 6,
    told: /interface/,
  },
  {
    name: 'half an index',
    object: { ...TWO, ips: [{ address, interface: 0.5 }] },
    code: 6,
    told: /interface/,
  },
  {
    name: 'an address without length',
    object: { ips: [{ address: '10.0.0.1' }] },
    code: 7,
    told: /ips\[0\]\.address "10\.0\.0\.1"/,
  },
  { name: 'no address', object: { ips: [{}] }, code: 7, told: /address/ },
  {
    name: 'an odd MAC',
    object: { interfaces: [{ name: 'a', mac: 'zz' }] },
    code: 7,
    told: /interfaces\[0\]\.mac/,
  },
  {
    name: 'interfaces as an object',
    object: { interfaces: {} },
    code: 6,
    told: /prevResult\.interfaces/,
  },
  {
    name: 'an interface that is null',
    object: { interfaces: [null] },
    code: 6,
    told: /interfaces\[0\]/,
  },
  {
    name: 'an unknown version',
    object: { cniVersion: '9.9.9' },
    code: 1,
    told: /prevResult\.cniVersion/,
  },
  {
    name: 'an odd gateway',
    object: { ips: [{ address, gateway: 'x' }] },
    code: 7,
    told: /gateway/,
  },
  { name: 'ip4 as text', object: { cniVersion: '0.2.0', ip4: 'x' }, code: 6, told: /ip4/ },
]) {
  test(`readResult() refuses ${name} with code ${code}`, () => {
    assert.throws(
      () => read(object),
      (error: Error) => cniCodeOf(error) === code && told.test(error.message),
    )
  })
}

test('readResult() takes InfiniBand’s addresses and dashes', () => {
  const long = Array.from({ length: 20 }, () => 'aB').join('-')
  const [first] = read({ interfaces: [{ name: 'ib0', mac: long }] }).interfaces
  assert.equal(first?.mac, long.toLowerCase().replaceAll('-', ':'))
})

test('writeResult() gives every interface in a sandbox a MAC', () => {
  const result = { ...OURS, interfaces: [{ name: 'a' }, { name: 'b', sandbox: '/n' }] }
  assert.deepEqual(writeResult(result, '1.0.0')['interfaces'], [
    { name: 'a' },
    { name: 'b', mac: '00:00:00:00:00:00', sandbox: '/n' },
  ])
})

test('writeResult() writes no index that points nowhere', () => {
  assert.throws(() => writeResult({ ...OURS, interfaces: [] }, '1.0.0'), /interface 1/)
})

test('writeResult() has no form of 0.2.0 for a result without address', () => {
  const nothing = { interfaces: [], ips: [], routes: [], dns: NO_DNS }
  assert.throws(
    () => writeResult(nothing, '0.2.0'),
    (error) => cniCodeOf(error) === 1,
  )
  assert.deepEqual(writeResult(nothing, '1.0.0'), { cniVersion: '1.0.0', dns: {} })
})

test('chainResults() keeps what was there first and in order', () => {
  const lo = read({
    interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: '/run/netns/c1' }],
    ips: [{ interface: 0, address: '127.0.0.1/8' }, { address: '192.0.2.1/24' }],
    routes: [{ dst: '192.0.2.0/24' }],
    dns: { search: ['example.org'] },
  })
  const both = chainResults(lo, OURS)
  assert.deepEqual(
    both.interfaces.map(({ name }) => name),
    ['lo', 'ckb0123', 'eth0'],
  )
  assert.deepEqual(
    both.ips.map(({ interface: index }) => index),
    [0, undefined, 2, 2],
  )
  assert.deepEqual(both.routes, [...lo.routes, ...OURS.routes])
  assert.deepEqual(both.dns, {
    nameservers: ['169.254.77.53'],
    search: ['example.org'],
    options: [],
  })
})

test('readResult() never gives an index that points nowhere, whatever it reads', () => {
  const object = fc.record(
    {
      cniVersion: fc.constantFrom(...CNI_VERSIONS, '', '2.0.0'),
      interfaces: fc.array(fc.record({ name: fc.string(), mac: fc.constantFrom('', 'x') }), {
        maxLength: 3,
      }),
      ips: fc.array(
        fc.record(
          {
            address: fc.constantFrom('10.0.0.1/24', 'fd00::1/64', '10.0.0.1', 'x'),
            interface: fc.oneof(fc.integer({ min: -2, max: 4 }), fc.constant(null)),
          },
          { requiredKeys: [] },
        ),
        { maxLength: 3 },
      ),
      ip4: fc.record({ ip: fc.constantFrom('10.0.0.1/24', 'x') }),
      routes: fc.anything(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(object, (given) => {
      let result: CniResult
      try {
        result = read(JSON.parse(JSON.stringify(given)))
      } catch (error) {
        assert.ok([1, 6, 7].includes(cniCodeOf(error)), String(error))
        return
      }
      for (const { interface: index } of result.ips) {
        assert.ok(index === undefined || result.interfaces[index] !== undefined)
      }
    }),
  )
})
