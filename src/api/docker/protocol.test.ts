/** The rows P1 to P12 of the acceptance list, over a real socket. */

import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { createConnection } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { silentLog } from '../../lib/log.ts'
import {
  type CertificateWishes,
  createAuthority,
  issueCertificate,
} from '../../pki/certificates.ts'
import { FakeControl } from './fake-control.ts'
import { MESSAGES } from './messages.ts'
import { serveDocker } from './serve.ts'
import { apiOf, postTo, startPlugin } from './testing.ts'

const NET = '9cd30dd4'.repeat(8)
const EP = '7dc32b91'.repeat(8)
const SWARM_NET = 'iw1lg8bozracm57r07esit15m'
const POOL = 'carrick_local/10.88.0.0/16'
const MUTATING = [
  'NetworkDriver.AllocateNetwork',
  'NetworkDriver.FreeNetwork',
  'NetworkDriver.CreateNetwork',
  'NetworkDriver.DeleteNetwork',
  'NetworkDriver.CreateEndpoint',
  'NetworkDriver.Join',
  'NetworkDriver.ProgramExternalConnectivity',
  'NetworkDriver.RevokeExternalConnectivity',
  'NetworkDriver.Leave',
  'NetworkDriver.DeleteEndpoint',
  'IpamDriver.RequestPool',
  'IpamDriver.ReleasePool',
  'IpamDriver.RequestAddress',
  'IpamDriver.ReleaseAddress',
]

function createNetwork(fields: object = {}): object {
  return {
    NetworkID: NET,
    Options: { 'com.docker.network.enable_ipv6': false, 'com.docker.network.generic': {} },
    IPv4Data: [{ AddressSpace: 'carrick_local', Gateway: '10.88.0.1/16', Pool: '10.88.0.0/16' }],
    IPv6Data: [],
    ...fields,
  }
}

function createEndpoint(fields: object = {}): object {
  return {
    NetworkID: NET,
    EndpointID: EP,
    Interface: { Address: '10.88.0.2/16', AddressIPv6: '', MacAddress: '' },
    Options: {
      'com.docker.network.endpoint.exposedports': [],
      'com.docker.network.portmap': [],
    },
    ...fields,
  }
}

test('P1: Activate without a body and with an empty Host names both roles', async () => {
  await using plugin = await startPlugin()
  const { status, type, body } = await plugin.post('Plugin.Activate')
  expect(status).toBe(200)
  expect(type).toBe('application/vnd.docker.plugins.v1.2+json')
  expect(body).toEqual({ Implements: ['NetworkDriver', 'IpamDriver'] })
})

test('P2: capabilities', async () => {
  await using plugin = await startPlugin()
  expect(await plugin.call('NetworkDriver.GetCapabilities')).toEqual({
    Scope: 'local',
    ConnectivityScope: 'global',
  })
  expect(await plugin.call('IpamDriver.GetCapabilities')).toEqual({
    RequiresMACAddress: false,
    RequiresRequestReplay: false,
  })
  expect(await plugin.call('IpamDriver.GetDefaultAddressSpaces')).toEqual({
    LocalDefaultAddressSpace: 'carrick_local',
    GlobalDefaultAddressSpace: 'carrick_global',
  })
})

for (const path of ['/NetworkDriver.NoSuch', '/', '/constructor', '/__proto__', '/x?y=z', '/%2e']) {
  test(`P3: there is no method ${path}`, async () => {
    await using plugin = await startPlugin()
    const { status, body } = await postTo(plugin.path, path, {})
    expect(status).toBe(404)
    expect(String(body['Err'])).toStartWith('carrick: ')
    expect((await plugin.post('Plugin.Activate')).status).toBe(200)
  })
}

test('P3: a method is called with POST only', async () => {
  await using plugin = await startPlugin()
  const { status } = await postTo(plugin.path, '/Plugin.Activate', undefined, 'GET')
  expect(status).toBe(405)
})

const HOSTILE: Readonly<Record<string, string>> = {
  nothing: '',
  'half an object': '{',
  'a list': '[]',
  null: 'null',
  'a number': '7',
  'no UTF-8': '{"NetworkID":"\\ud800',
  'a mebibyte and more': `{"NetworkID":"${'x'.repeat(1024 * 1024)}"}`,
  'a deep one': '{"Options":'.repeat(5000) + '}'.repeat(5000),
  'a key of JavaScript': '{"__proto__":{"NetworkID":"a"}}',
  'numbers for ids': '{"NetworkID":1,"EndpointID":2,"PoolID":3,"AddressSpace":4}',
  'an id with a path': '{"NetworkID":"../../etc","EndpointID":"/","PoolID":"","AddressSpace":"x"}',
  'lists for everything':
    '{"NetworkID":[],"EndpointID":[],"PoolID":[],"AddressSpace":[],"Options":[],"IPv4Data":{}}',
}

for (const [what, body] of Object.entries(HOSTILE)) {
  test(`P4: ${what} for a body is an error of every method and changes nothing`, async () => {
    await using plugin = await startPlugin()
    await plugin.call('NetworkDriver.CreateNetwork', createNetwork())
    await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint())
    const before = plugin.control.state
    for (const method of MUTATING) {
      const answered = await plugin.post(method, body)
      expect(answered.status).toBe(200)
      expect(String(answered.body['Err'])).toStartWith('carrick: Cannot ')
      expect(answered.body['Error']).toBe(answered.body['Err'])
    }
    expect(plugin.control.state).toBe(before)
    expect((await plugin.post('Plugin.Activate')).status).toBe(200)
  })
}

test('P4: every method with a body is among those tried', () => {
  const harmless = ['GwAllocCheck', 'EndpointOperInfo', 'DiscoverNew', 'DiscoverDelete']
  const tried = [...MUTATING, ...harmless.map((name) => `NetworkDriver.${name}`)]
  expect(tried.sort()).toEqual(Object.keys(MESSAGES).sort())
})

test('P5: an endpoint of an unknown network names the network', async () => {
  await using plugin = await startPlugin()
  const { body } = await plugin.post('NetworkDriver.CreateEndpoint', createEndpoint())
  expect(String(body['Err'])).toContain(NET)
})

test('P6: what takes away is content with unknown ids', async () => {
  await using plugin = await startPlugin()
  const ids = { NetworkID: NET, EndpointID: EP }
  for (const [method, message] of [
    ['NetworkDriver.RevokeExternalConnectivity', ids],
    ['NetworkDriver.Leave', ids],
    ['NetworkDriver.DeleteEndpoint', ids],
    ['NetworkDriver.DeleteNetwork', ids],
    ['NetworkDriver.FreeNetwork', ids],
    ['IpamDriver.ReleaseAddress', { PoolID: POOL, Address: '10.88.0.9' }],
    ['IpamDriver.ReleaseAddress', { PoolID: 'who/knows', Address: '10.88.0.9' }],
    ['IpamDriver.ReleaseAddress', { PoolID: POOL, Address: '' }],
    ['IpamDriver.ReleasePool', { PoolID: POOL }],
    ['IpamDriver.ReleasePool', { PoolID: 'who knows' }],
  ] as const) {
    expect(await plugin.call(method, message)).toEqual({})
  }
})

test('P7: the same again has the same answer and makes nothing', async () => {
  await using plugin = await startPlugin()
  for (const [method, message] of [
    ['IpamDriver.RequestPool', { AddressSpace: 'carrick_local', Pool: '10.88.0.0/16' }],
    ['NetworkDriver.CreateNetwork', createNetwork()],
    ['NetworkDriver.CreateEndpoint', createEndpoint()],
    ['NetworkDriver.Join', { NetworkID: NET, EndpointID: EP, SandboxKey: '/x', Options: {} }],
    [
      'NetworkDriver.ProgramExternalConnectivity',
      { NetworkID: NET, EndpointID: EP, Options: { 'com.docker.network.portmap': [port(8080)] } },
    ],
  ] as const) {
    const first = await plugin.call(method, message)
    const before = plugin.control.state
    expect(await plugin.call(method, message)).toEqual(first)
    expect(plugin.control.state).toBe(before)
  }
})

test('P7: another network or endpoint under the same id is refused', async () => {
  await using plugin = await startPlugin()
  await plugin.call('NetworkDriver.CreateNetwork', createNetwork())
  await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint())
  const before = plugin.control.state
  const other = createNetwork({ IPv4Data: [{ AddressSpace: '', Pool: '10.89.0.0/16' }] })
  await expect(plugin.call('NetworkDriver.CreateNetwork', other)).rejects.toThrow('other settings')
  const moved = createEndpoint({ Interface: { Address: '10.88.0.3/16' } })
  await expect(plugin.call('NetworkDriver.CreateEndpoint', moved)).rejects.toThrow('10.88.0.2')
  expect(plugin.control.state).toBe(before)
})

test('P8: DeleteEndpoint without Leave takes everything away', async () => {
  await using plugin = await startPlugin()
  await plugin.call('NetworkDriver.CreateNetwork', createNetwork())
  await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint())
  const ids = { NetworkID: NET, EndpointID: EP }
  await plugin.call('NetworkDriver.Join', { ...ids, SandboxKey: '/x' })
  const Options = { 'com.docker.network.portmap': [port(8080)] }
  await plugin.call('NetworkDriver.ProgramExternalConnectivity', { ...ids, Options })
  await plugin.call('NetworkDriver.DeleteEndpoint', ids)
  expect(plugin.control.endpoints).toEqual([])
  expect(plugin.control.publications).toEqual([])
})

test('containers that only closed networks have are led to the resolver, each by one of its endpoints', async () => {
  await using plugin = await startPlugin()
  const Options = { 'com.docker.network.internal': true, 'com.docker.network.generic': {} }
  const IPv4Data = [{ AddressSpace: '', Pool: '10.89.0.0/16' }]
  await plugin.call('NetworkDriver.CreateNetwork', createNetwork({ Options }))
  const second = { NetworkID: SWARM_NET, Options, IPv4Data }
  await plugin.call('NetworkDriver.CreateNetwork', createNetwork(second))
  await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint())
  const Interface = { Address: '10.89.0.2/16' }
  const other = { NetworkID: SWARM_NET, EndpointID: 'e2' }
  await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint({ ...other, Interface }))
  const join = (ids: object, SandboxKey: string) =>
    plugin.call('NetworkDriver.Join', { ...ids, SandboxKey })
  const ids = { NetworkID: NET, EndpointID: EP }
  const way = [{ Destination: '169.254.77.53/32', RouteType: 0, NextHop: '10.88.0.1' }]
  for (let i = 0; i < 2; i++) {
    expect(await join(ids, '/a')).toMatchObject({ StaticRoutes: way, DisableGatewayService: true })
  }
  expect(await join(other, '/a')).not.toHaveProperty('StaticRoutes')
  expect(await join(other, '/b')).toHaveProperty('StaticRoutes.0.NextHop', '10.89.0.1')
})

test('P9: errors stand in both fields, marked as ours, with status 200', async () => {
  await using plugin = await startPlugin()
  for (const method of ['IpamDriver.RequestAddress', 'NetworkDriver.Join']) {
    const message = { PoolID: 'nobody’s', NetworkID: NET, EndpointID: EP }
    const { status, body } = await plugin.post(method, message)
    expect(status).toBe(200)
    expect(String(body['Err'])).toMatch(/^carrick: Cannot .*[^.]$/)
    expect(body['Error']).toBe(body['Err'])
  }
})

test('P9: what nobody foresaw is told without its text', async () => {
  await using plugin = await startPlugin()
  plugin.control.fail('createNetwork', new TypeError('secret'))
  const { body } = await plugin.post('NetworkDriver.CreateNetwork', createNetwork())
  expect(String(body['Err'])).toStartWith('carrick: The daemon failed unexpectedly')
  expect(JSON.stringify(body)).not.toContain('secret')
})

test('P10: fields may be null or missing', async () => {
  await using plugin = await startPlugin()
  const pool = await plugin.call('IpamDriver.RequestPool', {
    AddressSpace: 'carrick_local',
    Pool: '10.88.0.0/16',
    SubPool: '',
    Options: null,
    V6: false,
  })
  expect(pool['PoolID']).toBe(POOL)
  await plugin.call('IpamDriver.RequestAddress', {
    PoolID: POOL,
    Address: '',
    Options: { RequestAddressType: 'com.docker.network.gateway' },
  })
  const [v4] = [{ AddressSpace: 'carrick_local', Pool: '10.88.0.0/16', AuxAddresses: null }]
  await plugin.call('NetworkDriver.CreateNetwork', {
    NetworkID: NET,
    Options: null,
    IPv4Data: [v4],
    IPv6Data: null,
  })
  await plugin.call('IpamDriver.RequestAddress', { PoolID: POOL, Address: '', Options: null })
  const answer = await plugin.call('NetworkDriver.CreateEndpoint', {
    NetworkID: NET,
    EndpointID: EP,
    Interface: null,
    Options: null,
  })
  expect(answer).toHaveProperty('Interface.Address')
  const ids = { NetworkID: NET, EndpointID: EP }
  await plugin.call('NetworkDriver.Join', { ...ids, Options: null })
  await plugin.call('NetworkDriver.ProgramExternalConnectivity', { ...ids, Options: null })
  expect(await plugin.call('NetworkDriver.EndpointOperInfo', ids)).toEqual({ Value: {} })
})

test('P11: swarm’s short network ids', async () => {
  await using plugin = await startPlugin()
  const NetworkID = SWARM_NET
  await plugin.call('NetworkDriver.CreateNetwork', createNetwork({ NetworkID }))
  await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint({ NetworkID }))
  const joined = await plugin.call('NetworkDriver.Join', { NetworkID, EndpointID: EP })
  expect(joined).toHaveProperty('Gateway', '10.88.0.1')
  const { SrcName } = joined['InterfaceName'] as { SrcName: string }
  expect(SrcName.length).toBeLessThanOrEqual(15)
})

test('P12: over TLS with a certificate, and not without', async () => {
  const now = new Date()
  const authority = await createAuthority(now)
  const other = await createAuthority(now)
  const wish: CertificateWishes = {
    commonName: 'plugin',
    ipAddresses: ['127.0.0.1'],
    notAfter: new Date(now.getTime() + 60_000),
    roles: ['server', 'client'],
  }
  const server = await issueCertificate(authority, wish, now)
  const stranger = await issueCertificate(other, wish, now)
  const tls = { host: '127.0.0.1', port: 0, ca: authority.certificate, ...server }
  await using served = await serveDocker({ api: apiOf(new FakeControl()), log: silentLog, tls })
  const { port: listening = 0 } = served
  const ask = (identity: { certificate?: string; key?: string }): Promise<string> =>
    new Promise((resolve) => {
      const { certificate: cert, key } = identity
      const socket = connectTls({
        ...{ host: '127.0.0.1', port: listening, ca: authority.certificate },
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
      })
      let heard = ''
      socket.on('data', (part) => {
        heard += part.toString()
        if (heard.includes('}')) socket.destroy()
      })
      socket.on('error', () => socket.destroy())
      socket.on('close', () => resolve(heard))
      socket.write('POST /Plugin.Activate HTTP/1.1\r\nHost: x:1\r\nContent-Length: 0\r\n\r\n')
    })
  expect(await ask(server)).toContain('"NetworkDriver"')
  expect(await ask({})).toBe('')
  expect(await ask(stranger)).toBe('')
})

test('work goes on when the caller leaves, and connections stay open', async () => {
  await using plugin = await startPlugin()
  const socket = createConnection(plugin.path)
  const text = JSON.stringify(createNetwork())
  const head = `POST /NetworkDriver.CreateNetwork HTTP/1.1\r\nHost: \r\nContent-Length: ${text.length}\r\n\r\n`
  socket.write(head + text, () => socket.destroy())
  while (plugin.control.engineNetworks.length === 0) await Bun.sleep(1)
  const cut = createConnection(plugin.path)
  cut.write(`${head.replace('CreateNetwork', 'CreateEndpoint')}{"Netw`, () => cut.destroy())
  await plugin.call('NetworkDriver.CreateEndpoint', createEndpoint())
  expect(plugin.control.endpoints).toHaveLength(1)
})

test('the socket goes when the plug-in stops, and a stale one is replaced', async () => {
  const plugin = await startPlugin()
  expect(existsSync(plugin.path)).toBeTrue()
  await plugin[Symbol.asyncDispose]()
  expect(existsSync(plugin.path)).toBeFalse()
})

function port(HostPort: number, fields: object = {}): object {
  return { Proto: 6, IP: '', Port: 80, HostIP: '', HostPort, HostPortEnd: HostPort, ...fields }
}
