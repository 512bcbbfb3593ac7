/** The books of a real etcd: what others left in them is found, and put right where that is safe. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { addressOf, assertRefused, clusterTest, createNetwork, knows, shell } from './harness.ts'
import { startEtcd } from './lab-etcd.ts'

const STATE = 4
const FOUND = 7

interface Check {
  readonly status: { readonly findings: readonly { kind: string; repaired: boolean }[] }
}

clusterTest(
  'ipam check finds leaks in the store, repairs what is safe, and says what it left',
  { hosts: 2, members: 0 },
  async (cluster) => {
    const url = `http://${addressOf(cluster.lab, 'h1')}:2379`
    await startEtcd(cluster, url)
    const options = { args: ['--store', `etcd://${url.slice('http://'.length)}`] }
    for (const host of ['h1', 'h2']) cluster.startDaemon(host, options)
    for (const host of ['h1', 'h2']) await cluster.settled(host)
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    await cluster.attach('blue', 'h1', 'a')
    await cluster.attach('blue', 'h2', 'b')
    await knows(cluster, 'h1', 'b')
    await knows(cluster, 'h2', 'a')

    await cluster.carrick('h1', 'reserve', 'blue', 'web', '10.80.0.9')
    await cluster.carrick('h2', 'reserve', 'blue', 'web', 'fd80::9')
    const second = await cluster.run('h1', 'reserve', 'blue', 'db', '10.80.0.9')
    assertRefused(second, STATE, '10.80.0.9', 'web')
    assert.equal((await cluster.run('h1', 'ipam', 'check')).exitCode, 0)

    const { twin, keys } = await leave(cluster, url)
    const found = await check(cluster)
    const kinds = [
      'address-twice',
      'name-without-network',
      'network-removed',
      'owner-removed',
      'request-left',
    ]
    assert.deepEqual(found.kinds, kinds)
    assert.ok(found.repaired.length === 0)
    const repaired = await check(cluster, '--repair')
    assert.deepEqual(repaired.kinds, kinds)
    assert.deepEqual(repaired.repaired, kinds.slice(1))
    for (const key of keys) assert.equal(await get(cluster, url, key), '')
    // A person decides which of two endpoints goes.
    assert.match(await get(cluster, url, twin), /twin/)
    await etcdctl(cluster, url, `del ${twin}`)
    assert.equal((await cluster.run('h2', 'ipam', 'check')).exitCode, 0)
  },
)

/** Writes what crashes and old versions could have left; the keys of what may be repaired. */
async function leave(cluster: Cluster, url: string) {
  const { items } = await cluster.json<{
    items: {
      metadata: { id: string; name: string }
      spec: { addresses: string[]; mac: string }
      status: { networkId: string; hostId: string }
    }[]
  }>('h1', 'endpoint', 'ls')
  const [a, b] = ['a', 'b'].map((name) => items.find(({ metadata }) => metadata.name === name))
  assert.ok(a !== undefined && b !== undefined)
  const { networkId } = a.status
  const { hostId } = b.status
  const left = {
    '/carrick/network-names/ghost': 'gone',
    '/carrick/blocks/gone/4:0a090000/26': JSON.stringify({
      ...{ schema: 1, networkId: 'gone', prefix: '10.9.0.0/26', hostId, epoch: 0 },
    }),
    [`/carrick/addresses/${networkId}/4:0a500909`]: JSON.stringify({
      ...{ schema: 1, networkId, address: '10.80.9.9', hostId: 'gone', endpointId: 'x' },
    }),
    [`/carrick/ipam/block-requests/${networkId}/${hostId}`]: JSON.stringify({
      ...{ schema: 1, networkId, hostId },
    }),
  }
  const twin = `/carrick/endpoints/${networkId}/${hostId}/twin`
  const double = {
    ...{ schema: 1, id: 'twin', networkId, hostId, addresses: b.spec.addresses.slice(0, 1) },
    ...{ mac: b.spec.mac, labels: {}, ifname: 'eth0', order: 0 },
    createdAt: '2026-01-01T00:00:00.000Z',
  }
  for (const [key, value] of Object.entries({ ...left, [twin]: JSON.stringify(double) })) {
    await etcdctl(cluster, url, `put '${key}' '${value}'`)
  }
  return { twin, keys: Object.keys(left) }
}

async function check(cluster: Cluster, ...flags: readonly string[]) {
  const { exitCode, stdout, stderr } = await cluster.run(
    'h2',
    'ipam',
    'check',
    '-o',
    'json',
    ...flags,
  )
  assert.equal(exitCode, FOUND, stderr)
  const { findings } = (JSON.parse(stdout) as Check).status
  const sorted = [...findings].sort((x, y) => (x.kind < y.kind ? -1 : 1))
  return {
    kinds: sorted.map(({ kind }) => kind),
    repaired: sorted.filter((finding) => finding.repaired).map(({ kind }) => kind),
  }
}

function etcdctl(cluster: Cluster, url: string, command: string): Promise<string> {
  return shell(cluster, 'h1', `ETCDCTL_API=3 etcdctl --endpoints=${url} ${command}`)
}

function get(cluster: Cluster, url: string, key: string): Promise<string> {
  return etcdctl(cluster, url, `get '${key}'`)
}
