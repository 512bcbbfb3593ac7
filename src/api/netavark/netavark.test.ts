/** Netavark's documented messages, answered by a control that lives in memory. */

import { test } from 'bun:test'
import assert from 'node:assert/strict'
import type { NetavarkRequest } from '../../cni/netavark-exchange.ts'
import type { CniAttachSpec } from '../../control/cni-control.ts'
import type { NetworkSpec } from '../../control/control.ts'
import { defaultGateway } from '../../control/ipam/layout.ts'
import { systemClock } from '../../lib/clock.ts'
import { NetworkError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { CNI_LABELS } from '../../model/cni.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import { fakeEndpoint, fakeNetwork, ip, prefix } from '../rest/fake-control.ts'
import { answerNetavark, type NetavarkDeps } from './netavark.ts'

const ID = '2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9'
const CONTAINER_ID = '752947ff91f961eb3cb47ffe9315016979f3ffbec09e4d96a4fae3fb03391697'

/** As Podman writes it for `podman network create -d carrick blue`. */
function podmanNetwork(more: object = {}): Record<string, unknown> {
  return {
    ...{ name: 'blue', id: ID, driver: 'carrick', created: '2026-01-02T03:04:05.678Z' },
    ...{ ipv6_enabled: false, internal: false, dns_enabled: true },
    ipam_options: { driver: 'host-local' },
    ...more,
  }
}

/** As netavark writes it for `podman run --network blue`. */
function podmanContainer(more: object = {}, own: object = {}): Record<string, unknown> {
  return {
    container_id: CONTAINER_ID,
    container_name: 'Web_1',
    port_mappings: null,
    network: podmanNetwork({ options: null, network_dns_servers: null, routes: null }),
    network_options: {
      aliases: ['db', '752947ff91f9'],
      interface_name: 'eth0',
      ...{ static_ips: null, static_mac: null, options: null, ...own },
    },
    ...more,
  }
}

class Scene {
  readonly networks: Network[] = [fakeNetwork('blue')]
  readonly made: NetworkSpec[] = []
  readonly attached: CniAttachSpec[] = []
  readonly detached: unknown[] = []
  readonly endpoints: Endpoint[] = []
  readonly publications: Publication[] = []
  resolvers = [ip('169.254.77.53'), ip('fd3b:ca44:1c53::53')]

  readonly #control = {
    listNetworks: () => this.networks,
    getNetwork: (reference: string) => {
      const found = this.networks.find(({ name, id }) => [name, id].includes(reference))
      if (found !== undefined) return found
      throw new NetworkError('not-found', `Cannot find the network "${reference}"`)
    },
    createNetwork: async (spec: NetworkSpec) => {
      this.made.push(spec)
      const prefixes = (spec.subnets ?? ['10.64.0.0/16']).map(prefix)
      const gateways = prefixes.map(defaultGateway)
      const { carrier = 'auto', internal = false, mtuBytes } = spec
      const network: Network = {
        ...fakeNetwork(spec.name, 2),
        ...{ prefixes, gateways, carrier, internal },
        ...(mtuBytes === undefined ? {} : { mtuBytes }),
      }
      this.networks.push(network)
      return network
    },
    suggestPrefixes: ({ family }: { family?: number }) =>
      [family === 6 ? 'fd12::/48' : '10.64.0.0/16'].map(prefix),
    attachCni: async (spec: CniAttachSpec) => {
      this.attached.push(spec)
      const endpoint = fakeEndpoint(1)
      return { endpoint, publications: [], revision: 1 }
    },
    detachCni: async (attachment: unknown) => void this.detached.push(attachment),
    cniEndpointsOf: (container: string) =>
      this.endpoints.filter(({ labels }) => labels[CNI_LABELS.container] === container),
    publicationsOf: (id: string) => this.publications.filter((each) => each.endpointId === id),
    shapes: {
      shapeOf: () => assert.fail('nothing is asked of the kernel'),
      resolvers: this.resolvers,
    },
  }

  /** The whole answer: what was printed, parsed, and the exit code. */
  async call(verb: string, stdin: unknown, netns?: string, gone = new AbortController().signal) {
    const deps: NetavarkDeps = {
      control: this.#control as NetavarkDeps['control'], // all that is used of it
      clock: systemClock(),
      log: silentLog,
    }
    const request: NetavarkRequest = {
      ...{
        version: 1 as const,
        verb,
        stdin: typeof stdin === 'string' ? stdin : JSON.stringify(stdin),
      },
      ...(netns === undefined ? {} : { netns }),
    }
    const { stdout, exit } = await answerNetavark(deps, request, gone)
    return { exit, said: stdout === '' ? undefined : JSON.parse(stdout) }
  }

  async refusal(verb: string, stdin: unknown): Promise<string> {
    const { exit, said } = await this.call(verb, stdin, '/run/netns/x')
    assert.equal(exit, 1)
    assert.deepEqual(Object.keys(said), ['error'])
    return said.error
  }

  get last(): CniAttachSpec {
    const spec = this.attached.at(-1)
    assert.ok(spec !== undefined)
    return spec
  }
}

test('create takes the network of that name, and Podman keeps what it is like', async () => {
  const scene = new Scene()
  const { exit, said } = await scene.call('create', podmanNetwork({ labels: { a: 'b' }, other: 1 }))
  assert.equal(exit, 0)
  assert.deepEqual(said, {
    ...podmanNetwork({ labels: { a: 'b' }, other: 1 }),
    subnets: [
      { subnet: '10.80.0.0/16', gateway: '10.80.0.1' },
      { subnet: 'fd80::/48', gateway: 'fd80::1' },
    ],
    ipv6_enabled: true,
    options: {},
    ipam_options: { driver: 'carrick' },
  })
  assert.deepEqual(scene.made, [])
})

test('create makes a network that is not there, as Podman was told', async () => {
  const scene = new Scene()
  const wanted = podmanNetwork({
    ...{ name: 'green', internal: true, labels: { team: 'x', 'not a key': 'y' } },
    subnets: [{ subnet: '10.81.0.0/16', gateway: '10.81.0.1' }],
    options: { mtu: '1400', 'carrick.carrier': 'local', no_default_route: 'true' },
  })
  const { said } = await scene.call('create', wanted)
  assert.deepEqual(scene.made, [
    {
      ...{ name: 'green', subnets: ['10.81.0.0/16'], gateways: ['10.81.0.1'] },
      ...{ carrier: 'local', mtuBytes: 1400, internal: true, force: false, labels: { team: 'x' } },
    },
  ])
  assert.deepEqual(said.subnets, [{ subnet: '10.81.0.0/16' }], 'an internal one has no gateway')
  assert.equal(said.options.no_default_route, 'true')
})

test('create leaves the choice of subnets to us, and adds one of IPv6 when that is asked for', async () => {
  const scene = new Scene()
  await scene.call('create', podmanNetwork({ name: 'green' }))
  await scene.call('create', podmanNetwork({ name: 'red', ipv6_enabled: true }))
  assert.deepEqual(
    scene.made.map(({ subnets }) => subnets),
    [undefined, ['10.64.0.0/16', 'fd12::/48']],
  )
})

test('create notes the name among ours where Podman’s is another', async () => {
  const scene = new Scene()
  const named = podmanNetwork({ name: 'My_Net', options: { 'carrick.name': 'mine' } })
  assert.equal((await scene.call('create', named)).said.options['carrick.network'], 'mine')
  const taken = podmanNetwork({ name: 'x', options: { 'carrick.network': 'net00001' } })
  assert.equal((await scene.call('create', taken)).said.options['carrick.network'], 'blue')
  assert.match(
    await scene.refusal('create', podmanNetwork({ name: 'My_Net' })),
    /-o carrick\.name=/,
  )
})

test('create refuses what nobody could keep, and what the network is not', async () => {
  const scene = new Scene()
  const subnet = { subnet: '10.80.0.0/16' }
  for (const [more, words] of [
    [{ ipam_options: { driver: 'dhcp' } }, /--ipam-driver dhcp/],
    [{ ipam_options: { driver: 'none' } }, /--ipam-driver none/],
    [{ network_interface: 'br7' }, /--interface-name br7/],
    [{ network_dns_servers: ['192.0.2.1'] }, /--dns/],
    [{ subnets: [{ ...subnet, lease_range: { start_ip: '10.80.1.0' } }] }, /--ip-range/],
    [
      { routes: [{ destination: '192.0.2.0/24', gateway: '10.80.0.9' }] },
      /--route 192\.0\.2\.0\/24/,
    ],
    [
      { options: { vlan: '7' } },
      /-o vlan: it is not known; known are mtu, no_default_route, carrick/,
    ],
    [{ options: { mtu: 'big' } }, /carrick\.mtu=big/],
    [{ subnets: [{ subnet: '10.9.0.0/16' }] }, /it has subnet .*, not 10\.9\.0\.0\/16/],
    [{ subnets: [{ ...subnet, gateway: '10.80.0.7' }] }, /its gateway is 10\.80\.0\.1/],
    [{ subnets: [{ subnet: '10.80.0.1/16' }] }, /subnets\[0\]\.subnet "10\.80\.0\.1\/16"/],
    [{ internal: true }, /it is not internal/],
    [{ options: { 'carrick.carrier': 'direct' } }, /its carrier is auto, not direct/],
    [{ name: '' }, /Cannot read name/],
    [{ dns_enabled: 'yes' }, /dns_enabled: true or false/],
  ] as const) {
    assert.match(await scene.refusal('create', podmanNetwork(more)), words)
  }
  assert.match(await scene.refusal('create', '{"name":'), /not JSON/)
  assert.match(await scene.refusal('create', '[]'), /no JSON object/)
  assert.match(await scene.refusal('update', podmanNetwork()), /Cannot do "update"/)
  assert.deepEqual(scene.made, [])
})

test('setup attaches by what netavark calls it, and answers what the container has got', async () => {
  const scene = new Scene()
  const { exit, said } = await scene.call('setup', podmanContainer(), '/run/netns/netns-1')
  assert.equal(exit, 0)
  assert.deepEqual(said, {
    dns_search_domains: [],
    dns_server_ips: ['169.254.77.53'],
    interfaces: {
      eth0: {
        mac_address: '02:00:00:00:00:01',
        subnets: [
          { ipnet: '10.80.0.11/16', gateway: '10.80.0.1' },
          { ipnet: 'fd80::11/48', gateway: 'fd80::1' },
        ],
      },
    },
  })
  const [{ signal, ...attached } = assert.fail('nothing was attached')] = scene.attached
  assert.equal(signal?.aborted, false)
  assert.deepEqual(
    [attached],
    [
      {
        attachment: { network: 'netavark.blue', container: CONTAINER_ID, ifname: 'eth0' },
        ...{ network: 'net00001', netns: '/run/netns/netns-1', addresses: [] },
        labels: { 'io.kubernetes.pod.name': 'Web_1' },
        ...{ preferredName: 'web-1', names: ['Web_1', 'db', '752947ff91f9'], publish: [] },
      },
    ],
  )
})

test('setup passes on what a user chose', async () => {
  const scene = new Scene()
  const own = {
    ...{ static_ips: ['10.80.0.50', 'fd80::50'], static_mac: 'AA:bb:cc:dd:aa:00' },
    ...{ interface_name: 'lan0', options: { 'carrick.name': 'db', 'carrick.label.tier': 'data' } },
  }
  const network = podmanNetwork({
    options: { 'carrick.network': 'blue', no_default_route: 'true' },
    ...{ name: 'other', dns_enabled: false },
    routes: [{ destination: '192.0.2.0/24', gateway: '10.80.0.1', metric: 7 }],
  })
  const { said } = await scene.call('setup', podmanContainer({ network }, own), '/run/netns/x')
  const { addresses, mac, preferredName, labels, attachment, routes, noDefaultRoute } = scene.last
  assert.deepEqual(addresses, ['10.80.0.50', 'fd80::50'])
  assert.equal(mac, 'aa:bb:cc:dd:aa:00')
  assert.equal(preferredName, 'db')
  assert.deepEqual(labels, { tier: 'data', 'io.kubernetes.pod.name': 'Web_1' })
  assert.deepEqual(attachment.ifname, 'lan0')
  assert.deepEqual(attachment.network, 'netavark.other')
  assert.deepEqual(routes as unknown, [{ to: '192.0.2.0/24', metric: 7 }])
  assert.equal(noDefaultRoute, true)
  assert.deepEqual(Object.keys(said.interfaces), ['lan0'])
  assert.deepEqual(said.dns_server_ips, [])
})

test('setup publishes ports once for all networks of a container', async () => {
  const scene = new Scene()
  const port_mappings = [
    { container_port: 80, host_ip: '127.0.0.1', host_port: 8080, protocol: 'tcp', range: 1 },
    { container_port: 90, host_ip: '', host_port: 9090, protocol: 'tcp,udp', range: 3 },
  ]
  await scene.call('setup', podmanContainer({ port_mappings }), '/run/netns/x')
  const wishes = scene.last.publish
  assert.deepEqual(wishes as unknown, [
    { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, containerPort: 80, count: 1 },
    { protocol: 'tcp', hostPort: 9090, containerPort: 90, count: 3 },
    { protocol: 'udp', hostPort: 9090, containerPort: 90, count: 3 },
  ])
  const labels = { [CNI_LABELS.container]: CONTAINER_ID, [CNI_LABELS.network]: 'netavark.blue' }
  scene.endpoints.push(fakeEndpoint(1, { labels }))
  for (const wish of wishes ?? []) {
    const publication = { endpointId: 'ep0001', ...(wish as object) }
    scene.publications.push(publication as Publication) // what is compared of it
  }
  const second = podmanContainer({ port_mappings }, { interface_name: 'eth1' })
  await scene.call('setup', second, '/run/netns/x')
  assert.deepEqual(scene.last.publish, [])
})

test('setup of a first interface that comes late takes route and ports over', async () => {
  const scene = new Scene()
  const labels = { [CNI_LABELS.container]: CONTAINER_ID, [CNI_LABELS.network]: 'netavark.red' }
  scene.endpoints.push(fakeEndpoint(1, { labels, ifname: 'eth1' }))
  const port = { protocol: 'tcp', hostPort: 8080, containerPort: 80, count: 1 }
  scene.publications.push({ id: 'p1', endpointId: 'ep0001', ...port } as Publication)
  const port_mappings = [
    { container_port: 80, host_ip: '', host_port: 8080, protocol: 'tcp', range: 1 },
  ]
  await scene.call('setup', podmanContainer({ port_mappings }), '/run/netns/x')
  assert.equal(scene.last.defaultRoute, true)
  assert.deepEqual(scene.last.movePorts, ['p1'])
  assert.deepEqual(scene.last.publish, [])
})

test('setup in an internal network publishes nothing and tells of no gateway', async () => {
  const scene = new Scene()
  scene.networks[0] = { ...fakeNetwork('blue'), internal: true }
  const port_mappings = [
    { container_port: 80, host_ip: '', host_port: 8080, protocol: 'tcp', range: 1 },
  ]
  const { said } = await scene.call('setup', podmanContainer({ port_mappings }), '/run/netns/x')
  assert.deepEqual(scene.last.publish, [])
  assert.deepEqual(said.interfaces.eth0.subnets[0], { ipnet: '10.80.0.11/16' })
})

test('setup refuses what makes no sense', async () => {
  const scene = new Scene()
  for (const [input, words] of [
    [podmanContainer({}, { interface_name: '' }), /network_options\.interface_name/],
    [podmanContainer({}, { interface_name: 'a/b' }), /interface_name "a\/b"/],
    [podmanContainer({}, { static_mac: '01:00:00:00:00:01' }), /static_mac/],
    [podmanContainer({}, { options: { 'carrick.nam': 'x' } }), /did you mean carrick\.name/],
    [podmanContainer({ container_id: '../x' }), /container_id/],
    [podmanContainer({ network: null }), /Cannot read network/],
    [
      podmanContainer({ network: podmanNetwork({ name: 'gone' }) }),
      /Cannot find the network "gone"/,
    ],
    [podmanContainer({ port_mappings: [{ container_port: 70_000 }] }), /container_port/],
  ] as const) {
    assert.match(await scene.refusal('setup', input), words)
  }
  assert.deepEqual(scene.attached, [])
})

test('teardown takes away what setup made, also when its network is gone', async () => {
  const scene = new Scene()
  scene.networks.length = 0
  const { exit, said } = await scene.call('teardown', podmanContainer(), '/run/netns/gone')
  assert.deepEqual({ exit, said }, { exit: 0, said: undefined })
  assert.deepEqual(scene.detached, [
    { network: 'netavark.blue', container: CONTAINER_ID, ifname: 'eth0' },
  ])
})
