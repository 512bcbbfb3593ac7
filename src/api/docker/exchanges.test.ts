/** Whole lives of networks and containers, in captured order, in front of the real use cases. */

import { afterEach, beforeEach, expect, test } from 'bun:test'
import { Scene } from '../../agent/scene.ts'
import { drive, Member } from '../../control/member.ts'
import { silentLog } from '../../lib/log.ts'
import { createDockerApi } from './api.ts'
import type { PluginApi } from './http.ts'

const NET = '9cd30dd4'.repeat(8)
const NET2 = '3ec72406'.repeat(8)
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' }
const GENERIC = 'com.docker.network.generic'
const PORTS = 'com.docker.network.portmap'
const POOL = 'carrick_local/10.88.0.0/16'

type Step = readonly [method: string, message: object, wanted?: object]

let scene: Scene
let member: Member
let other: Member

beforeEach(async () => {
  scene = new Scene()
  member = await Member.start(scene, { state: 'a' })
  other = await Member.start(scene, { state: 'b' })
})
afterEach(async () => {
  await member.stop()
  await other.stop()
  scene[Symbol.dispose]()
})

function apiOf({ control, hostId }: Member): PluginApi {
  const { clock } = scene
  return createDockerApi({ control, hostId, scope: 'local', resolvers: [], clock, log: silentLog })
}

async function call(at: Member, method: string, message: object) {
  const body = new TextEncoder().encode(JSON.stringify(message))
  const answer = apiOf(at).call(method, body)
  if (answer === undefined) throw new Error(`no method ${method}`)
  return (await drive(scene, answer)) as Readonly<Record<string, unknown>>
}

async function must(at: Member, method: string, message: object) {
  const answer = await call(at, method, message)
  if (answer['Err'] !== undefined) throw new Error(`${method}: ${answer['Err']}`)
  return answer
}

/** Does them in order; every answer is as wanted. */
async function play(steps: readonly Step[], between = async (): Promise<void> => {}) {
  for (const [method, message, wanted = {}] of steps) {
    const answer = await must(member, method, message)
    expect({ method, answer }).toMatchObject({ method, answer: wanted })
    await between()
  }
}

function network(NetworkID = NET, fields: object = {}): readonly Step[] {
  const pool = { AddressSpace: 'carrick_local', Gateway: '10.88.0.1/16', Pool: '10.88.0.0/16' }
  const asked = { AddressSpace: 'carrick_local', Pool: '10.88.0.0/16', Options: {}, V6: false }
  return [
    ['IpamDriver.RequestPool', asked, { PoolID: POOL, Pool: '10.88.0.0/16' }],
    [
      'IpamDriver.RequestAddress',
      { PoolID: POOL, Address: '', Options: GATEWAY },
      { Address: '10.88.0.1/16' },
    ],
    [
      'NetworkDriver.CreateNetwork',
      { NetworkID, Options: { [GENERIC]: {} }, IPv4Data: [pool], IPv6Data: [], ...fields },
    ],
  ]
}

function networkEnd(NetworkID = NET): readonly Step[] {
  return [
    ['IpamDriver.ReleaseAddress', { PoolID: POOL, Address: '10.88.0.1' }],
    ['IpamDriver.ReleasePool', { PoolID: POOL }],
    ['NetworkDriver.DeleteNetwork', { NetworkID }],
  ]
}

function start(EndpointID: string, address: string, HostPort = 8080): readonly Step[] {
  const ids = { NetworkID: NET, EndpointID }
  const Options = { [PORTS]: [{ Proto: 6, Port: 80, HostIP: '', HostPort, HostPortEnd: HostPort }] }
  const Interface = { Address: `${address}/16`, AddressIPv6: '', MacAddress: '' }
  return [
    [
      'IpamDriver.RequestAddress',
      { PoolID: POOL, Address: address, Options: null },
      { Address: `${address}/16` },
    ],
    ['NetworkDriver.CreateEndpoint', { ...ids, Interface, Options }],
    [
      'NetworkDriver.Join',
      { ...ids, SandboxKey: '/var/run/docker/netns/63569bd2f667', Options },
      { InterfaceName: { DstPrefix: 'eth' }, Gateway: '10.88.0.1' },
    ],
    ['NetworkDriver.ProgramExternalConnectivity', { ...ids, Options }],
    ['NetworkDriver.EndpointOperInfo', ids, { Value: {} }],
  ]
}

function stop(EndpointID: string, address: string): readonly Step[] {
  const ids = { NetworkID: NET, EndpointID }
  return [
    ['NetworkDriver.RevokeExternalConnectivity', ids],
    ['NetworkDriver.Leave', ids],
    ['NetworkDriver.DeleteEndpoint', ids],
    ['IpamDriver.ReleaseAddress', { PoolID: POOL, Address: address }],
  ]
}

function expectNothing({ control }: Member): void {
  expect(control.listEndpoints()).toEqual([])
  expect(control.listNetworks()).toEqual([])
  expect(control.listPublications()).toEqual([])
  expect(control.listEngineNetworks()).toEqual([])
  expect(control.pendingPools()).toEqual([])
}

test('the life of a network and two containers', async () => {
  await play(network())
  await play(start('e1', '10.88.0.9'))
  await play(start('e2', '10.88.0.10', 0))
  expect(member.control.listPublications()).toHaveLength(2)
  await play([...stop('e1', '10.88.0.9'), ...stop('e2', '10.88.0.10'), ...networkEnd()])
  expectNothing(member)
})

test('the daemon restarts between any two calls, and nobody sees a difference', async () => {
  const again = async (): Promise<void> => {
    await member.stop()
    member = await Member.start(scene, { state: 'a' })
    await scene.clock.advance(3_000)
  }
  const life = [...network(), ...start('e1', '10.88.0.9'), ...stop('e1', '10.88.0.9')]
  await play([...life, ...networkEnd()], again)
  expectNothing(member)
})

test('every call comes twice, and nobody sees a difference', async () => {
  const life = [...network(), ...start('e1', '10.88.0.9'), ...stop('e1', '10.88.0.9')]
  for (const [method, message] of [...life, ...networkEnd()]) {
    expect({ method, answer: await must(member, method, message) }).toEqual({
      method,
      answer: await must(member, method, message),
    })
  }
  expectNothing(member)
})

test('without the store containers start and stop, and networks wait', async () => {
  await play(network())
  const taken = await must(member, 'IpamDriver.RequestAddress', { PoolID: POOL })
  await must(member, 'IpamDriver.ReleaseAddress', {
    PoolID: POOL,
    Address: String(taken['Address']).split('/')[0],
  })
  await scene.clock.advance(5_000)
  member.cut()
  const { Address } = await must(member, 'IpamDriver.RequestAddress', { PoolID: POOL })
  const address = String(Address).split('/')[0] ?? ''
  await play(start('e1', address))
  await play(stop('e1', address))
  const pool = { AddressSpace: 'carrick_local', Pool: '10.89.0.0/16' }
  const wanted = { NetworkID: NET2, Options: {}, IPv4Data: [pool], IPv6Data: [] }
  const before = scene.clock.monotonicMs()
  const refused = await call(member, 'NetworkDriver.CreateNetwork', wanted)
  expect(String(refused['Err'])).toStartWith('carrick: Cannot ')
  expect(scene.clock.monotonicMs() - before).toBeLessThanOrEqual(20_000)
  await play(networkEnd())
  await member.heal()
})

test('two hosts: the same subnet is the same network, and addresses differ', async () => {
  await play(network())
  await scene.clock.advance(1_000)
  const [first] = network()
  if (first === undefined) throw new Error('no first step')
  for (const [method, message] of network(NET2)) await must(other, method, message)
  expect(other.control.listNetworks()).toHaveLength(1)
  const one = await must(member, 'IpamDriver.RequestAddress', { PoolID: POOL })
  const two = await must(other, 'IpamDriver.RequestAddress', { PoolID: POOL })
  expect(one['Address']).not.toBe(two['Address'])
  await scene.clock.advance(1_000)
  const same = { PoolID: POOL, Address: String(one['Address']).split('/')[0] }
  const refused = await call(other, 'IpamDriver.RequestAddress', same)
  expect(String(refused['Err'])).toContain(String(same.Address))
})

test('two hosts make it at the same moment', async () => {
  const made = [member, other].map(async (at, i) => {
    for (const [method, message] of network(`${i}`.repeat(64))) {
      const body = new TextEncoder().encode(JSON.stringify(message))
      const answer = await apiOf(at).call(method, body)
      expect(answer).not.toHaveProperty('Err')
    }
  })
  await drive(scene, Promise.all(made))
  await scene.clock.advance(1_000)
  expect(member.control.listNetworks()).toHaveLength(1)
  expect(member.control.listEngineNetworks()).toHaveLength(2)
})

test('an auxiliary address is set aside on both hosts, and nobody gets it', async () => {
  const pool = {
    AddressSpace: 'carrick_local',
    Gateway: '10.88.0.1/16',
    Pool: '10.88.0.0/16',
    AuxAddresses: { router: '10.88.0.9/16' },
  }
  for (const [i, at] of [member, other].entries()) {
    const message = { NetworkID: `${i}`.repeat(64), Options: {}, IPv4Data: [pool], IPv6Data: null }
    await must(at, 'NetworkDriver.CreateNetwork', message)
    await scene.clock.advance(1_000)
  }
  for (const at of [member, other]) {
    const refused = await call(at, 'IpamDriver.RequestAddress', {
      PoolID: POOL,
      Address: '10.88.0.9',
    })
    expect(String(refused['Err'])).toContain('10.88.0.9')
  }
})

test('what was left open by an engine that crashed goes with its network', async () => {
  await play(network())
  await play(start('e1', '10.88.0.9'))
  await must(member, 'IpamDriver.RequestAddress', { PoolID: POOL })
  await play(networkEnd())
  expectNothing(member)
})

test('another driver’s network has addresses that nobody else has', async () => {
  const { PoolID } = await must(member, 'IpamDriver.RequestPool', { AddressSpace: 'carrick_local' })
  await must(member, 'IpamDriver.RequestAddress', { PoolID, Address: '', Options: GATEWAY })
  const taken = await must(member, 'IpamDriver.RequestAddress', { PoolID })
  const more = await must(member, 'IpamDriver.RequestAddress', { PoolID })
  expect(taken['Address']).not.toBe(more['Address'])
  await must(member, 'IpamDriver.ReleasePool', { PoolID })
  expectNothing(member)
})

test('28: a network of IPv6 alone, with everything that newer engines add', async () => {
  const POOL6 = 'carrick_local/fd00:77:10::/64'
  const ids = { NetworkID: NET2, EndpointID: 'e6' }
  const asked = { AddressSpace: 'carrick_local', Pool: 'fd00:77:10::/64', SubPool: '', V6: true }
  const Options = {
    [PORTS]: [{ Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 0, HostPortEnd: 0 }],
  }
  await play([
    ['IpamDriver.GetDefaultAddressSpaces', {}, { LocalDefaultAddressSpace: 'carrick_local' }],
    ['IpamDriver.RequestPool', { ...asked, Options: null }, { PoolID: POOL6 }],
    [
      'IpamDriver.RequestAddress',
      { PoolID: POOL6, Address: '', Options: GATEWAY },
      { Address: 'fd00:77:10::1/64' },
    ],
    [
      'NetworkDriver.CreateNetwork',
      {
        NetworkID: NET2,
        Options: {
          'com.docker.network.enable_ipv4': false,
          'com.docker.network.enable_ipv6': true,
          [GENERIC]: { 'com.docker.network.driver.mtu': '1400' },
        },
        IPv4Data: [],
        IPv6Data: [
          { AddressSpace: 'carrick_local', Gateway: 'fd00:77:10::1/64', Pool: 'fd00:77:10::/64' },
        ],
      },
    ],
    [
      'IpamDriver.RequestAddress',
      {
        PoolID: POOL6,
        Address: 'fd00:77:10::9',
        Options: { 'com.docker.network.endpoint.name': 'web' },
      },
      { Address: 'fd00:77:10::9/64' },
    ],
    [
      'NetworkDriver.CreateEndpoint',
      {
        ...ids,
        Interface: {
          Address: '',
          AddressIPv6: 'fd00:77:10::9/64',
          MacAddress: '02:11:22:33:44:55',
        },
        Options: {
          ...Options,
          'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
          'com.docker.network.endpoint.macaddress': 'AhEiM0RV',
          'com.docker.network.endpoint.dnsservers': ['192.0.2.53'],
          'com.docker.network.endpoint.sysctls': 'net.ipv6.conf.IFNAME.accept_ra=0',
          'com.docker.network.endpoint.ifname': 'net0',
        },
      },
      { Interface: {} },
    ],
    [
      'NetworkDriver.Join',
      { ...ids, SandboxKey: '/var/run/docker/netns/63569bd2f667', Options },
      { GatewayIPv6: 'fd00:77:10::1' },
    ],
    [
      'NetworkDriver.ProgramExternalConnectivity',
      { ...ids, Options: { ...Options, 'com.docker.network.driver.private.no_proxy_6to4': true } },
    ],
    ['NetworkDriver.EndpointOperInfo', ids, { Value: {} }],
  ])
  expect(member.control.listPublications()).toMatchObject([{ protocol: 'tcp', containerPort: 80 }])
  await play([
    ['NetworkDriver.RevokeExternalConnectivity', ids],
    ['NetworkDriver.Leave', ids],
    ['NetworkDriver.DeleteEndpoint', ids],
    ['IpamDriver.ReleaseAddress', { PoolID: POOL6, Address: 'fd00:77:10::9' }],
    ['IpamDriver.ReleaseAddress', { PoolID: POOL6, Address: 'fd00:77:10::1' }],
    ['IpamDriver.ReleasePool', { PoolID: POOL6 }],
    ['NetworkDriver.DeleteNetwork', { NetworkID: NET2 }],
  ])
  expectNothing(member)
})

for (const failing of ['CreateEndpoint', 'Join', 'ProgramExternalConnectivity'] as const) {
  test(`what follows a failing ${failing} leaves nothing`, async () => {
    await play(network())
    const before = member.control.listEndpoints()
    const steps = start('e1', '10.88.0.9')
    const at = steps.findIndex(([method]) => method === `NetworkDriver.${failing}`)
    // The connection broke: the engine was not told what had been done, and its second try has no body.
    await play(failing === 'CreateEndpoint' ? steps.slice(0, at) : steps.slice(0, at + 1))
    const empty = await drive(
      scene,
      apiOf(member).call(`NetworkDriver.${failing}`, new Uint8Array()) ?? Promise.resolve({}),
    )
    expect(empty).toHaveProperty('Err')
    const undone = stop('e1', '10.88.0.9')
    const follows = { CreateEndpoint: 3, Join: 2, ProgramExternalConnectivity: 1 }[failing]
    await play(undone.slice(follows))
    expect(member.control.listEndpoints()).toEqual(before)
    expect(member.control.listPublications()).toEqual([])
  })
}
