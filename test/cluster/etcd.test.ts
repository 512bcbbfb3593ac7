/** An etcd of the operator's own as the shared store: hosts meet there, and go on while it is away. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { RunResult } from '../../src/lab/processes.ts'
import { addressOf, assertRefused, clusterTest, createNetwork, knows, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { startEtcd } from './lab-etcd.ts'
import { carries } from './traffic.ts'

const INVALID = 2
const NOT_REACHABLE = 6

clusterTest(
  'hosts with one etcd talk, also while it is away, and after a restart without it',
  { hosts: 2, members: 0 },
  async (cluster) => {
    const url = `http://${addressOf(cluster.lab, 'h1')}:2379`
    let etcd = await startEtcd(cluster, url)
    const options = { args: ['--store', `etcd://${url.slice('http://'.length)}`] }
    for (const host of ['h1', 'h2']) cluster.startDaemon(host, options)
    for (const host of ['h1', 'h2']) await cluster.settled(host)
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    const a = await cluster.attach('blue', 'h1', 'a')
    const b = await cluster.attach('blue', 'h2', 'b')
    await knows(cluster, 'h1', 'b')
    await knows(cluster, 'h2', 'a')
    assert.ok(carries(a, b) && carries(b, a))
    assertRefused(await cluster.run('h1', 'token', 'create'), INVALID, 'etcd', /hint: .*--store/)

    const gone = once(etcd, 'exit')
    etcd.kill('SIGKILL')
    await gone
    await cluster.endDaemon('h2', 'SIGTERM')
    cluster.startDaemon('h2', options)
    await cluster.settled('h2')
    await assertKernelIsModel(cluster, 'h2')
    assert.ok(carries(a, b) && carries(b, a))
    const late = await cluster.attach('blue', 'h2', 'late')
    assert.ok(carries(late, b))

    etcd = await startEtcd(cluster, url)
    await knows(cluster, 'h1', 'late')
    await cluster.settled('h2')
    assert.ok(carries(a, late) && carries(late, a))
    for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
  },
)

clusterTest(
  'a first start without its etcd says so, stops when told, and goes on when the etcd comes',
  { hosts: 1, members: 0 },
  async (cluster) => {
    const url = `http://${addressOf(cluster.lab, 'h1')}:2379`
    const options = { args: ['--store', `etcd://${url.slice('http://'.length)}`] }
    cluster.startDaemon('h1', options)
    const asked = await askWhenOpen(cluster)
    assertRefused(asked, NOT_REACHABLE, 'starting', 'store')
    assert.equal(await cluster.endDaemon('h1', 'SIGTERM'), 0)
    cluster.startDaemon('h1', options)
    await startEtcd(cluster, url)
    await cluster.settled('h1')
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16'])
  },
)

/** The first answer of a daemon that has just been started. */
async function askWhenOpen(cluster: Cluster): Promise<RunResult> {
  let answer = await cluster.run('h1', 'status')
  await until('the socket is open', async () => {
    answer = await cluster.run('h1', 'status')
    return !answer.stderr.includes('no such socket')
  })
  return answer
}
