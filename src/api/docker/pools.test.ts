/** Networks and addresses as engines ask for them, in the order of captured exchanges. */

import { expect, test } from 'bun:test'
import { NetworkError } from '../../lib/errors.ts'
import { NETWORK_LABELS } from '../../model/engine-network.ts'
import { type Plugin, startPlugin } from './testing.ts'

const NET = '3ec72406'.repeat(8)
const OTHER = '81514383'.repeat(8)
const SPACE = 'carrick_local'
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' }

interface Wish {
  readonly Pool?: string
  readonly SubPool?: string
  readonly Options?: Readonly<Record<string, string>>
  readonly V6?: boolean
  readonly gateway?: string
  readonly aux?: Readonly<Record<string, string>>
}

interface Pool {
  readonly id: string
  readonly prefix: string
  readonly data: object
}

/** `RequestPool`, the gateway and the auxiliary addresses. */
async function requestPool(plugin: Plugin, wish: Wish = {}): Promise<Pool> {
  const { gateway = '', aux = {}, ...asked } = wish
  const defaults = { AddressSpace: SPACE, Pool: '', SubPool: '', Options: {}, V6: false }
  const { PoolID, Pool } = await plugin.call('IpamDriver.RequestPool', { ...defaults, ...asked })
  const [id, prefix] = [String(PoolID), String(Pool)]
  const given = await address(plugin, id, gateway, GATEWAY)
  const set: Record<string, string> = {}
  for (const [name, text] of Object.entries(aux)) set[name] = await address(plugin, id, text)
  const data = { AddressSpace: SPACE, Pool: prefix, Gateway: given, AuxAddresses: set }
  return { id, prefix, data }
}

async function address(
  plugin: Plugin,
  PoolID: string,
  Address = '',
  Options: object | null = null,
): Promise<string> {
  const answer = await plugin.call('IpamDriver.RequestAddress', { PoolID, Address, Options })
  return String(answer['Address'])
}

function create(plugin: Plugin, pools: readonly Pool[], fields: Fields = {}) {
  const { id = NET, generic = {}, internal } = fields
  const data = pools.map((pool) => pool.data)
  return plugin.call('NetworkDriver.CreateNetwork', {
    NetworkID: id,
    Options: {
      'com.docker.network.enable_ipv6': false,
      'com.docker.network.generic': generic,
      ...(internal === true ? { 'com.docker.network.internal': true } : {}),
    },
    IPv4Data: data.filter((_, i) => !pools[i]?.prefix.includes(':')),
    IPv6Data: data.filter((_, i) => pools[i]?.prefix.includes(':')),
  })
}

interface Fields {
  readonly id?: string
  readonly generic?: Readonly<Record<string, string>>
  readonly internal?: boolean
}

test('a subnet that was chosen here and elsewhere at once is not two networks in one', async () => {
  await using plugin = await startPlugin()
  const chosen = await requestPool(plugin)
  await plugin.control.createNetwork({ name: 'theirs', subnets: [chosen.prefix] })
  await expect(create(plugin, [chosen])).rejects.toThrow('overlaps network theirs')
  expect(plugin.control.engineNetworks).toEqual([])
})

test('a network that we make on the engine ourselves is the one that is meant, whatever its options say', async () => {
  await using plugin = await startPlugin()
  const { control } = plugin
  const spec = { subnets: ['10.90.0.0/16'], force: true }
  await control.createNetwork({ name: 'blue', ...spec })
  const twin = await control.createNetwork({ name: 'twin', ...spec })
  using _expected = control.expectNetwork(twin.id)
  const pool = await requestPool(plugin, { Pool: '10.90.0.0/16' })
  await create(plugin, [pool], { generic: { 'carrick.name': 'blue', 'carrick.mtu': '1300' } })
  expect(control.engineNetworks[0]?.networkId).toBe(twin.id)
})

test('N3: range, gateway and auxiliary address', async () => {
  await using plugin = await startPlugin()
  const pool = await requestPool(plugin, {
    Pool: '10.88.0.0/16',
    SubPool: '10.88.5.0/24',
    gateway: '10.88.0.254',
    aux: { host1: '10.88.5.9', host2: '10.88.200.1' },
  })
  expect(pool.id).toBe('carrick_local/10.88.0.0/16/10.88.5.0/24')
  expect(pool.data).toMatchObject({
    Gateway: '10.88.0.254/16',
    AuxAddresses: { host1: '10.88.5.9/16' },
  })
  await create(plugin, [pool])
  expect(plugin.control.pools).toEqual([])
  expect(plugin.control.engineNetworks[0]?.pools).toMatchObject([
    { poolId: pool.id, range: '10.88.5.0/24', gateway: '10.88.0.254', aux: { host1: '10.88.5.9' } },
  ])
  expect(await address(plugin, pool.id)).toMatch(/^10\.88\.5\.\d+\/16$/)
  expect(await address(plugin, pool.id, '10.88.7.7')).toBe('10.88.7.7/16')
  await expect(address(plugin, pool.id, '10.88.5.9')).rejects.toThrow('10.88.5.9')
})

test('N6: a network of both families', async () => {
  await using plugin = await startPlugin()
  const pools = [
    await requestPool(plugin, { Pool: '172.28.0.0/16' }),
    await requestPool(plugin, { Pool: '2001:db8:1234::/64', V6: true }),
  ]
  await create(plugin, pools)
  const [one] = plugin.control.networks
  expect(one?.prefixes as readonly string[]).toEqual(['172.28.0.0/16', '2001:db8:1234::/64'])
  const v6 = String(pools[1]?.id)
  expect(await address(plugin, v6, '2001:db8:1234::99')).toBe('2001:db8:1234::99/64')
})

test('N7: addresses outside the pool or in use are refused by name', async () => {
  await using plugin = await startPlugin()
  const pool = await requestPool(plugin, { Pool: '10.88.0.0/16' })
  await create(plugin, [pool])
  await address(plugin, pool.id, '10.88.7.7')
  await expect(address(plugin, pool.id, '10.88.7.7')).rejects.toThrow('10.88.7.7')
  await expect(address(plugin, pool.id, '10.89.7.7')).rejects.toThrow('10.89.7.7')
  await expect(address(plugin, pool.id, 'x')).rejects.toThrow('"x"')
})

for (const { name, wish, says } of [
  { name: 'host bits', wish: { Pool: '10.45.0.5/24' }, says: 'did you mean 10.45.0.0/24?' },
  { name: 'no subnet', wish: { Pool: 'ten' }, says: '"ten"' },
  {
    name: 'a range outside',
    wish: { Pool: '10.88.0.0/16', SubPool: '10.89.0.0/24' },
    says: 'not inside pool 10.88.0.0/16',
  },
  {
    name: 'a gateway outside',
    wish: { Pool: '10.88.0.0/16', gateway: '10.89.0.1' },
    says: '10.89.0.1',
  },
  {
    name: 'the network address as gateway',
    wish: { Pool: '10.88.0.0/16', gateway: '10.88.0.0' },
    says: 'the network address',
  },
  {
    name: 'an unknown option',
    wish: { Options: { 'carrick.netwrok': 'x' } },
    says: 'did you mean carrick.network?',
  },
  {
    name: 'a network that is not there',
    wish: { Options: { 'carrick.network': 'x' } },
    says: 'No network x',
  },
]) {
  test(`N9: ${name} is refused, and nothing is left after the engine's own undoing`, async () => {
    await using plugin = await startPlugin()
    const before = plugin.control.state
    await expect(requestPool(plugin, wish)).rejects.toThrow(says)
    const { Pool = '' } = wish as { Pool?: string }
    await plugin.call('IpamDriver.ReleasePool', { PoolID: `${SPACE}/${Pool}` })
    expect(plugin.control.state).toBe(before)
  })
}

test('N5: a subnet that a network of this engine has is refused, and releasing it harms nobody', async () => {
  await using plugin = await startPlugin()
  const pool = await requestPool(plugin, { Pool: '10.88.0.0/16' })
  // the engine that has asked twice at once makes one of them
  const again = await requestPool(plugin, { Pool: '10.88.0.0/16' })
  expect(again).toEqual(pool)
  await create(plugin, [pool])
  await expect(create(plugin, [again], { id: OTHER })).rejects.toThrow('overlaps Docker network')
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: '10.88.0.1' })
  await plugin.call('IpamDriver.ReleasePool', { PoolID: pool.id })
  for (const Pool of ['10.88.0.0/16', '10.88.4.0/24', '10.0.0.0/8']) {
    await expect(requestPool(plugin, { Pool })).rejects.toThrow('overlaps 10.88.0.0/16 of Docker')
  }
  expect(await address(plugin, pool.id)).toBe('10.88.0.2/16')
})

test('a network is removed in the engine’s order: pool first', async () => {
  await using plugin = await startPlugin()
  const before = plugin.control.state
  const pool = await requestPool(plugin, { Pool: '10.88.0.0/16', aux: { a: '10.88.0.9' } })
  await create(plugin, [pool])
  await address(plugin, pool.id) // its release was lost
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: '10.88.0.9' })
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: '10.88.0.1' })
  await plugin.call('IpamDriver.ReleasePool', { PoolID: pool.id })
  await plugin.call('NetworkDriver.DeleteNetwork', { NetworkID: NET })
  expect(plugin.control.state).toBe(before)
})

test('a network that could not be made leaves nothing', async () => {
  await using plugin = await startPlugin()
  const before = plugin.control.state
  const pool = await requestPool(plugin, { Pool: '10.88.0.0/16', aux: { a: '10.88.0.9' } })
  plugin.control.fail('holdAddress', new NetworkError('unavailable', 'Cannot hold: away'))
  await expect(create(plugin, [pool])).rejects.toThrow('away')
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: '10.88.0.1' })
  await plugin.call('IpamDriver.ReleasePool', { PoolID: pool.id })
  expect(plugin.control.state).toBe(before)
})

test('N12: chosen pools are all different, and end with an error', async () => {
  await using plugin = await startPlugin()
  const seen = new Set<string>()
  for (let i = 0; i < 99; i++) seen.add((await requestPool(plugin)).prefix)
  expect(seen.size).toBe(99)
  await expect(requestPool(plugin)).rejects.toThrow('Cannot choose a pool')
})

test('a chosen pool of IPv6, and one of a network that is named', async () => {
  await using plugin = await startPlugin()
  const { control } = plugin
  await control.createNetwork({ name: 'blue', subnets: ['10.90.0.0/16', 'fd90::/64'] })
  const Options = { 'carrick.network': 'blue' }
  expect((await requestPool(plugin, { V6: true })).prefix).toBe('fd00:1::/64')
  const pools = [
    await requestPool(plugin, { Options }),
    await requestPool(plugin, { Options, V6: true }),
  ]
  expect(pools.map(({ prefix }) => prefix)).toEqual(['10.90.0.0/16', 'fd90::/64'])
  await create(plugin, pools, { generic: Options })
  expect(control.engineNetworks[0]?.networkId).toBe(String(control.networks[0]?.id))
  await plugin.call('NetworkDriver.DeleteNetwork', { NetworkID: NET })
  expect(control.networks.map(({ name }) => name)).toEqual(['blue'])
})

test('a network with the same subnets is the same network', async () => {
  await using plugin = await startPlugin()
  const { control } = plugin
  const blue = await control.createNetwork({
    name: 'blue',
    subnets: ['10.90.0.0/16'],
    gateways: ['10.90.0.254'],
  })
  const pool = await requestPool(plugin, { Pool: '10.90.0.0/16' })
  expect(pool.data).toMatchObject({ Gateway: '10.90.0.254/16' })
  await create(plugin, [pool])
  expect(control.engineNetworks[0]?.networkId).toBe(blue.id)
  expect(control.networks).toHaveLength(1)
})

for (const { name, wish = {}, fields, says } of [
  { name: 'another gateway', wish: { gateway: '10.90.0.1' }, fields: {}, says: '10.90.0.254' },
  { name: 'closed', fields: { internal: true }, says: 'is not internal' },
  { name: 'with another MTU', fields: { generic: { 'carrick.mtu': '1400' } }, says: 'MTU' },
  {
    name: 'with another carrier',
    fields: { generic: { 'carrick.carrier': 'local' } },
    says: 'carrier is auto, not local',
  },
  {
    name: 'with an unknown carrier',
    fields: { generic: { 'carrick.carrier': 'pigeon' } },
    says: 'choose among auto, vxlan',
  },
  {
    name: 'with unknown options',
    fields: { generic: { foo: 'bar', 'carrick.mtuu': '1400' } },
    says: '-o carrick.mtuu is not known: did you mean carrick.mtu?',
  },
  { name: 'with a flag', fields: { generic: { 'carrick.mtu': '' } }, says: 'a value is needed' },
  {
    name: 'as another network',
    fields: { generic: { 'carrick.network': 'red' } },
    says: 'it has subnet 10.91.0.0/16, not 10.90.0.0/16',
  },
] as readonly { name: string; wish?: Wish; fields: Fields; says: string }[]) {
  test(`a network that is there cannot be had ${name}`, async () => {
    await using plugin = await startPlugin()
    await plugin.control.createNetwork({
      name: 'blue',
      subnets: ['10.90.0.0/16'],
      gateways: ['10.90.0.254'],
    })
    await plugin.control.createNetwork({ name: 'red', subnets: ['10.91.0.0/16'] })
    const made = requestPool(plugin, { Pool: '10.90.0.0/16', ...wish }).then((pool) =>
      create(plugin, [pool], fields),
    )
    await expect(made).rejects.toThrow(says)
    expect(plugin.control.engineNetworks).toEqual([])
    expect(plugin.control.networks).toHaveLength(2)
  })
}

test('N10: another driver’s network has its addresses from a network that does nothing else', async () => {
  await using plugin = await startPlugin()
  const { control } = plugin
  const pool = await requestPool(plugin, { aux: { router: '10.64.0.9' } })
  expect(await address(plugin, pool.id, '10.64.0.7')).toBe('10.64.0.7/24')
  await expect(address(plugin, pool.id, '10.64.0.7')).rejects.toThrow('10.64.0.7')
  const first = await address(plugin, pool.id)
  const second = await address(plugin, pool.id)
  expect(new Set([first, second, '10.64.0.7/24', '10.64.0.9/24']).size).toBe(4)
  expect(control.networks).toMatchObject([
    { internal: true, carrier: 'local', labels: { [NETWORK_LABELS.pool]: pool.id } },
  ])
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: '10.64.0.7' })
  expect(await address(plugin, pool.id, '10.64.0.7')).toBe('10.64.0.7/24')
  await plugin.call('IpamDriver.ReleasePool', { PoolID: pool.id })
  expect(JSON.parse(control.state)).toMatchObject({ networks: [], endpoints: [], pools: [] })
})

test('N11: without an IPAM driver addresses are chosen when the endpoint is made', async () => {
  await using plugin = await startPlugin()
  await plugin.control.createNetwork({ name: 'blue', subnets: ['10.90.0.0/16'] })
  const IPv4Data = [{ AddressSpace: 'null', Pool: '0.0.0.0/0' }]
  const message = (generic: object): object => ({
    NetworkID: NET,
    Options: { 'com.docker.network.generic': generic },
    IPv4Data,
    IPv6Data: null,
  })
  const without = plugin.call('NetworkDriver.CreateNetwork', message({}))
  await expect(without).rejects.toThrow('-o carrick.network=NAME')
  await plugin.call('NetworkDriver.CreateNetwork', message({ 'carrick.network': 'blue' }))
  const Interface = { Address: '', AddressIPv6: '', MacAddress: '' }
  const ids = { NetworkID: NET, EndpointID: 'e1' }
  const made = await plugin.call('NetworkDriver.CreateEndpoint', { ...ids, Interface, Options: {} })
  expect(made).toMatchObject({ Interface: { Address: '10.90.0.2/16' } })
})

test('swarm: the manager’s network and addresses are the node’s', async () => {
  await using plugin = await startPlugin()
  const id = 'iw1lg8bozracm57r07esit15m'
  const AddressSpace = 'carrick_global'
  const { PoolID, Pool } = await plugin.call('IpamDriver.RequestPool', { AddressSpace })
  const global = String(PoolID)
  const Gateway = await address(plugin, global, '', { ...GATEWAY, serial: 'true' })
  const allocated = await plugin.call('NetworkDriver.AllocateNetwork', {
    NetworkID: id,
    Options: { 'carrick.mtu': '1400' },
    IPv4Data: [{ AddressSpace: '', Gateway, Pool }],
    IPv6Data: null,
  })
  const task = await address(plugin, global, '', { 'com.docker.network.ipam.serial': 'true' })
  const pool = await requestPool(plugin, {
    Pool: String(Pool),
    gateway: Gateway.split('/')[0] ?? '',
  })
  await create(plugin, [pool], { id, generic: allocated['Options'] as Record<string, string> })
  const [bare = ''] = task.split('/')
  expect(await address(plugin, pool.id, bare)).toBe(task)
  expect(plugin.control.networks).toMatchObject([{ mtuBytes: 1400 }])
  // Until the manager lets it go, an address is nobody else's, and another manager finds it taken.
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: bare })
  expect(await address(plugin, pool.id, bare)).toBe(task)
  await plugin.call('IpamDriver.ReleaseAddress', { PoolID: pool.id, Address: bare })
  expect(await address(plugin, pool.id)).not.toBe(task)
  expect(await address(plugin, global, bare)).toBe(task)
  expect(plugin.control.reservations).toHaveLength(1)
  for (let i = 0; i < 2; i++) {
    await plugin.call('IpamDriver.ReleaseAddress', { PoolID: global, Address: bare })
    expect(plugin.control.reservations).toEqual([])
  }
  // An engine that starts again asks anew.
  const again = await requestPool(plugin, {
    Pool: String(Pool),
    gateway: Gateway.split('/')[0] ?? '',
  })
  await create(plugin, [again], { id, generic: allocated['Options'] as Record<string, string> })
  expect(plugin.control.pools.map(({ poolId }) => poolId)).toEqual([global])
  // Without tasks no node has the network, and it stays all the same.
  await plugin.call('NetworkDriver.DeleteNetwork', { NetworkID: id })
  expect(plugin.control.networks).toHaveLength(1)
  await plugin.call('IpamDriver.ReleasePool', { PoolID: global })
  await plugin.call('NetworkDriver.FreeNetwork', { NetworkID: id })
  expect(plugin.control.pools).toEqual([])
  expect(plugin.control.networks).toEqual([])
})
