/**
 * A host cut off from the shared store, and from nothing else: its traffic and its peers' traffic to it go
 * on (R1), it attaches from its own blocks, and what it wrote meanwhile is told in order afterwards.
 */

import assert from 'node:assert/strict'
import { serve, startCounting } from '../../scripts/demo/containers.ts'
import type { Cluster } from '../../src/lab/cluster.ts'
import { clusterTest, createNetwork, endpointNames, knows, shell, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { carries } from './traffic.ts'

const STORE_PORT = 7440
/** The lease lasts 15 s; the store lets it go a moment later. */
const LEASE_MS = 25_000

clusterTest(
  'a host cut off from the store keeps its traffic, attaches, and publishes in order when healed',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    const a = await cluster.attach('blue', 'h1', 'a')
    const b = await cluster.attach('blue', 'h2', 'b')
    await cluster.attach('blue', 'h2', 'gone')
    await knows(cluster, 'h1', 'b', 'gone')
    await knows(cluster, 'h2', 'a')
    await serve(cluster.lab, b)
    const stops = await Promise.all(b.addresses.map((each) => startCounting(cluster.lab, a, each)))

    await cutFromStore(cluster, 'h2')
    assert.deepEqual(await aliveHosts(cluster), ['h1', 'h2'])
    const late = await cluster.attach('blue', 'h2', 'late')
    assert.ok(carries(late, b), 'an attach works while the store is away')
    await cluster.carrick('h2', 'detach', 'gone')
    await cluster.attach('blue', 'h2', 'later')
    assert.ok(!(await endpointNames(cluster, 'h1')).includes('late'))
    await until(
      'the lease has ended',
      async () => (await aliveHosts(cluster)).length === 1,
      LEASE_MS,
    )
    assert.deepEqual(await aliveHosts(cluster), ['h1'])
    await until(
      'h2 says so',
      async () => !(await statusOf(cluster, 'h2')).store.connected,
      LEASE_MS,
    )
    // The end of the lease is told to every host; nothing about traffic may follow from it.
    await cluster.settled('h1')
    assert.ok(carries(a, b) && carries(b, a))
    await cluster.attach('blue', 'h2', 'last')

    await heal(cluster, 'h2')
    await knows(cluster, 'h1', 'late', 'later', 'last')
    await until('the other host has forgotten', async () => {
      return !(await endpointNames(cluster, 'h1')).includes('gone')
    })
    await until('h2 is alive again', async () => (await aliveHosts(cluster)).length === 2)
    await until('everything is published', async () => {
      const { journalSequence, publishedSequence } = await statusOf(cluster, 'h2')
      return journalSequence === publishedSequence
    })
    for (const stop of stops) assert.equal((await stop()).lost, 0)
    assert.ok(carries(a, late) && carries(late, a))
    for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
  },
)

/** Drops the store's packets in the host's own ruleset, in a table of the test's. */
async function cutFromStore(cluster: Cluster, host: string): Promise<void> {
  const rules = ['input', 'output'].map(
    (hook) => `
      add chain inet cut ${hook} { type filter hook ${hook} priority 0; }
      add rule inet cut ${hook} tcp dport ${STORE_PORT} drop
      add rule inet cut ${hook} tcp sport ${STORE_PORT} drop`,
  )
  await shell(cluster, host, `nft -f - <<'END'\nadd table inet cut${rules.join('')}\nEND`)
}

async function heal(cluster: Cluster, host: string): Promise<void> {
  await shell(cluster, host, 'nft delete table inet cut')
}

async function aliveHosts(cluster: Cluster): Promise<readonly string[]> {
  const { items } = await cluster.json<{
    items: { metadata: { name: string }; status: { alive: boolean } }[]
  }>('h1', 'host', 'ls')
  return items.flatMap(({ metadata, status }) => (status.alive ? [metadata.name] : [])).toSorted()
}

interface Status {
  readonly store: { readonly connected: boolean }
  readonly journalSequence: number
  readonly publishedSequence: number
}

async function statusOf(cluster: Cluster, host: string): Promise<Status> {
  return (await cluster.json<{ status: Status }>(host, 'status')).status
}
