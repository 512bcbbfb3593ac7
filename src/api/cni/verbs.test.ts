import { afterEach, beforeEach, test } from 'bun:test'
import assert from 'node:assert/strict'
import { drive } from '../../control/member.ts'
import { NetworkError } from '../../lib/errors.ts'
import { mac } from '../../net/testing.ts'
import { addedBy, type Call, CniScene, refused, silent } from './testing.ts'

let host: CniScene

beforeEach(async () => {
  host = await CniScene.start()
  for (const spec of [
    { name: 'blue', subnets: ['10.2.0.0/24', 'fd02::/64'] },
    { name: 'quiet', subnets: ['10.4.0.0/24'], internal: true },
  ]) {
    await drive(host.scene, host.member.control.createNetwork(spec))
  }
})
afterEach(() => host.stop())

const endpoints = () => host.member.control.listEndpoints()
const add = (call: Call = {}) => addedBy(host, call)

test('ADD tells the gateway, the host’s end and the container’s, to which all addresses point', async () => {
  const { interfaces, ips, routes, dns, cniVersion } = await add()
  const [endpoint] = endpoints()
  assert.equal(cniVersion, '1.1.0')
  assert.deepEqual(
    interfaces.map(({ name, sandbox }) => [name, sandbox]),
    [
      ['ckgw1', undefined],
      [endpoint && 'device' in endpoint ? endpoint.device : '', undefined],
      ['eth0', '/run/netns/c1'],
    ],
  )
  assert.equal(interfaces[2]?.mac, endpoint?.mac)
  assert.equal(interfaces[2]?.mtu, 1450)
  assert.deepEqual(
    ips.map((each) => [each.address, each.gateway, each.interface]),
    endpoint?.addresses.map((address, i) => [
      `${address}/${i === 0 ? 24 : 64}`,
      i === 0 ? '10.2.0.1' : 'fd02::1',
      2,
    ]),
  )
  assert.deepEqual(routes, [
    { dst: '0.0.0.0/0', gw: '10.2.0.1' },
    { dst: '::/0', gw: 'fd02::1' },
  ])
  assert.deepEqual(dns, { nameservers: ['169.254.77.53', 'fd3b:ca44:1c53::53'] })
})

for (const version of ['0.1.0', '0.3.1', '0.4.0', '1.0.0'] as const) {
  test(`ADD answers as ${version} wants it, and DEL prints nothing`, async () => {
    const config = { cniVersion: version }
    const result = await add({ config })
    assert.equal(result.cniVersion, version)
    if (version !== '0.1.0') {
      assert.equal(result.ips[0]?.version, version === '1.0.0' ? undefined : '4')
      assert.equal(result.interfaces[2]?.mtu, undefined)
    }
    silent(await host.call('DEL', { config }))
    silent(await host.call('DEL', { config, netns: '' }))
    assert.deepEqual(endpoints(), [])
  })
}

test('ADD repeated is refused, and the first one stays', async () => {
  await add()
  const [before] = endpoints()
  refused(await host.call('ADD'), 101, /already exists/)
  assert.deepEqual(endpoints(), [before])
})

test('an address that somebody has is refused with its name', async () => {
  await add({ config: { runtimeConfig: { ips: ['10.2.0.50'] } }, args: 'K8S_POD_NAME=web' })
  const wish = { config: { runtimeConfig: { ips: ['10.2.0.50'] } } }
  refused(await host.call('ADD', { container: 'c2', ...wish }), 101, /10\.2\.0\.50.*web/)
  for (const { ip: address, text } of [
    { ip: '10.2.0.1', text: /10\.2\.0\.1 is the gateway/ },
    { ip: '192.0.2.1', text: /192\.0\.2\.1 is not in the network/ },
  ]) {
    const config = { runtimeConfig: { ips: [address] } }
    refused(await host.call('ADD', { container: 'c2', config }), 7, text)
  }
  assert.equal(endpoints().length, 1)
})

test('a pod’s name, namespace and annotations become those of its endpoint', async () => {
  const annotations = { 'example.org/note': 'hello', 'not a label': 'x', 'carrick/mine': 'y' }
  await add({
    args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=Web_1;K8S_POD_UID=u-1',
    config: {
      runtimeConfig: {
        aliases: { cknet: ['db'], other: ['no'] },
        'io.kubernetes.cri.pod-annotations': annotations,
      },
      args: { cni: { labels: [{ key: 'tier', value: 'front' }] } },
    },
  })
  const [endpoint] = endpoints()
  assert.equal(endpoint?.name, 'web-1')
  assert.deepEqual(endpoint?.labels, {
    'io.kubernetes.pod.name': 'Web_1',
    'io.kubernetes.pod.namespace': 'shop',
    'io.kubernetes.pod.uid': 'u-1',
    tier: 'front',
    'example.org/note': 'hello',
    'carrick/cni-network': 'cknet',
    'carrick/cni-container': 'c1',
    'carrick/cni-ifname': 'eth0',
    'carrick/dns-names': 'Web_1,Web_1.shop,db',
  })
})

test('a name that is taken fails no ADD', async () => {
  await add({ args: 'K8S_POD_NAME=web' })
  await add({ container: 'c2', args: 'K8S_POD_NAME=web' })
  assert.deepEqual(
    endpoints()
      .map(({ name }) => name)
      .sort(),
    ['web', undefined],
  )
})

test('ports are published once, however many networks a runtime asks for them', async () => {
  const portMappings = [
    { HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' },
    { HostPort: 8081, ContainerPort: 81, Protocol: 'tcp', HostIP: '' },
    { HostPort: 8081, ContainerPort: 81, Protocol: 'udp', HostIP: '' },
  ]
  const config = { runtimeConfig: { portMappings } }
  await add({ config })
  await add({ ifname: 'eth1', config: { ...config, name: 'second' } })
  const published = host.member.control.listPublications()
  assert.deepEqual(
    published.map(({ protocol, hostPort, count }) => [protocol, hostPort, count]),
    [
      ['tcp', 8080, 2],
      ['udp', 8081, 1],
    ],
  )
  refused(await host.call('ADD', { container: 'c2', config }), 101, /8080.*/)
  silent(await host.call('DEL', { config }))
  assert.deepEqual(host.member.control.listPublications(), [])
})

test('what the network has by itself is not contradicted', async () => {
  refused(
    await host.call('ADD', { config: { ipMasq: false } }),
    7,
    /carrick network set blue --no-masquerade/,
  )
  refused(await host.call('ADD', { config: { mtu: 9000 } }), 7, /packets of 1450 bytes/)
  await add({ config: { ipMasq: true, mtu: 1400, isGateway: true, hairpinMode: true } })
})

test('without the default route only what is named leads through the interface', async () => {
  const config = { isDefaultGateway: false, routes: [{ dst: '192.0.2.0/24' }] }
  const { routes } = await add({ config })
  assert.deepEqual(routes, [{ dst: '192.0.2.0/24', gw: '10.2.0.1' }])
  const [endpoint] = endpoints()
  assert.equal(endpoint?.defaultRoute, false)
  const byOther = { routes: [{ dst: '192.0.2.0/24', gw: '10.2.0.9' }] }
  refused(
    await host.call('ADD', { container: 'c2', config: byOther }),
    2,
    /every route leads by its gateway, 10\.2\.0\.1/,
  )
})

test('ranges say where addresses are chosen', async () => {
  const ranges = [[{ subnet: '10.2.0.0/24', rangeStart: '10.2.0.100', rangeEnd: '10.2.0.103' }]]
  const { ips } = await add({ config: { runtimeConfig: { ipRanges: ranges } } })
  assert.match(ips[0]?.address ?? '', /^10\.2\.0\.10[0-3]\/24$/)
  const foreign = [[{ subnet: '10.9.0.0/24' }]]
  refused(
    await host.call('ADD', { container: 'c2', config: { runtimeConfig: { ipRanges: foreign } } }),
    7,
    /network blue has 10\.2\.0\.0\/24/,
  )
})

test('the result of the chain before stays in front, and our indexes count on', async () => {
  const prevResult = {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: '/run/netns/c1' }],
    ips: [{ interface: 0, address: '127.0.0.1/8' }],
    dns: { nameservers: ['192.0.2.53'] },
  }
  const { interfaces, ips, dns } = await add({ config: { prevResult } })
  assert.equal(interfaces[0]?.name, 'lo')
  assert.deepEqual(
    ips.map((each) => interfaces[each.interface]?.name),
    ['lo', 'eth0', 'eth0'],
  )
  assert.deepEqual(dns, { nameservers: ['192.0.2.53'] })
})

test('a prevResult whose index points nowhere is refused, and nothing is made', async () => {
  const prevResult = { cniVersion: '1.1.0', ips: [{ interface: 3, address: '192.0.2.1/24' }] }
  refused(await host.call('ADD', { config: { prevResult } }), 7, /interface/)
  assert.deepEqual(endpoints(), [])
})

test('namespaces that are none are told with code 8', async () => {
  refused(await host.call('ADD', { netns: '/proc/self/ns/net' }), 8, /the host itself lives/)
  host.member.ports.gone.add('/run/netns/c1')
  refused(await host.call('ADD'), 7, /There is no namespace/)
  assert.deepEqual(endpoints(), [])
})

test('a network that is not there is told with how to make it', async () => {
  refused(
    await host.call('ADD', { config: { network: 'green' } }),
    7,
    /none of this name; carrick network create green/,
  )
})

test('an ADD whose caller is gone is taken back', async () => {
  const gone = AbortSignal.abort()
  assert.equal((await host.call('ADD', { gone })).exit, 1)
  assert.deepEqual(endpoints(), [])
  await add()
})

test('an ADD that the kernel refuses leaves nothing', async () => {
  host.member.ports.refusal = new NetworkError(
    'conflict',
    'Cannot create interface eth0: it has one',
  )
  refused(await host.call('ADD'), 101, /interface eth0/)
  assert.deepEqual(endpoints(), [])
})

test('a MAC that a plug-in behind us gives is taken over', async () => {
  await add()
  const [endpoint] = endpoints()
  const inode = endpoint && 'sandbox' in endpoint ? endpoint.sandbox.inode : 0
  const given = mac('0a:00:00:00:00:28')
  const link = { mac: given, mtuBytes: 1300, up: true, addresses: [], routes: [] }
  host.member.ports.inside.set('/run/netns/c1', { inode, link })
  await host.scene.clock.advance(1_000)
  assert.equal(endpoints()[0]?.mac, given)
})

test('attachments of a daemon that was restarted are deleted all the same', async () => {
  await add()
  await host.restart()
  assert.equal(endpoints().length, 1)
  silent(await host.call('DEL', { netns: '' }))
  assert.deepEqual(endpoints(), [])
})

test('a belated DEL spares what was attached after it', async () => {
  await add()
  const { api, scene } = host
  const spooled = (seconds: number) => {
    const spooledAt = new Date(scene.clock.wallMs() + seconds * 1000).toISOString()
    return drive(scene, api.replay({ ...host.request('DEL'), spooledAt }))
  }
  await spooled(-60)
  assert.equal(endpoints().length, 1)
  await spooled(0)
  assert.deepEqual(endpoints(), [])
})

test('an ADD does first what was spooled', async () => {
  await add()
  const [before] = endpoints()
  const spooledAt = new Date(host.scene.clock.wallMs()).toISOString()
  host.spooled = () => host.api.replay({ ...host.request('DEL'), spooledAt })
  await host.scene.clock.advance(5)
  await add()
  const [after] = endpoints()
  assert.notEqual(after?.id, before?.id)
})

test('an ADD takes the place of one whose namespace and pair are gone', async () => {
  await add({ netns: '/run/netns/old' })
  const [before] = endpoints()
  refused(await host.call('ADD', { netns: '/run/netns/new' }), 101, /already exists/)
  host.member.ports.gone.add('/run/netns/old')
  await add({ netns: '/run/netns/new' })
  assert.equal(endpoints().length, 1)
  assert.notEqual(endpoints()[0]?.id, before?.id)
})

test('an internal network gives no way out, and publishes nothing', async () => {
  const { routes, ips } = await add({ config: { network: 'quiet' } })
  assert.equal(routes, undefined)
  assert.equal(ips[0]?.gateway, undefined)
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp' }] }
  const config = { network: 'quiet', runtimeConfig }
  refused(await host.call('ADD', { container: 'c2', config }), 7, /internal/)
})
