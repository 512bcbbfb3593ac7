/**
 * The daemon dies at every step of attach and detach, and at random ones under churn: the next start makes
 * the kernel what the model says, nothing more and nothing less, and everything works again.
 */

import assert from 'node:assert/strict'
import { createNetwork, sharedCluster } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { assertKilled, restart } from './killing.ts'
import { carries } from './traffic.ts'

const ATTACH = ['commit', 'put veth', 'put device', 'put endpoint', 'put interior']
const DETACH = ['commit', 'remove interior', 'remove endpoint', 'remove device', 'remove veth']
const NOT_REACHABLE = 6
const SEED = 20_260_731
const KILLS = 5

const withOneHost = sharedCluster({ hosts: 1 })

withOneHost('a daemon killed at any step of an attach leaves nothing wrong', async (cluster) => {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
  const neighbour = await cluster.attach('blue', 'h1', 'neighbour')
  const container = await cluster.lab.container('h1', 'box')
  for (const step of ATTACH) {
    await restart(cluster, 'h1', step)
    const attach = ['attach', 'blue', '--netns', container.netns, '--name', 'box']
    const { exitCode } = await cluster.run('h1', ...attach)
    await assertKilled(cluster, 'h1', step)
    assert.equal(exitCode, NOT_REACHABLE, step)
    await restart(cluster, 'h1')
    // The record was committed before any of these steps: the endpoint is there, and whole.
    await assertKernelIsModel(cluster, 'h1')
    const { spec } = await cluster.json<{ spec: { addresses: string[] } }>(
      'h1',
      ...['endpoint', 'get', 'box'],
    )
    assert.ok(carries({ ...container, endpointId: '', addresses: spec.addresses }, neighbour), step)
    await cluster.carrick('h1', 'detach', 'box')
    await assertKernelIsModel(cluster, 'h1')
    const again = await cluster.attachContainer('blue', container)
    assert.ok(carries(again, neighbour), step)
    await cluster.carrick('h1', 'detach', 'box')
  }
  await cluster.carrick('h1', 'detach', 'neighbour')
  await cluster.carrick('h1', 'network', 'rm', 'blue')
})

withOneHost('a daemon killed at any step of a detach leaves nothing behind', async (cluster) => {
  await createNetwork(cluster, 'red', ['--subnet', '10.81.0.0/16', '--subnet', 'fd81::/48'])
  const neighbour = await cluster.attach('red', 'h1', 'next')
  const container = await cluster.lab.container('h1', 'crate')
  for (const step of DETACH) {
    await cluster.attachContainer('red', container)
    await restart(cluster, 'h1', step)
    const { exitCode } = await cluster.run('h1', 'detach', 'crate')
    await assertKilled(cluster, 'h1', step)
    assert.equal(exitCode, NOT_REACHABLE, step)
    await restart(cluster, 'h1')
    // The record went before any of these steps.
    assert.equal((await cluster.run('h1', 'endpoint', 'get', 'crate')).exitCode, 3, step)
    await assertKernelIsModel(cluster, 'h1')
    const again = await cluster.attachContainer('red', container)
    assert.ok(carries(again, neighbour), step)
    await cluster.carrick('h1', 'detach', 'crate')
    await assertKernelIsModel(cluster, 'h1')
  }
})

withOneHost(`kill -9 at random moments under churn, seed ${SEED}`, async (cluster) => {
  await createNetwork(cluster, 'green', ['--subnet', '10.82.0.0/16', '--subnet', 'fd82::/48'])
  const random = generator(SEED)
  const names = Array.from({ length: 6 }, (_, i) => `churn${i}`)
  const containers = await cluster.lab.containers('h1', names)
  const stay = await cluster.attach('green', 'h1', 'stay')
  for (let kill = 0; kill < KILLS; kill++) {
    let killed = false
    const churn = containers.map(async ({ name, netns }) => {
      while (!killed) {
        await cluster.run('h1', 'attach', 'green', '--netns', netns, '--name', name)
        if (!killed && random() < 0.7) await cluster.run('h1', 'detach', name)
      }
    })
    // What the test waits for is chance itself: that many answers of the daemon, then the kill.
    for (let answers = Math.floor(random() * 12); answers > 0; answers--) {
      await cluster.run('h1', 'endpoint', 'ls')
    }
    await cluster.killDaemon('h1')
    killed = true
    await Promise.all(churn)
    await restart(cluster, 'h1')
    await assertKernelIsModel(cluster, 'h1')
  }
  for (const name of names) await cluster.run('h1', 'detach', name)
  await assertKernelIsModel(cluster, 'h1')
  const after = await cluster.attach('green', 'h1', 'after')
  assert.ok(carries(after, stay))
})

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
