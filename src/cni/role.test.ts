import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { roleOf, type Start } from './role.ts'

const HERE: Start = {
  argv0: 'carrick',
  args: [],
  execPath: '/usr/bin/carrick',
  command: undefined,
  isTerminal: () => false,
}

const ROWS: readonly (readonly [string, Partial<Start>, ReturnType<typeof roleOf>])[] = [
  ['a bare name', {}, 'cli'],
  ['a bare name with a verb of CNI', { command: 'ADD' }, 'plugin'],
  ['words and a verb of CNI that was left behind', { command: 'ADD', args: ['status'] }, 'cli'],
  ['a verb that is empty', { command: '' }, 'cli'],
  ['the path of the file itself', { argv0: '/usr/bin/carrick' }, 'cli'],
  ['a link among plug-ins', { argv0: '/opt/cni/bin/carrick' }, 'banner'],
  ['a link among plug-ins with words', { argv0: '/opt/cni/bin/carrick', args: ['status'] }, 'cli'],
  [
    'a link among plug-ins, typed',
    { argv0: '/opt/cni/bin/carrick', isTerminal: () => true },
    'banner',
  ],
  ['a copy among plug-ins', { argv0: '/usr/lib/cni/x', execPath: '/usr/lib/cni/x' }, 'banner'],
  ['a link elsewhere', { argv0: '/srv/plugins/blue' }, 'banner'],
  ['a link elsewhere, typed', { argv0: '/home/ann/bin/carrick', isTerminal: () => true }, 'cli'],
  ['a copy elsewhere', { argv0: '/srv/carrick', execPath: '/srv/carrick' }, 'cli'],
  ['a verb of netavark', { args: ['setup', '/run/netns/x'] }, 'netavark'],
  ['a verb of netavark, typed', { args: ['create'], isTerminal: () => true }, 'cli'],
  [
    'a verb of netavark among its plug-ins, typed',
    { argv0: '/usr/libexec/netavark/carrick', args: ['info'], isTerminal: () => true },
    'netavark',
  ],
  ['a verb of netavark without namespace', { args: ['teardown'] }, 'cli'],
  ['a verb of netavark behind a noun', { args: ['network', 'create'] }, 'cli'],
  ['a verb of netavark for help', { args: ['create', '--help'] }, 'cli'],
]
for (const [name, start, want] of ROWS) {
  test(`roleOf() ${name} is ${want}`, () => assert.equal(roleOf({ ...HERE, ...start }), want))
}
