/** Containers talk: every carrier, both families, on one host and across hosts, and nothing they should not. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { addressOf, clusterTest, createNetwork, knows, sharedCluster } from './harness.ts'
import { assertCarriesEverything, carries, keepsOut, ping } from './traffic.ts'

const withTwoHosts = sharedCluster({ hosts: 2 })

for (const [i, carrier] of (['vxlan', 'direct', 'auto'] as const).entries()) {
  withTwoHosts(
    `carrier ${carrier} carries everything, across hosts and on one`,
    async (cluster) => {
      const subnets = ['--subnet', `10.${80 + i}.0.0/16`, '--subnet', `fd80:${i}::/48`]
      await createNetwork(cluster, carrier, [...subnets, '--carrier', carrier])
      const a = await cluster.attach(carrier, 'h1', `${carrier}-a`)
      const b = await cluster.attach(carrier, 'h1', `${carrier}-b`)
      const c = await cluster.attach(carrier, 'h2', `${carrier}-c`)
      await knows(cluster, 'h1', c.name)
      await knows(cluster, 'h2', a.name, b.name)
      await assertCarriesEverything(cluster, a, c)
      await assertCarriesEverything(cluster, a, b)
    },
  )
}

withTwoHosts('carrier local carries everything on its host and nothing beyond', async (cluster) => {
  await createNetwork(cluster, 'local', ['--subnet', '10.90.0.0/16', '--carrier', 'local'])
  const a = await cluster.attach('local', 'h1', 'local-a')
  const b = await cluster.attach('local', 'h1', 'local-b')
  const c = await cluster.attach('local', 'h2', 'local-c')
  await knows(cluster, 'h1', c.name)
  await knows(cluster, 'h2', a.name)
  await assertCarriesEverything(cluster, a, b)
  for (const address of c.addresses) {
    assert.equal((await ping(cluster, a, address, '-c', '1', '-W', '1')).exitCode, 1)
  }
})

withTwoHosts('an absent address is unreachable at once, not silent', async (cluster) => {
  await createNetwork(cluster, 'absent', ['--subnet', '10.91.0.0/16', '--subnet', 'fd91::/48'])
  const a = await cluster.attach('absent', 'h1', 'absent-a')
  for (const [address, words] of [
    ['10.91.7.7', /Destination Host Unreachable/],
    ['fd91::7:7', /Address unreachable/],
  ] as const) {
    const { stdout, exitCode } = await ping(cluster, a, address, '-c', '1', '-W', '5')
    assert.equal(exitCode, 1)
    assert.match(stdout, words)
  }
})

withTwoHosts('networks with one prefix on the same hosts never meet', async (cluster) => {
  const flags = ['--subnet', '10.92.0.0/24', '--subnet', 'fd92::/64', '--carrier', 'vxlan']
  await createNetwork(cluster, 'red', flags)
  await createNetwork(cluster, 'green', [...flags, '--force'])
  const address = ['--ip', '10.92.0.10', '--ip', 'fd92::10']
  const peer = ['--ip', '10.92.0.20', '--ip', 'fd92::20']
  const red = await cluster.attach('red', 'h1', 'red-a', ...address)
  const green = await cluster.attach('green', 'h1', 'green-a', ...address)
  const redPeer = await cluster.attach('red', 'h2', 'red-b', ...peer)
  await knows(cluster, 'h1', redPeer.name)
  await knows(cluster, 'h2', red.name, green.name)
  assert.ok(carries(red, redPeer))
  assert.ok(carries(redPeer, red))
  // Green has nobody at that address yet: what it sends there must not reach red's container.
  assert.ok(keepsOut(green, red, redPeer))
  const greenPeer = await cluster.attach('green', 'h2', 'green-b', ...peer)
  await knows(cluster, 'h1', greenPeer.name)
  assert.ok(keepsOut(green, red, redPeer))
  assert.ok(carries(green, greenPeer))
})

clusterTest(
  'a hop of 1,400 bytes between hosts hurts nobody; direct has no way there',
  { hosts: 2, topology: 'routed', hopMtuBytes: 1400 },
  async (cluster) => {
    const [a, b] = await pair(cluster, 'blue', ['--carrier', 'vxlan'], 80)
    await assertCarriesEverything(cluster, a, b)
    // By now the path is known: what does not fit is told, with the size that does.
    const [v4 = '', v6 = ''] = b.addresses
    const wide = ['-c', '1', '-W', '2', '-M', 'do', '-s', '1400']
    assert.match((await said(cluster, a, v4, wide)).toLowerCase(), /mtu ?= ?13\d\d/)
    assert.match((await said(cluster, a, v6, wide)).toLowerCase(), /mtu ?[=:] ?13\d\d/)
    const [c, d] = await pair(cluster, 'flat', ['--carrier', 'direct'], 81)
    for (const address of d.addresses) {
      assert.equal((await ping(cluster, c, address, '-c', '1', '-W', '1')).exitCode, 1)
    }
    assert.match(await cluster.carrick('h1', 'drops'), /no-carrier.*flat/)
  },
)

clusterTest(
  'hosts that reach each other by IPv6 alone carry everything',
  {
    hosts: 2,
    daemon: (host) => ({ args: ['--underlay-addresses', `2001:db8::${host.slice(1)}`] }),
  },
  async (cluster) => {
    const { items } = await cluster.json<{
      items: { spec: { underlay: { address: string }[] } }[]
    }>('h1', ...['host', 'ls'])
    const underlay = items.flatMap(({ spec }) => spec.underlay.map(({ address }) => address))
    assert.deepEqual(underlay.toSorted(), [
      addressOf(cluster.lab, 'h1', 6),
      addressOf(cluster.lab, 'h2', 6),
    ])
    for (const [i, carrier] of ['vxlan', 'direct'].entries()) {
      const [a, b] = await pair(cluster, carrier, ['--carrier', carrier], 80 + i)
      await assertCarriesEverything(cluster, a, b)
    }
  },
)

/** One container of a dual-stack network on each of two hosts, each known to the other. */
async function pair(cluster: Cluster, network: string, flags: readonly string[], number: number) {
  const subnets = ['--subnet', `10.${number}.0.0/16`, '--subnet', `fd${number}::/48`]
  await createNetwork(cluster, network, [...subnets, ...flags])
  const a = await cluster.attach(network, 'h1', `${network}-a`)
  const b = await cluster.attach(network, 'h2', `${network}-b`)
  await knows(cluster, 'h1', b.name)
  await knows(cluster, 'h2', a.name)
  return [a, b] as const
}

async function said(
  cluster: Cluster,
  from: Parameters<typeof ping>[1],
  address: string,
  flags: readonly string[],
): Promise<string> {
  const { lab } = cluster
  const { stdout, stderr } = await lab.runIn(from, ['ping', '-n', ...flags, address])
  return stdout + stderr
}
