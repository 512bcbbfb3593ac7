/**
 * The daemon dies at every step by which ports are published and taken back: the next start makes the kernel
 * what the model says, holds the ports, and leaves no connection that leads to a container that is gone.
 */

import assert from 'node:assert/strict'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'
import { addressOf, createNetwork, sharedCluster, shell, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { assertKilled, restart } from './killing.ts'

const PUT = ['commit', 'put publication', 'put socket-hooks', 'put loopback-port']
const REMOVE = ['commit', 'remove loopback-port', 'remove publication', 'remove endpoint']
const PORTS = ['5353-5354:53-54/udp', '8080:80', '127.0.0.1:9090:90']
const NOT_REACHABLE = 6

const withTwoHosts = sharedCluster({ hosts: 2, members: 1 })

withTwoHosts('ports of an attach', async (cluster) => {
  await createNetwork(
    cluster,
    'blue',
    ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'],
    ['h1'],
  )
  const container = await cluster.lab.container('h1', 'box')
  for (const step of PUT) {
    await restart(cluster, 'h1', step)
    const attach = ['attach', 'blue', '--netns', container.netns, '--name', 'box']
    const { exitCode } = await cluster.run('h1', ...attach, ...publishing())
    await assertKilled(cluster, 'h1', step)
    assert.equal(exitCode, NOT_REACHABLE, step)
    await restart(cluster, 'h1')
    await assertKernelIsModel(cluster, 'h1')
    assert.throws(() => occupy(cluster), /bind failed/, step)
    const addresses = await addressesOf(cluster, 'box')
    assert.ok(await isReached(cluster, { ...container, endpointId: '', addresses }), step)
    await cluster.carrick('h1', 'detach', 'box')
    await assertKernelIsModel(cluster, 'h1')
    occupy(cluster)
  }
})

for (const { name, command, steps } of [
  { name: 'crate', command: ['detach', 'crate'], steps: REMOVE },
  {
    name: 'chest',
    command: ['publish', 'rm', '5353-5354/udp', '8080/tcp', '127.0.0.1:9090/tcp'],
    steps: REMOVE.slice(0, 3),
  },
]) {
  withTwoHosts(`ports taken back by ${command[0]}`, async (cluster) => {
    const container = await cluster.lab.container('h1', name)
    for (const step of steps) {
      const attached = await cluster.attachContainer('blue', container, ...publishing())
      assert.ok(await isReached(cluster, attached), step)
      await restart(cluster, 'h1', step)
      const { exitCode } = await cluster.run('h1', ...command)
      await assertKilled(cluster, 'h1', step)
      assert.equal(exitCode, NOT_REACHABLE, step)
      await restart(cluster, 'h1')
      await assertKernelIsModel(cluster, 'h1')
      await until(`no connection is left after "${step}"`, async () => {
        const lists = ['ipv4', 'ipv6'].map((family) => `conntrack -L -f ${family} 2> /dev/null`)
        return !(await shell(cluster, 'h1', lists.join('; '))).includes('dport=5353 ')
      })
      occupy(cluster)
      await cluster.run('h1', 'detach', name)
    }
  })
}

function publishing(): readonly string[] {
  return PORTS.flatMap((port) => ['--publish', port])
}

/** Binds a published port as another program of the host would; throws where that is refused. */
function occupy(cluster: Cluster): void {
  const every = ip('0.0.0.0')
  openSocket({ path: cluster.lab.netns('h1') }, 'udp', every)
    .bind(every, 5353)
    [Symbol.dispose]()
}

async function addressesOf(cluster: Cluster, name: string): Promise<readonly string[]> {
  const { spec } = await cluster.json<{ spec: { addresses: string[] } }>(
    ...(['h1', 'endpoint', 'get', name] as const),
  )
  return spec.addresses
}

/** True when datagrams from outside arrive in the container by its port, in both families. */
async function isReached(cluster: Cluster, box: Container): Promise<boolean> {
  for (const [i, family] of ([4, 6] as const).entries()) {
    const [host, inside] = [ip(addressOf(cluster.lab, 'h1', family)), ip(box.addresses[i] ?? '')]
    using server = openSocket({ path: box.pin }, 'udp', inside).bind(inside, 53)
    using client = openSocket({ path: cluster.lab.netns('h2') }, 'udp', host)
    client.connect(host, 5353)
    client.send(Buffer.from('asks'))
    if (server.receive(new Uint8Array(9)) === undefined) return false
  }
  return true
}
