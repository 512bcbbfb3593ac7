/** Stop, crash and restart of the daemon: settled endpoints lose no packet, and nothing in the kernel changes. */

import assert from 'node:assert/strict'
import { serve, startCounting } from '../../scripts/demo/containers.ts'
import { clusterTest, createNetwork, knows } from './harness.ts'
import { assertKernelKeeps, restingKernel } from './kernel-dump.ts'

const RESTARTS = 5
const ENDPOINTS = 100
const AT_ONCE = 10
/** A count proves something when datagrams went at about 1,000 a second all the time. */
const LEAST_SENT = 1_000

clusterTest(
  'five restarts and stops of both daemons under traffic lose no datagram',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    const a = await cluster.attach('blue', 'h1', 'a')
    const same = await cluster.attach('blue', 'h1', 'same')
    const far = await cluster.attach('blue', 'h2', 'far')
    await knows(cluster, 'h1', 'far')
    await knows(cluster, 'h2', 'a')
    for (const server of [same, far]) await serve(cluster.lab, server)
    const stops = await Promise.all(
      [same.addresses[0], far.addresses[0], far.addresses[1]].map((address) =>
        startCounting(cluster.lab, a, address ?? ''),
      ),
    )
    for (let i = 0; i < RESTARTS; i++) {
      for (const host of ['h1', 'h2']) {
        assert.equal(
          await cluster.endDaemon(host, i % 2 === 0 ? 'SIGTERM' : 'SIGKILL'),
          i % 2 === 0 ? 0 : null,
        )
        cluster.startDaemon(host)
        await cluster.settled(host)
      }
    }
    for (const stop of stops) {
      const { sent, lost } = await stop()
      assert.ok(sent > LEAST_SENT, `${sent} sent`)
      assert.equal(lost, 0, `of ${sent}`)
    }
  },
)

clusterTest(
  `a restart with ${ENDPOINTS} endpoints changes nothing in the kernel`,
  { hosts: 1 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    const names = Array.from({ length: ENDPOINTS }, (_, i) => `box${i}`)
    const containers = await cluster.lab.containers('h1', names)
    for (let i = 0; i < ENDPOINTS; i += AT_ONCE) {
      const some = containers.slice(i, i + AT_ONCE)
      await Promise.all(some.map((container) => cluster.attachContainer('blue', container)))
    }
    const before = await restingKernel(cluster, 'h1')
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await cluster.endDaemon('h1', signal)
      cluster.startDaemon('h1')
      await cluster.settled('h1')
      await assertKernelKeeps(cluster, 'h1', before)
    }
    const { status } = await cluster.json<{ status: { driftRepaired: object } }>('h1', 'status')
    assert.deepEqual(status.driftRepaired, {})
  },
)
