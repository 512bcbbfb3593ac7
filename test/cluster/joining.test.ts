/** Hosts join with tokens that are spent once, and stay joined; refused ones keep what they had. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { Cluster } from '../../src/lab/cluster.ts'
import {
  addressOf,
  assertRefused,
  clusterTest,
  createNetwork,
  joinFirst,
  knows,
  shell,
  until,
} from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { carries } from './traffic.ts'

const INVALID = 2
const STATE = 4
const NOT_PERMITTED = 5
const NOT_REACHABLE = 6

clusterTest(
  'a token lets one host in, however many use it at once',
  { hosts: 4, members: 1 },
  async (cluster) => {
    const others = ['h2', 'h3', 'h4']
    const token = (await cluster.carrick('h1', 'token', 'create')).trim()
    for (const host of others) cluster.startDaemon(host)
    for (const host of others) await cluster.settled(host)
    const results = await Promise.all(
      others.map((host) => cluster.run(host, ...joinArgs(cluster, host, token))),
    )
    const winners = others.filter((_, i) => results[i]?.exitCode === 0)
    assert.equal(winners.length, 1, JSON.stringify(results))
    for (const result of results) {
      if (result.exitCode !== 0) assertRefused(result, NOT_PERMITTED, 'spent')
    }
    await until('the winner is registered', async () => {
      return (await hostNames(cluster, 'h1')).join() === ['h1', ...winners].join()
    })
    for (const host of others.filter((host) => !winners.includes(host))) {
      assert.deepEqual(await hostNames(cluster, host), [host])
      await joinFirst(cluster, host)
    }
    await until('all are known', async () => (await hostNames(cluster, 'h1')).length === 4)
  },
)

clusterTest(
  'a token that is wrong, spent, expired or of another cluster lets nobody in',
  { hosts: 2, members: 1 },
  async (cluster) => {
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    const create = async (host: string, ...flags: readonly string[]): Promise<string> =>
      (await cluster.carrick(host, 'token', 'create', ...flags)).trim()
    const refuse = async (token: string, exit: number, ...words: readonly (string | RegExp)[]) => {
      assertRefused(await cluster.run('h2', ...joinArgs(cluster, 'h2', token)), exit, ...words)
      assert.deepEqual(await hostNames(cluster, 'h1'), ['h1'])
      assert.deepEqual(await hostNames(cluster, 'h2'), ['h2'])
      assert.ok(!existsSync(cluster.lab.outside('h2', '/var/lib/carrick/cluster.json')))
      assert.ok(!existsSync(cluster.lab.outside('h2', '/var/lib/carrick/tls/joined')))
    }
    await refuse('hello', INVALID, 'token', 'carrick1.')
    await refuse((await create('h1')).slice(0, -5), INVALID, 'token', 'hash')
    const [mark, id, secret = '', hash] = (await create('h1')).split('.')
    const wrong = [mark, id, secret.split('').toReversed().join(''), hash].join('.')
    await refuse(wrong, NOT_PERMITTED, 'not known')
    await refuse(await create('h2'), NOT_PERMITTED, "not the token's")
    const { status } = await cluster.json<{ status: { text: string; expiresAt: string } }>(
      'h1',
      ...['token', 'create', '--ttl', '1s'],
    )
    await until('the token has expired', () => Date.now() > Date.parse(status.expiresAt))
    await refuse(status.text, NOT_PERMITTED, 'expired at', status.expiresAt)
    const elsewhere = [
      'join',
      '192.0.2.1:7999',
      '--token-file',
      cluster.writeToken('h2', status.text),
    ]
    assertRefused(await cluster.run('h2', ...elsewhere), NOT_REACHABLE, '192.0.2.1:7999')
    const nowhere = ['join', 'nonsense:port', '--token-file', cluster.writeToken('h2', status.text)]
    assertRefused(await cluster.run('h2', ...nowhere), INVALID, 'nonsense:port')
    const missing = ['join', '192.0.2.1:7441', '--token-file', '/run/no-token']
    assertRefused(await cluster.run('h2', ...missing), INVALID, '/run/no-token')
    await joinFirst(cluster, 'h2')
    assert.deepEqual(await hostNames(cluster, 'h1'), ['h1', 'h2'])
  },
)

clusterTest(
  'a host joins neither under a name that is taken nor with networks of its own',
  { hosts: 2, members: 1 },
  async (cluster) => {
    cluster.startDaemon('h2', { args: ['--host-name', 'h1'] })
    await cluster.settled('h2')
    const token = await cluster.bringToken('h1', 'h2')
    const join = ['join', `${addressOf(cluster.lab, 'h1')}:7441`, '--token-file', token]
    assertRefused(await cluster.run('h2', ...join), STATE)
    await cluster.endDaemon('h2', 'SIGTERM')
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    await createNetwork(cluster, 'own', ['--subnet', '10.80.0.0/16'], ['h2'])
    assertRefused(await cluster.run('h2', ...join), STATE, 'network')
    await cluster.carrick('h2', 'network', 'rm', 'own')
    // The refused attempts have not spent the token.
    await cluster.carrick('h2', ...join)
    await cluster.settled('h2')
    assert.deepEqual(await hostNames(cluster, 'h1'), ['h1', 'h2'])
  },
)

clusterTest(
  'a joined host starts without its store, works, and is understood afterwards',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
    const a = await cluster.attach('blue', 'h1', 'a')
    const b = await cluster.attach('blue', 'h2', 'b')
    await knows(cluster, 'h2', 'a')
    await knows(cluster, 'h1', 'b')
    await cluster.endDaemon('h1', 'SIGTERM')
    await cluster.endDaemon('h2', 'SIGTERM')
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    await assertKernelIsModel(cluster, 'h2')
    assert.ok(carries(a, b) && carries(b, a))
    const c = await cluster.attach('blue', 'h2', 'c')
    assert.ok(carries(c, b))
    const far = await cluster.run('h2', 'network', 'create', 'red', '--subnet', '10.81.0.0/16')
    assertRefused(far, NOT_REACHABLE, 'store')
    cluster.startDaemon('h1')
    await cluster.settled('h1')
    await knows(cluster, 'h1', 'b', 'c')
    assert.ok(carries(a, c))
    for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
    assert.deepEqual(await hostNames(cluster, 'h2'), ['h1', 'h2'])
  },
)

clusterTest(
  'the store is open to etcdctl with a member’s certificate, and to nobody else',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16'])
    const endpoint = `--endpoints=https://${addressOf(cluster.lab, 'h1')}:7440`
    const tls = '/var/lib/carrick/tls'
    const member = (directory: string) =>
      `--cacert=${directory}/ca.pem --cert=${directory}/host.pem --key=${directory}/host.key`
    const etcdctl = (host: string, flags: string, args: string): Promise<string> =>
      shell(
        cluster,
        host,
        `ETCDCTL_API=3 etcdctl --command-timeout=2s ${endpoint} ${flags} ${args}`,
      )
    const [first, joined] = [member(tls), member(`${tls}/joined`)]
    const keys = await etcdctl('h1', first, 'get --prefix --keys-only /carrick/')
    assert.match(keys, /^\/carrick\/cluster$/m)
    assert.match(keys, /^\/carrick\/network-names\/blue$/m)
    assert.equal(keys.match(/^\/carrick\/alive\//gm)?.length, 2)
    await etcdctl('h2', joined, 'put /carrick/notes/x hello')
    assert.match(await etcdctl('h1', first, 'get /carrick/notes/x --print-value-only'), /^hello$/m)
    assert.match(await etcdctl('h1', first, 'lease grant 30'), /granted with TTL\(30s\)/)
    assert.match(await etcdctl('h1', first, 'endpoint health 2>&1'), /is healthy/)
    // R49: a member writes no other member's keys.
    const { items } = await cluster.json<{ items: { metadata: { id: string; name: string } }[] }>(
      'h1',
      ...['host', 'ls'],
    )
    const h1 = items.find(({ metadata }) => metadata.name === 'h1')?.metadata.id
    await assert.rejects(
      etcdctl('h2', joined, `put /carrick/hosts/${h1} {}`),
      /ermission|denied|forbidden/i,
    )
    await assert.rejects(
      etcdctl('h2', joined, `del /carrick/alive/${h1}`),
      /ermission|denied|forbidden/i,
    )
    await assert.rejects(etcdctl('h2', `--cacert=${tls}/joined/ca.pem`, 'get x'))
    // The certificates that h2 made for a cluster of its own, before it joined.
    await assert.rejects(etcdctl('h2', member(tls), 'get x'))
    await cluster.settled('h1')
  },
)

function joinArgs(cluster: Cluster, host: string, token: string): readonly string[] {
  const file = cluster.writeToken(host, token)
  return ['join', `${addressOf(cluster.lab, 'h1')}:7441`, '--token-file', file]
}

async function hostNames(cluster: Cluster, host: string): Promise<readonly string[]> {
  const { items } = await cluster.json<{ items: { metadata: { name: string } }[] }>(
    host,
    'host',
    'ls',
  )
  return items.map(({ metadata }) => metadata.name).toSorted()
}
