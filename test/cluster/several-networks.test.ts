/** One container on many networks: its interfaces, its routes and its default route, while they come and go. */

import assert from 'node:assert/strict'
import { serve, startCounting } from '../../scripts/demo/containers.ts'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import type { LabContainer } from '../../src/lab/lab.ts'
import { assertRefused, createNetwork, knows, sharedCluster, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { carries } from './traffic.ts'

const MANY = 16
const INVALID = 2
const STATE = 4

interface Attached {
  readonly metadata: { readonly id: string }
  readonly spec: {
    readonly network: string
    readonly ifname: string
    readonly addresses: readonly string[]
  }
}

const withTwoHosts = sharedCluster({ hosts: 2 })

withTwoHosts(`a container on ${MANY} networks talks in each of them`, async (cluster) => {
  const names = Array.from({ length: MANY }, (_, i) => `n${i}`)
  for (const [i, name] of names.entries()) {
    const carrier = ['vxlan', 'direct', 'auto', 'vxlan'][i % 4] ?? 'auto'
    const subnets = ['--subnet', `10.${100 + i}.0.0/24`, '--subnet', `fd${10 + i}::/64`]
    await createNetwork(cluster, name, [...subnets, '--carrier', carrier])
  }
  const box = await cluster.lab.container('h1', 'box')
  const attached = await attach(cluster, box, names, '--ip', '10.103.0.77')
  assert.deepEqual(
    attached.map(({ spec }) => `${spec.network} ${spec.ifname}`),
    names.map((name, i) => `${name} eth${i}`),
  )
  assert.equal(attached[3]?.spec.addresses[0], '10.103.0.77')
  assert.deepEqual(
    await defaultsOf(cluster, box, '-4'),
    names.map((_, i) => `10.${100 + i}.0.1 eth${i} ${i === 0 ? '' : 100 * i}`.trim()),
  )
  assert.deepEqual(
    await defaultsOf(cluster, box, '-6'),
    names.map((_, i) => `fd${10 + i}::1 eth${i} ${1024 + 100 * i}`),
  )
  for (const i of [0, 1, 2, MANY - 1]) {
    const peer = await cluster.attach(`n${i}`, 'h2', `peer${i}`)
    await knows(cluster, 'h1', peer.name)
    await until(`h2 knows the box in n${i}`, async () => {
      const { items } = await cluster.json<{ items: unknown[] }>(
        'h2',
        ...['endpoint', 'ls', '--network', `n${i}`],
      )
      return items.length === 2
    })
    await cluster.settled('h2')
    const addresses = attached[i]?.spec.addresses ?? []
    const here: Container = { ...box, endpointId: '', addresses }
    assert.ok(carries(here, peer) && carries(peer, here), `n${i}`)
    await cluster.carrick('h2', 'detach', peer.endpointId)
  }
  for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
  for (const { metadata } of attached) await cluster.carrick('h1', 'detach', metadata.id)
  for (const name of names) await cluster.carrick('h1', 'network', 'rm', name)
})

withTwoHosts('networks come and go while the others are in use', async (cluster) => {
  for (const [i, name] of ['lan', 'blue', 'shop'].entries()) {
    await createNetwork(cluster, name, ['--subnet', `10.${60 + i}.0.0/24`])
  }
  await createNetwork(cluster, 'quiet', ['--subnet', '10.69.0.0/24', '--internal'])
  const peer = await cluster.attach('blue', 'h2', 'blue-peer')
  await knows(cluster, 'h1', peer.name)
  await serve(cluster.lab, peer)
  const box = await cluster.lab.container('h1', 'mover')
  const [quiet, lan, blue] = await attach(cluster, box, ['quiet', 'lan', 'blue'])
  assert.deepEqual(await defaultsOf(cluster, box), ['10.60.0.1 eth1 100', '10.61.0.1 eth2 200'])
  await until('h2 knows the container', async () => {
    const { items } = await cluster.json<{ items: unknown[] }>(
      'h2',
      ...['endpoint', 'ls', '--network', 'blue'],
    )
    return items.length === 2
  })
  await cluster.settled('h2')
  const stop = await startCounting(cluster.lab, box, peer.addresses[0] ?? '')
  // The next one takes over when the one that gives the default route goes.
  await cluster.carrick('h1', 'detach', lan?.metadata.id ?? '')
  assert.deepEqual(await defaultsOf(cluster, box), ['10.61.0.1 eth2 200'])
  const [shop] = await attach(cluster, box, ['shop'])
  assert.equal(shop?.spec.ifname, 'eth1')
  assert.deepEqual(await defaultsOf(cluster, box), ['10.61.0.1 eth2 200', '10.62.0.1 eth1 300'])
  const [again] = await attach(cluster, box, ['lan'], '--default-route', 'lan')
  assert.equal(again?.spec.ifname, 'eth3')
  await cluster.settled('h1')
  assert.deepEqual(await defaultsOf(cluster, box), [
    '10.60.0.1 eth3',
    '10.61.0.1 eth2 300',
    '10.62.0.1 eth1 400',
  ])
  const { sent, lost } = await stop()
  assert.ok(sent > 100, `${sent} sent`)
  assert.equal(lost, 0, `of ${sent}`)
  await assertKernelIsModel(cluster, 'h1')
  for (const each of [quiet, blue, shop, again]) {
    await cluster.carrick('h1', 'detach', each?.metadata.id ?? '')
  }
  await until('no interface is left', async () => {
    const { stdout } = await cluster.lab.runIn(box, ['ip', '-o', 'link'])
    return stdout.trim().split('\n').length === 1
  })
})

withTwoHosts('what the kernel refuses of one network is done of none', async (cluster) => {
  const box = await cluster.lab.container('h1', 'taken')
  await cluster.lab.runIn(box, ['ip', 'link', 'add', 'eth1', 'type', 'veth'])
  const refused = await cluster.run('h1', 'attach', 'lan', 'blue', '--netns', box.netns)
  assertRefused(refused, STATE, 'eth1')
  const { stdout } = await cluster.lab.runIn(box, ['ip', '-o', 'link'])
  assert.doesNotMatch(stdout, /\beth0[@:]/)
  await cluster.settled('h1')
  await cluster.lab.runIn(box, ['ip', 'link', 'del', 'eth1'])
  await assertKernelIsModel(cluster, 'h1')
})

for (const { what, flags, exit = INVALID, words } of [
  {
    what: 'two default routes',
    flags: ['lan', 'blue', '--default-route', 'lan', '--default-route', 'blue'],
    words: ['one default route'],
  },
  {
    what: 'a default route that is none of them',
    flags: ['lan', '--default-route', 'blue'],
    words: ['--default-route blue'],
  },
  {
    what: 'an internal network as default route',
    flags: ['lan', 'quiet', '--default-route', 'quiet'],
    words: ['quiet', 'internal'],
  },
  { what: 'one network twice', flags: ['lan', 'lan'], words: ['lan', 'name an interface'] },
  {
    what: 'an address of none of them',
    flags: ['lan', 'blue', '--ip', '10.99.0.1'],
    words: ['10.99.0.1', 'none of the networks lan, blue'],
  },
  {
    what: 'an address that could be of both',
    flags: ['lan', 'lan', '--ifname', 'a', '--ifname', 'b', '--ip', '10.60.0.9'],
    words: ['10.60.0.9', 'could be of'],
  },
  {
    what: 'one interface name for two networks',
    flags: ['lan', 'blue', '--ifname', 'a'],
    words: ['--ifname', '2 times'],
  },
  {
    what: 'one interface twice',
    flags: ['lan', 'blue', '--ifname', 'a', '--ifname', 'a'],
    words: ['a is named twice'],
  },
  { what: 'a network that is not there', flags: ['lan', 'nowhere'], exit: 3, words: ['nowhere'] },
  {
    what: 'networks that overlap',
    flags: ['lan', 'twin'],
    words: ['10.60.0.0/24 of network lan'],
  },
] as const) {
  withTwoHosts(`refused: ${what}`, async (cluster) => {
    if ((flags as readonly string[]).includes('twin')) {
      const subnet = ['--subnet', '10.60.0.0/16', '--carrier', 'vxlan', '--force']
      await createNetwork(cluster, 'twin', subnet)
    }
    const box = await cluster.lab.container('h1', `box-${what.replaceAll(/\W/g, '')}`)
    assertRefused(await cluster.run('h1', 'attach', ...flags, '--netns', box.netns), exit, ...words)
    const { stdout } = await cluster.lab.runIn(box, ['ip', '-o', 'link'])
    assert.equal(stdout.trim().split('\n').length, 1, stdout)
  })
}

for (const { what, flags, exit = INVALID, words } of [
  { what: 'nothing to change', flags: [], words: ['what is to be different'] },
  {
    what: 'a subnet it does not have',
    flags: ['--rm-subnet', '10.1.0.0/24'],
    words: ['no subnet'],
  },
  { what: 'its last subnet', flags: ['--rm-subnet', '10.60.0.0/24'], words: ['at least one'] },
  {
    what: 'a subnet with host bits',
    flags: ['--add-subnet', '10.60.9.9/24'],
    words: ['10.60.9.0/24'],
  },
  {
    what: 'a subnet of another network',
    flags: ['--add-subnet', '10.61.0.0/25'],
    exit: STATE,
    words: ['10.61.0.0/25', 'blue'],
  },
  { what: 'a gateway of a subnet that stays', flags: ['--gateway', '10.60.0.9'], words: ['keeps'] },
  { what: 'a strange carrier', flags: ['--carrier', 'pigeon'], words: ['pigeon'] },
  { what: 'a strange MTU', flags: ['--mtu', 'big'], words: ['1400, or auto'] },
  { what: 'an MTU that is too small', flags: ['--mtu', '60'], words: ['60', '68'] },
  { what: 'what cannot be opened', flags: ['--open', 'everything'], words: ['open'] },
  { what: 'a label that is none', flags: ['--label', 'x'], words: ['KEY=VALUE'] },
] as const) {
  withTwoHosts(`network set refuses ${what}`, async (cluster) => {
    const before = await cluster.carrick('h1', 'network', 'get', 'lan', '-o', 'json')
    assertRefused(await cluster.run('h1', 'network', 'set', 'lan', ...flags), exit, ...words)
    assert.equal(await cluster.carrick('h1', 'network', 'get', 'lan', '-o', 'json'), before)
  })
}

/** Attaches a container to the networks; what each of them became. */
async function attach(
  cluster: Cluster,
  { host, name, netns }: LabContainer,
  networks: readonly string[],
  ...flags: readonly string[]
): Promise<readonly Attached[]> {
  const argv = ['attach', ...networks, '--netns', netns, '--name', name, ...flags]
  const answer = await cluster.json<Attached | { items: readonly Attached[] }>(host, ...argv)
  return 'items' in answer ? answer.items : [answer]
}

/** Gateway, interface and metric of every default route, the best first. */
async function defaultsOf(
  cluster: Cluster,
  container: LabContainer,
  family: '-4' | '-6' = '-4',
): Promise<readonly string[]> {
  const argv = ['ip', '-j', family, 'route', 'show', 'default']
  const { stdout } = await cluster.lab.runIn(container, argv)
  const routes = JSON.parse(stdout) as { gateway: string; dev: string; metric?: number }[]
  return routes
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
    .map(({ gateway, dev, metric = '' }) => `${gateway} ${dev} ${metric}`.trim())
}
