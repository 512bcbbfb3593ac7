/** Networks beside routes, underlays and other networks: refused, forced, warned about, and free ranges. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { assertRefused, createNetwork, sharedCluster, shell, until } from './harness.ts'

const STATE = 4

const withTwoHosts = sharedCluster({ hosts: 2 })

interface NetworkDocument {
  readonly status: {
    readonly forced?: {
      readonly uid?: number
      readonly user?: string
      readonly overlaps: readonly object[]
    }
  }
}

async function warnings(cluster: Cluster, host: string): Promise<readonly string[]> {
  const { status } = await cluster.json<{ status: { warnings: string[] } }>(host, 'status')
  return status.warnings.filter((text) => text.includes('overlaps'))
}

withTwoHosts(
  'a route that appears later is warned about on every host until it goes',
  async (cluster) => {
    await createNetwork(cluster, 'late', ['--subnet', '10.86.0.0/16', '--subnet', 'fd86::/48'])
    assert.deepEqual(await warnings(cluster, 'h1'), [])
    await shell(
      cluster,
      'h2',
      'ip link add wan type veth peer name lan && ip link set wan up && ip link set lan up && ip address add 10.86.7.1/24 dev wan nodad && ' +
        'ip -6 route add fd86:0:0:7::/64 dev wan && ' +
        'ip route add 10.85.3.0/24 dev wan && ip route add 10.64.0.0/15 dev wan',
    )
    const words = [
      'Network late: 10.86.0.0/16 overlaps route 10.86.7.0/24 of host h2 (device wan)',
      'Network late: fd86::/48 overlaps route fd86:0:0:7::/64 of host h2 (device wan)',
    ]
    for (const host of ['h1', 'h2']) {
      await until(`${host} warns of both`, async () => {
        const said = await warnings(cluster, host)
        return words.every((word) => said.some((text) => text.startsWith(word)))
      })
    }
  },
)

withTwoHosts(
  'a route of another host refuses a network, until somebody insists',
  async (cluster) => {
    const create = ['network', 'create', 'routed', '--subnet', '10.85.0.0/16']
    assertRefused(
      await cluster.run('h1', ...create),
      STATE,
      ...['10.85.0.0/16', '10.85.3.0/24', 'host h2', 'device wan', 'hint: carrick ipam suggest'],
    )
    await cluster.carrick('h1', ...create, '--force')
    const { status } = await cluster.json<NetworkDocument>('h1', 'network', 'get', 'routed')
    assert.deepEqual([status.forced?.uid, status.forced?.user], [0, 'root'])
    assert.deepEqual(status.forced?.overlaps, [
      { subnet: '10.85.0.0/16', other: '10.85.3.0/24', host: 'h2', device: 'wan' },
    ])
    await until('h2 knows it', async () => {
      return (await cluster.run('h2', 'network', 'get', 'routed')).exitCode === 0
    })
    const told = await cluster.carrick('h2', 'network', 'get', 'routed')
    assert.match(told, /^routed: forced by root \(uid 0\) at .*: 10\.85\.0\.0\/16 overlaps route/m)
    for (const host of ['h1', 'h2']) {
      assert.ok(!(await warnings(cluster, host)).some((text) => text.includes('routed')))
    }
  },
)

withTwoHosts('the underlay of a member refuses a network', async (cluster) => {
  for (const [subnet, underlay] of [
    ['192.0.2.128/25', '192.0.2.0/24'],
    ['2001:db8::/32', '2001:db8::/64'],
  ] as const) {
    const create = ['network', 'create', 'x', '--subnet', subnet]
    assertRefused(await cluster.run('h1', ...create), STATE, subnet, `${underlay}, the underlay`)
  }
})

withTwoHosts(
  'another pool refuses a network; nothing makes two flat ones share',
  async (cluster) => {
    const create = ['network', 'create', 'twin', '--subnet', '10.86.0.0/24', '--carrier']
    // The routes go with their device, and nobody tells of each.
    await shell(cluster, 'h2', 'ip link del wan')
    for (const host of ['h1', 'h2']) {
      await until(
        `${host} warns no longer`,
        async () => (await warnings(cluster, host)).length === 0,
      )
    }
    const refused = await cluster.run('h2', ...create, 'vxlan')
    assertRefused(refused, STATE, '10.86.0.0/24', '10.86.0.0/16', 'network late')
    assertRefused(
      await cluster.run('h2', ...create, 'auto', '--force'),
      STATE,
      'cannot tell them apart',
    )
    await cluster.carrick('h2', ...create, 'vxlan', '--force')
  },
)

withTwoHosts('suggested ranges are free on every host', async (cluster) => {
  const suggest = (...flags: string[]) => cluster.carrick('h1', 'ipam', 'suggest', '-q', ...flags)
  const [first = ''] = (await suggest()).split('\n')
  await shell(cluster, 'h2', `ip route add ${first} dev eth0`)
  await until('another range is suggested', async () => !(await suggest()).includes(first))
  const ranges = (await suggest('--count', '3')).trim().split('\n')
  ranges.push((await suggest('-6')).trim(), (await suggest('--size', '/22')).trim())
  assert.equal(new Set(ranges).size, 5)
  const names: string[] = []
  for (const [i, range] of ranges.slice(1, 4).entries()) {
    names.push(`free${i}`)
    await cluster.carrick('h1', 'network', 'create', `free${i}`, '--subnet', range)
  }
  await cluster.carrick('h1', 'network', 'rm', ...names)
  await shell(cluster, 'h2', `ip route del ${first} dev eth0`)
})
