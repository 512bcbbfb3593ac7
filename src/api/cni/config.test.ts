import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readConfig, readPrevious, readValidAttachments } from './config.ts'
import type { Verb } from './environment.ts'
import { cniCodeOf } from './errors.ts'
import { versionForFailure } from './versions.ts'

function config(object: unknown, verb: Verb = 'ADD') {
  return readConfig(typeof object === 'string' ? object : JSON.stringify(object), verb)
}
const GOOD = { cniVersion: '1.1.0', name: 'net', type: 'carrick' }

/** Expects an error with this code and these words. */
function refuses(work: () => unknown, code: number, told: RegExp): void {
  assert.throws(work, (error: Error) => {
    assert.equal(cniCodeOf(error), code, error.message)
    assert.match(error.message, told)
    return true
  })
}

test('readConfig() reads what every verb needs', () => {
  const { object, ...read } = config({ ...GOOD, network: 'blue', ipam: { type: 'host-local' } })
  assert.deepEqual(read, {
    cniVersion: '1.1.0',
    name: 'net',
    network: 'blue',
    delegate: 'host-local',
  })
  assert.deepEqual(object['ipam'], { type: 'host-local' })
})

for (const { name, ipam } of [
  { name: 'no ipam', ipam: undefined },
  { name: 'an ipam that is null', ipam: null },
  { name: 'an ipam without type', ipam: { ranges: [] } },
  { name: 'an ipam that is ours', ipam: { type: 'carrick' } },
]) {
  test(`readConfig() has addresses given by us with ${name}`, () => {
    const { delegate, network } = config({ ...GOOD, ipam })
    assert.deepEqual({ delegate, network }, { delegate: undefined, network: 'net' })
  })
}

test('readConfig() has addresses given by us when we are called by another name', () => {
  assert.equal(config({ ...GOOD, type: 'blue', ipam: { type: 'blue' } }).delegate, undefined)
})

for (const [text, want] of [
  [undefined, '0.1.0'],
  ['', '0.1.0'],
  ['0.3.1', '0.3.1'],
] as const) {
  test(`readConfig() takes cniVersion ${text} for ${want}`, () =>
    assert.equal(config({ ...GOOD, cniVersion: text }).cniVersion, want))
}

for (const { name, object, code, told, verb } of [
  { name: 'nothing', object: '', code: 6, told: /empty/ },
  { name: 'half an object', object: '{', code: 6, told: /no JSON/ },
  { name: 'a list', object: '[]', code: 6, told: /no JSON object/ },
  { name: 'null', object: 'null', code: 6, told: /no JSON object/ },
  { name: 'no name', object: { cniVersion: '9.9.9' }, code: 7, told: /name is missing/ },
  { name: 'a name with a slash', object: { ...GOOD, name: 'a/b' }, code: 7, told: /"a\/b"/ },
  { name: 'a name that is a number', object: { ...GOOD, name: 1 }, code: 6, told: /name/ },
  { name: 'version 9.9.9', object: { ...GOOD, cniVersion: '9.9.9' }, code: 1, told: /"9\.9\.9"/ },
  { name: 'version abc', object: { ...GOOD, cniVersion: 'abc' }, code: 1, told: /"abc"/ },
  { name: 'version 1.0', object: { ...GOOD, cniVersion: '1.0' }, code: 1, told: /"1\.0"/ },
  {
    name: 'a version that is a number',
    object: { ...GOOD, cniVersion: 1 },
    code: 6,
    told: /cniVersion/,
  },
  {
    name: 'a way as delegate',
    object: { ...GOOD, ipam: { type: '../sh' } },
    code: 7,
    told: /ipam\.type/,
  },
  { name: 'ipam as text', object: { ...GOOD, ipam: 'x' }, code: 6, told: /ipam/ },
  {
    name: 'CHECK at 0.3.1',
    object: { ...GOOD, cniVersion: '0.3.1' },
    verb: 'CHECK',
    code: 1,
    told: /CHECK/,
  },
  {
    name: 'GC at 1.0.0',
    object: { ...GOOD, cniVersion: '1.0.0' },
    verb: 'GC',
    code: 1,
    told: /GC/,
  },
  {
    name: 'STATUS at 1.0.0',
    object: { ...GOOD, cniVersion: '1.0.0' },
    verb: 'STATUS',
    code: 1,
    told: /STATUS/,
  },
] as const) {
  test(`readConfig() refuses ${name} with code ${code}`, () =>
    refuses(() => config(object, verb), code, told))
}

test('readConfig() looks at nothing that is not its business', () => {
  const odd =
    '{"__proto__":{"name":"x"},"name":"net","Name":"other","x-unknown":{"keep":[1,2]},"toString":1}'
  assert.equal(config(odd).name, 'net')
  assert.equal(config({ NAME: 'net' }).name, 'net')
})

for (const { name, keys, want } of [
  {
    name: 'a set under both keys',
    keys: {
      'cni.dev/valid-attachments': [
        { containerID: 'keepme', ifname: 'eth0' },
        { containerID: 'other', ifname: 'net1' },
      ],
      'cni.dev/attachments': [{ containerID: 'older', ifname: 'eth0' }],
    },
    want: [
      { containerId: 'keepme', ifname: 'eth0' },
      { containerId: 'other', ifname: 'net1' },
    ],
  },
  {
    name: 'the older key alone',
    keys: { 'cni.dev/attachments': [{ containerID: 'older', ifname: 'eth0' }] },
    want: [{ containerId: 'older', ifname: 'eth0' }],
  },
  {
    name: 'null',
    keys: { 'cni.dev/attachments': null, 'cni.dev/valid-attachments': null },
    want: [],
  },
  { name: 'an empty list', keys: { 'cni.dev/valid-attachments': [] }, want: [] },
]) {
  test(`readValidAttachments() of ${name}`, () =>
    assert.deepEqual(readValidAttachments(config({ ...GOOD, ...keys }, 'GC')), want))
}

test('readValidAttachments() refuses to destroy by an omission', () => {
  refuses(() => readValidAttachments(config(GOOD, 'GC')), 7, /valid-attachments is missing/)
})

for (const list of [{}, ['a'], [{ containerID: 'a' }], [{ containerID: 1, ifname: 'eth0' }]]) {
  test(`readValidAttachments() refuses ${JSON.stringify(list)} with code 6`, () => {
    const read = config({ ...GOOD, 'cni.dev/valid-attachments': list }, 'GC')
    refuses(() => readValidAttachments(read), 6, /valid-attachments/)
  })
}

test('readPrevious() has none where the runtime sends none', () => {
  assert.equal(readPrevious(config(GOOD)), undefined)
  assert.equal(readPrevious(config({ ...GOOD, prevResult: null })), undefined)
})

test('readPrevious() reads a result without version as one of the configuration’s', () => {
  const ip4 = { ip: '10.231.0.78/24', gateway: '10.231.0.1', routes: [{ dst: '0.0.0.0/0' }] }
  const old = readPrevious(config({ name: 'net', prevResult: { ip4, dns: {} } }))
  assert.equal(old?.ips[0]?.address, '10.231.0.78')
  const ips = [{ address: '10.231.0.78/24' }]
  assert.equal(readPrevious(config({ ...GOOD, prevResult: { ips } }))?.ips[0]?.length, 24)
})

for (const [stdin, want] of [
  ['', '1.1.0'],
  ['null', '1.1.0'],
  ['{"cniVersion":"0.4.0"}', '0.4.0'],
  ['{"cniVersion":"9.9.9"}', '1.1.0'],
] as const) {
  test(`versionForFailure() of ${stdin || 'nothing'} is ${want}`, () =>
    assert.equal(versionForFailure(stdin), want))
}
