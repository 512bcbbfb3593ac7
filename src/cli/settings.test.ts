import { test } from 'bun:test'
import assert from 'node:assert/strict'
import { DEFAULT_MARK_MASK } from '../hoststate/marks.ts'
import { isNetworkError } from '../lib/errors.ts'
import { ip } from '../net/testing.ts'
import { parseListen, SETTING_NAMES } from './settings.ts'
import {
  environmentOf,
  flagOf,
  resolveSettings,
  type SettingRow,
  type SettingsInput,
} from './settings-sources.ts'

function resolve(input: Partial<SettingsInput> = {}) {
  return resolveSettings({
    flags: {},
    env: {},
    files: [],
    root: '',
    osHostName: 'Node-7.example.org',
    ...input,
  })
}

function row(rows: readonly SettingRow[], name: string): SettingRow | undefined {
  return rows.find((candidate) => candidate.name === name)
}

test('without anything, the defaults of the conventions', () => {
  assert.deepEqual(resolve().settings, {
    stateDir: '/var/lib/carrick',
    runDir: '/run/carrick',
    socket: '/run/carrick/carrick.sock',
    socketGroup: 'carrick',
    store: { kind: 'embedded' },
    hostName: 'node-7',
    underlayAddresses: [],
    listen: { address: '', port: 7440 },
    joinListen: { address: '', port: 7441 },
    dockerEngine: '/var/run/docker.sock',
    dockerSocket: '/run/docker/plugins/carrick.sock',
    dockerScope: 'local',
    vxlanPort: 4789,
    packetMarkMask: DEFAULT_MARK_MASK,
    probePeriodMs: 300_000,
    resolverAddresses: [ip('169.254.77.53'), ip('fd3b:ca44:1c53::53')],
    resolverServers: [],
    resolverDomain: 'carrick',
    bpfDir: '/sys/fs/bpf/carrick',
    logLevel: 'info',
    reconcilePeriodMs: 600_000,
  })
})

test('flag before environment before file before default, and the source is told', () => {
  const files = [
    { path: '/etc/carrick/carrick.yaml', text: 'vxlanPort: 1\nlogLevel: warn\nhostName: f\n' },
    { path: '/etc/carrick/conf.d/1.yaml', text: 'logLevel: error\n' },
  ]
  const env = { CARRICK_VXLAN_PORT: '2', CARRICK_HOST_NAME: 'e' }
  const { settings, rows } = resolve({ flags: { vxlanPort: '3' }, env, files })
  assert.equal(settings.vxlanPort, 3)
  assert.equal(row(rows, 'vxlanPort')?.source, 'flag --vxlan-port')
  assert.equal(settings.hostName, 'e')
  assert.equal(row(rows, 'hostName')?.source, 'environment CARRICK_HOST_NAME')
  assert.equal(settings.logLevel, 'error')
  assert.equal(row(rows, 'logLevel')?.source, 'file /etc/carrick/conf.d/1.yaml')
  assert.equal(row(rows, 'listen')?.source, 'default')
})

test('--root shifts default paths, and the directories of systemd win over it', () => {
  const env = { STATE_DIRECTORY: '/srv/state:/srv/other' }
  const { settings } = resolve({ root: '/tmp/r', env })
  assert.equal(settings.stateDir, '/srv/state')
  assert.equal(settings.runDir, '/tmp/r/run/carrick')
  assert.equal(settings.socket, '/tmp/r/run/carrick/carrick.sock')
})

test('our bits of the packet mark are ten in a row', () => {
  assert.equal(resolve({ flags: { packetMarkMask: '0x3ff' } }).settings.packetMarkMask, 0x3ff)
  for (const packetMarkMask of ['0x1ff', '0xffc00001', '0x7fe00000ff', 'ten', '0']) {
    assert.throws(() => resolve({ flags: { packetMarkMask } }), /packetMarkMask/)
  }
})

test('the socket follows runDir unless it is set', () => {
  assert.equal(resolve({ flags: { runDir: '/r' } }).settings.socket, '/r/carrick.sock')
  const flags = { runDir: '/r', socket: '/s/x.sock' }
  assert.equal(resolve({ flags }).settings.socket, '/s/x.sock')
})

test('text and typed values mean the same', () => {
  const text = resolve({
    flags: { underlayAddresses: '192.0.2.1,2001:DB8::1', reconcilePeriodMs: '1m', vxlanPort: '99' },
  }).settings
  const yaml =
    'underlayAddresses: [192.0.2.1, "2001:db8::1"]\nreconcilePeriodMs: 60000\nvxlanPort: 99\n'
  assert.deepEqual(resolve({ files: [{ path: '/f', text: yaml }] }).settings, text)
})

test('an etcd store has endpoints, and may have files', () => {
  const { settings } = resolve({
    flags: { store: 'etcd://a.example.org:2379,[2001:db8::1]:2379', storeCa: '/ca.pem' },
  })
  assert.deepEqual(settings.store, {
    kind: 'etcd',
    endpoints: [
      { address: 'a.example.org', port: 2379 },
      { address: '2001:db8::1', port: 2379 },
    ],
  })
})

for (const { name, input, wants } of [
  {
    name: 'an unknown key, with the nearest known one',
    input: { files: [{ path: '/f', text: 'stateDri: /x' }] },
    wants: [/\/f: stateDri: there is no such setting, did you mean "stateDir"\?/],
  },
  {
    name: 'a place for engines without certificates',
    input: { flags: { dockerListen: ':7442', dockerCa: '/ca.pem' } },
    wants: [/dockerCert: dockerListen needs it/, /dockerKey: dockerListen needs it/],
  },
  {
    name: 'certificates for engines without a place',
    input: { flags: { dockerCert: '/cert.pem' } },
    wants: [/dockerCert: dockerListen is not set/],
  },
  {
    name: 'several wrong values at once, with their sources',
    input: { flags: { vxlanPort: '0' }, env: { CARRICK_LOG_LEVEL: 'loud', CARRICK_STORE: 'x' } },
    wants: [
      /vxlanPort \(flag --vxlan-port\)/,
      /logLevel \(environment CARRICK_LOG_LEVEL\)/,
      /store \(/,
    ],
  },
  {
    name: 'YAML that cannot be read',
    input: { files: [{ path: '/f', text: 'a: [1' }] },
    wants: [/\/f: /],
  },
  {
    name: 'the same key twice in one file',
    input: { files: [{ path: '/f', text: 'runDir: /a\nrunDir: /b' }] },
    wants: [/\/f: Map keys must be unique/],
  },
  {
    name: 'a file that is a list',
    input: { files: [{ path: '/f', text: '- a' }] },
    wants: [/\/f: keys with values are needed/],
  },
  { name: 'a path that is not whole', input: { flags: { stateDir: 'x' } }, wants: [/stateDir/] },
  { name: 'a host name with a dot', input: { flags: { hostName: 'a.b' } }, wants: [/hostName/] },
  {
    name: 'two underlay addresses of one family',
    input: { flags: { underlayAddresses: '192.0.2.1,192.0.2.2' } },
    wants: [/at most one per family/],
  },
  {
    name: 'files for etcd with an embedded store, and a certificate without its key',
    input: { flags: { storeCert: '/c' } },
    wants: [/the store is embedded/, /it needs storeKey/],
  },
  {
    name: 'one port for two servers',
    input: { flags: { listen: ':7441' } },
    wants: [/joinListen: it has the port of listen/],
  },
  {
    name: 'an etcd server without a port',
    input: { flags: { store: 'etcd://a' } },
    wants: [/store/],
  },
] as const satisfies readonly {
  name: string
  input: Partial<SettingsInput>
  wants: readonly RegExp[]
}[]) {
  test(`resolveSettings() refuses ${name}`, () => {
    assert.throws(
      () => resolve(input),
      (error) =>
        isNetworkError(error, 'invalid') && wants.every((pattern) => pattern.test(error.message)),
    )
  })
}

for (const { text, want } of [
  { text: ':7440', want: { address: '', port: 7440 } },
  { text: '192.0.2.1:1', want: { address: '192.0.2.1', port: 1 } },
  { text: '[::]:65535', want: { address: '::', port: 65_535 } },
  { text: '::1:7440', want: undefined }, // which colon?
  { text: ':0', want: undefined },
  { text: ':65536', want: undefined },
  { text: '[192.0.2.256]:1', want: undefined },
  { text: '7440', want: undefined },
]) {
  test(`parseListen() of "${text}" is ${want === undefined ? 'refused' : JSON.stringify(want)}`, () =>
    assert.deepEqual(parseListen(text), want))
}

test('flags and variables are the names in their own spelling', () => {
  assert.equal(flagOf('reconcilePeriodMs'), '--reconcile-period-ms')
  assert.equal(environmentOf('reconcilePeriodMs'), 'CARRICK_RECONCILE_PERIOD_MS')
  assert.equal(new Set(SETTING_NAMES.map(flagOf)).size, SETTING_NAMES.length)
})
