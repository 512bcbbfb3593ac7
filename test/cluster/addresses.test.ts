/** Addresses on real hosts: wished for, rested, given by their owner, and used up to the last one. */

import assert from 'node:assert/strict'
import type { Container } from '../../src/lab/cluster.ts'
import type { RunResult } from '../../src/lab/processes.ts'
import { assertRefused, clusterTest, createNetwork, knows, sharedCluster } from './harness.ts'
import { carries } from './traffic.ts'

const STATE = 4
const NOT_REACHABLE = 6

const withThreeHosts = sharedCluster({ hosts: 3 })

withThreeHosts(
  'an address is had by wish from the own block, from nobody’s space and from another host’s block',
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16'])
    const first = await cluster.attach('blue', 'h1', 'first')
    const beside = neighbourOf(first)
    const own = await cluster.attach('blue', 'h1', 'own', '--ip', beside)
    assert.deepEqual(own.addresses, [beside])
    const free = await cluster.attach('blue', 'h2', 'free', '--ip', '10.80.0.9')
    assert.deepEqual(free.addresses, ['10.80.0.9'])
    const granted = await cluster.attach('blue', 'h3', 'granted', '--ip', neighbourOf(own))
    assert.deepEqual(granted.addresses, [neighbourOf(own)])
    // The owner of the block gives its other addresses on, never those.
    const next = await cluster.attach('blue', 'h1', 'next')
    assert.ok(![...own.addresses, ...granted.addresses].includes(next.addresses[0] ?? ''))
    await knows(cluster, 'h1', 'free', 'granted')
    await knows(cluster, 'h3', 'first', 'free')
    await knows(cluster, 'h2', 'first', 'granted')
    assert.ok(carries(first, granted) && carries(granted, free) && carries(free, own))
  },
)

withThreeHosts(
  'a released address rests before others are given it, but may be wished for',
  async (cluster) => {
    await createNetwork(cluster, 'green', ['--subnet', '10.81.0.0/16'])
    const container = await cluster.lab.container('h2', 'again')
    const seen = new Set<string>()
    for (let i = 0; i < 4; i++) {
      // A name of its own each time: the same would get its former address.
      const named = { ...container, name: `again${i}` }
      const { addresses } = await cluster.attachContainer('green', named)
      assert.ok(!seen.has(addresses[0] ?? ''), `${addresses[0]} came back at once`)
      seen.add(addresses[0] ?? '')
      await cluster.carrick('h2', 'detach', named.name)
    }
    const [wish = ''] = seen
    const wished = await cluster.attachContainer('green', container, '--ip', wish)
    assert.deepEqual(wished.addresses, [wish])
  },
)

withThreeHosts(
  'a small network serves all hosts to its last address, and says when it is full',
  async (cluster) => {
    await createNetwork(cluster, 'small', ['--subnet', '10.82.0.0/28'])
    const hosts = ['h1', 'h2', 'h3']
    const got: string[] = []
    const refused = new Map<string, RunResult>()
    for (let i = 0; refused.size < hosts.length; i++) {
      const host = hosts[i % hosts.length] ?? ''
      if (refused.has(host)) continue
      const { netns } = await cluster.lab.container(host, `small${i}`)
      const result = await cluster.run(host, ...['attach', 'small', '--netns', netns, '-o', 'json'])
      if (result.exitCode !== 0) refused.set(host, result)
      else
        got.push(...(JSON.parse(result.stdout) as { spec: { addresses: string[] } }).spec.addresses)
    }
    // Sixteen less the network's, the broadcast's and the gateway's.
    assert.equal(new Set(got).size, 13, got.toSorted().join(' '))
    assert.equal(got.length, 13)
    for (const result of refused.values())
      assertRefused(result, STATE, 'small', '10.82.0.0/28', '13')
  },
)

clusterTest(
  'an address in the block of a host that is away is refused with its name',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16'])
    const far = await cluster.attach('blue', 'h2', 'far')
    await knows(cluster, 'h1', 'far')
    await cluster.endDaemon('h2', 'SIGTERM')
    const { netns } = await cluster.lab.container('h1', 'near')
    const attach = ['attach', 'blue', '--netns', netns, '--ip', neighbourOf(far)]
    assertRefused(await cluster.run('h1', ...attach), NOT_REACHABLE, neighbourOf(far), 'h2')
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    await cluster.carrick('h1', ...attach)
  },
)

/** The address after a container's; a host's first ones lie at the beginning of its block. */
function neighbourOf({ addresses: [address = ''] }: Container): string {
  return address.replace(/\d+$/, (last) => `${Number(last) + 1}`)
}
