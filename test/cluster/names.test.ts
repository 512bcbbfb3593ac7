/** Names of containers, asked for on another host, in equal networks and in closed ones, and all other names. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { pinsPath } from '../../src/lab/paths.ts'
import { ipBytes } from '../../src/net/ip.ts'
import { ip } from '../../src/net/testing.ts'
import {
  ask,
  askWhole,
  type Pin,
  RESOLVER4,
  RESOLVER6,
  resolverFor,
  startFakeResolver,
} from './ask.ts'
import { addressOf, createNetwork, knows, sharedCluster, shell, until } from './harness.ts'
import { pings } from './traffic.ts'

/** The resolver of the world outside is on the third host, which is no member. */
const OUTSIDE = 'h3'
const SHAPE = {
  hosts: 3,
  members: 2,
  daemon: { args: ['--resolver-servers', '198.18.0.3'] },
}
const SUBNETS = ['--subnet', '10.40.0.0/24', '--subnet', 'fd40::/64']
const ONE_OF_TWO = [...SUBNETS, '--carrier', 'vxlan', '--force']

const inCluster = sharedCluster(SHAPE)

inCluster(
  'a container resolves one of another host, by all names and both families',
  async (cluster) => {
    await createNetwork(
      cluster,
      'blue',
      ['--subnet', '10.30.0.0/16', '--subnet', 'fd30::/48'],
      ['h1', 'h2'],
    )
    const web = await cluster.attach('blue', 'h1', 'web')
    // As soon as its attach has answered.
    assert.equal(ask(web, 'web'), `NOERROR ${web.addresses[0]}`)
    const box = await cluster.attach('blue', 'h2', 'box')
    await knows(cluster, 'h2', 'web')
    const [v4 = '', v6 = ''] = web.addresses
    for (const name of ['web', 'WEB', 'web.blue', 'Web.Blue', 'web.carrick', 'web.blue.carrick']) {
      for (const at of [RESOLVER4, RESOLVER6]) {
        for (const transport of ['udp', 'tcp'] as const) {
          const how = `${name} at ${at} by ${transport}`
          assert.equal(ask(box, name, { at, transport }), `NOERROR ${v4}`, how)
          assert.equal(ask(box, name, { at, transport, type: 'AAAA' }), `NOERROR ${v6}`, how)
        }
      }
      assert.equal(ask(box, name, { type: 'TXT' }), 'NOERROR')
    }
    for (const address of web.addresses) {
      const at = resolverFor(address)
      assert.equal(ask(box, reverse(address), { type: 'PTR', at }), 'NOERROR web.blue')
    }
    assert.equal(ask(box, reverse('10.30.77.77'), { type: 'PTR' }), 'NXDOMAIN')
    const { stdout } = await cluster.lab.runIn(box, ['busybox', 'nslookup', 'web.blue', RESOLVER4])
    assert.ok(stdout.includes(v4) && stdout.includes(v6), stdout)
    assert.equal(await pings(cluster, box, v4), true)
  },
)

inCluster('a name is gone with its container, on every host', async (cluster) => {
  const [here, there] = [
    await cluster.attach('blue', 'h1', 'brief'),
    await cluster.attach('blue', 'h2', 'watcher'),
  ]
  await until('it is known', () => ask(there, 'brief') === `NOERROR ${first(here)}`)
  await cluster.carrick('h1', 'detach', here.endpointId)
  assert.equal(ask(hostOf(cluster, 'h1'), 'brief.blue'), 'NXDOMAIN')
  await until('it is gone', () => ask(there, 'brief.blue') === 'NXDOMAIN', 2_000)
})

inCluster('equal names of equal networks are told apart', async (cluster) => {
  const pairs: (readonly [Container, Container])[] = []
  for (const name of ['east', 'west']) {
    await createNetwork(cluster, name, ONE_OF_TWO, ['h1', 'h2'])
    const number = name === 'east' ? 10 : 20
    const box = await cluster.lab.container('h1', `${name}-twin`)
    const twin = { ...box, name: 'twin' }
    const far = await cluster.attachContainer(name, twin, '--ip', `10.40.0.${number}`)
    // The askers have one address.
    const near = await cluster.attach(name, 'h2', `${name}-box`, '--ip', '10.40.0.99')
    pairs.push([near, far])
    await until(`h2 knows the twin of ${name}`, () => ask(near, 'twin').includes('NOERROR'))
  }
  for (const [near, far] of pairs) {
    for (const resolver of [RESOLVER4, RESOLVER6]) {
      for (const transport of ['udp', 'tcp'] as const) {
        assert.equal(ask(near, 'twin', { at: resolver, transport }), `NOERROR ${far.addresses[0]}`)
      }
    }
  }
  const [[eastBox], [, westTwin]] = [at(pairs, 0), at(pairs, 1)]
  assert.equal(ask(eastBox, 'twin.west'), `NOERROR ${westTwin.addresses[0]}`)
})

inCluster('containers of an internal network ask too, and get nowhere else', async (cluster) => {
  const subnets = ['--subnet', '10.50.0.0/24', '--subnet', 'fd50::/64']
  await createNetwork(cluster, 'quiet', [...subnets, '--internal'], ['h1', 'h2'])
  const [shy, other] = [
    await cluster.attach('quiet', 'h1', 'shy'),
    await cluster.attach('quiet', 'h2', 'other'),
  ]
  await knows(cluster, 'h1', 'other')
  await knows(cluster, 'h2', 'shy')
  for (const address of shy.addresses) {
    const type = address.includes(':') ? 'AAAA' : 'A'
    for (const transport of ['udp', 'tcp'] as const) {
      const asking = { at: resolverFor(address), type, transport } as const
      assert.equal(ask(other, 'shy', asking), `NOERROR ${address}`, `${type} by ${transport}`)
    }
  }
  assert.equal(ask(shy, 'other', { port: 54, waitMs: 300 }), 'silence')
  assert.equal(await pings(cluster, shy, RESOLVER4), false)
  assert.equal(await pings(cluster, shy, addressOf(cluster.lab, 'h1')), false)
  // Nor does the host come in.
  const { exitCode } = await cluster.lab.run('h1', ['ping', '-c1', '-W1', '-n', first(shy)])
  assert.notEqual(exitCode, 0)
  // A container that is on an open network as well knows the names of both.
  const both = await cluster.lab.container('h1', 'both')
  await cluster.carrick('h1', 'attach', 'blue', 'quiet', '--netns', both.netns, '--name', 'both')
  assert.equal(ask(both, 'shy'), `NOERROR ${first(shy)}`)
  assert.match(ask(both, 'web'), /^NOERROR 10\.30\./)
})

inCluster('whoever is in no network asks with the name of one', async (cluster) => {
  const host = hostOf(cluster, 'h2')
  assert.match(ask(host, 'web.blue'), /^NOERROR 10\.30\./)
  assert.match(
    ask(host, 'web.blue', { at: RESOLVER6, transport: 'tcp', type: 'AAAA' }),
    /^NOERROR fd30:/,
  )
  assert.equal(ask(host, 'web.carrick'), 'NXDOMAIN')
  // So do containers that are no business of ours, behind a device of the host.
  const other = await cluster.lab.container('h2', 'elsewhere')
  await shell(
    cluster,
    'h2',
    `ip link add dk0 type veth peer name eth0 netns elsewhere && ip addr add 172.31.9.1/24 dev dk0 &&
     ip link set dk0 up && ip -n elsewhere addr add 172.31.9.2/24 dev eth0 && ip -n elsewhere link set eth0 up &&
     ip -n elsewhere route add default via 172.31.9.1`,
  )
  for (const transport of ['udp', 'tcp'] as const) {
    assert.match(ask(other, 'web.blue', { transport }), /^NOERROR 10\.30\./)
  }
  assert.equal(ask(other, 'gone.blue'), 'NXDOMAIN')
  // The doors of networks are for those who were led there.
  const port = await doorOf(cluster, 'h2', 'blue')
  for (const each of [host, other]) {
    assert.equal(ask(each, 'web', { port, waitMs: 300 }), 'silence')
  }
  // From the wire nobody is answered.
  const stranger = hostOf(cluster, OUTSIDE)
  await shell(cluster, OUTSIDE, `ip route add ${RESOLVER4}/32 via ${addressOf(cluster.lab, 'h2')}`)
  assert.equal(ask(stranger, 'web.blue', { waitMs: 300 }), 'silence')
})

inCluster('all other names are for the resolvers of the host, ours never', async (cluster) => {
  const outside = addressOf(cluster.lab, OUTSIDE)
  await shell(cluster, OUTSIDE, `ip addr add 198.18.0.3/32 dev lo`)
  for (const host of ['h1', 'h2'])
    await shell(cluster, host, `ip route add 198.18.0.3 via ${outside}`)
  const box = await cluster.attach('blue', 'h2', 'forwarded')
  // Nobody answers there yet.
  assert.equal(ask(box, 'www.example.org', { waitMs: 4_000 }), 'SERVFAIL')
  const fake = await startFakeResolver(cluster, OUTSIDE, '198.18.0.3')
  try {
    for (const transport of ['udp', 'tcp'] as const) {
      assert.equal(ask(box, 'www.example.org', { transport }), 'NOERROR 203.0.113.7')
    }
    assert.equal(ask(box, 'no.such.example.net'), 'NXDOMAIN')
    assert.equal(askWhole(box, 'large.example.org', {})?.flag_tc, true)
    assert.equal(askWhole(box, 'large.example.org', { transport: 'tcp' })?.answers?.length, 100)
    for (const name of [
      'gone.blue',
      'gone.carrick',
      'a.b.carrick',
      'forwarded',
      'forwarded.blue',
    ]) {
      assert.match(ask(box, name), /NXDOMAIN|NOERROR/)
    }
    assert.deepEqual(
      fake.asked().filter((line) => !/example\.(org|net)$/.test(line)),
      [],
    )
  } finally {
    await fake.stop()
  }
})

inCluster(
  'a daemon that starts again answers again; what is taken away comes back',
  async (cluster) => {
    const box = await cluster.attach('blue', 'h2', 'patient')
    await cluster.killDaemon('h2')
    assert.equal(ask(box, 'web', { waitMs: 300 }), 'silence')
    cluster.startDaemon('h2', SHAPE.daemon)
    await cluster.settled('h2')
    await until('names are answered again', () => ask(box, 'web').startsWith('NOERROR'))
    assert.match(ask(box, 'web', { transport: 'tcp' }), /^NOERROR/)
    for (const command of [
      'ip link del ckdns0',
      `ip addr del ${RESOLVER4}/32 dev ckdns0`,
      `ip addr del ${RESOLVER6}/128 dev ckdns0`,
      'ip link set ckdns0 down',
      'nft flush ruleset',
    ]) {
      await shell(cluster, 'h2', command)
      await until(`names are answered again after ${command}`, () =>
        [RESOLVER4, RESOLVER6].every((each) =>
          ask(box, 'web', { at: each, waitMs: 200 }).startsWith('NOERROR'),
        ),
      )
    }
  },
)

/** The port at which a network's containers are answered. */
async function doorOf(cluster: Cluster, host: string, network: string): Promise<number> {
  const { status } = await cluster.json<{ status: { vni: number } }>(
    host,
    'network',
    'get',
    network,
  )
  const map = await shell(cluster, host, 'nft list map inet carrick resolvers4')
  return Number(new RegExp(`"ckg${status.vni}" : \\S+ \\. (\\d+)`).exec(map)?.[1])
}

/** The host itself, as one who asks. */
function hostOf({ lab }: Cluster, host: string): Pin {
  return { pin: join(pinsPath(lab.name, host), 'net') }
}

function first({ addresses }: Container): string {
  return addresses[0] ?? ''
}

function at<T>(items: readonly T[], i: number): T {
  const item = items[i]
  if (item === undefined) throw new Error(`no item ${i}`)
  return item
}

/** The name under which an address is asked for backwards. */
function reverse(text: string): string {
  if (!text.includes(':')) return `${text.split('.').reverse().join('.')}.in-addr.arpa`
  const digits = Buffer.from(bytesOf(text)).toString('hex')
  return `${[...digits].reverse().join('.')}.ip6.arpa`
}

function bytesOf(text: string): Uint8Array {
  return ipBytes(ip(text))
}
