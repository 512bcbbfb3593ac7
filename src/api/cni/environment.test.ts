import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { readEnvironment } from './environment.ts'
import { cniCodeOf } from './errors.ts'

const ADD = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'default-c1',
  CNI_NETNS: '/proc/23760/ns/net',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: '',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
}

test('readEnvironment() reads what ctr sets', () => {
  assert.deepEqual(readEnvironment(ADD), {
    verb: 'ADD',
    containerId: 'default-c1',
    netns: '/proc/23760/ns/net',
    ifname: 'eth0',
    args: '',
    path: ['/opt/cni/bin', '/usr/lib/cni'],
  })
})

test('readEnvironment() takes a DEL without namespace, and what the library sets for VERSION', () => {
  assert.equal(readEnvironment({ ...ADD, CNI_COMMAND: 'DEL', CNI_NETNS: '' }).netns, '')
  const version = {
    CNI_COMMAND: 'VERSION',
    CNI_NETNS: 'dummy',
    CNI_IFNAME: 'dummy',
    CNI_PATH: 'dummy',
  }
  const { verb, netns, ifname } = readEnvironment(version)
  assert.deepEqual({ verb, netns, ifname }, { verb: 'VERSION', netns: '', ifname: '' })
})

test('readEnvironment() takes STATUS and GC with empty variables', () => {
  for (const verb of ['STATUS', 'GC'] as const) {
    const empty = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' }
    assert.equal(readEnvironment({ CNI_COMMAND: verb, ...empty }).verb, verb)
  }
})

for (const { name, change, told } of [
  {
    name: 'all that is missing, at once',
    change: { CNI_CONTAINERID: '', CNI_NETNS: undefined, CNI_IFNAME: '' },
    told: /CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME/,
  },
  {
    name: 'a DEL without container',
    change: { CNI_COMMAND: 'DEL', CNI_CONTAINERID: '', CNI_NETNS: '' },
    told: /variables CNI_CONTAINERID$/,
  },
  { name: 'an unknown verb', change: { CNI_COMMAND: 'FROB' }, told: /CNI_COMMAND "FROB"/ },
  { name: 'a verb in lower case', change: { CNI_COMMAND: 'add' }, told: /CNI_COMMAND "add"/ },
  {
    name: 'a container that is a way',
    change: { CNI_CONTAINERID: '../x' },
    told: /CNI_CONTAINERID/,
  },
  {
    name: 'a container of two lines',
    change: { CNI_CONTAINERID: 'a\nb' },
    told: /CNI_CONTAINERID/,
  },
  { name: '16 bytes', change: { CNI_IFNAME: 'abcdefghijklmnop' }, told: /CNI_IFNAME.*15 bytes/ },
  { name: 'a slash', change: { CNI_IFNAME: 'a/b' }, told: /CNI_IFNAME "a\/b"/ },
  { name: 'a directory', change: { CNI_IFNAME: '..' }, told: /CNI_IFNAME/ },
  { name: 'a colon', change: { CNI_IFNAME: 'eth0:1' }, told: /CNI_IFNAME/ },
]) {
  test(`readEnvironment() refuses ${name} with code 4`, () => {
    assert.throws(
      () => readEnvironment({ ...ADD, ...change }),
      (error: Error) => cniCodeOf(error) === 4 && told.test(error.message),
    )
  })
}
