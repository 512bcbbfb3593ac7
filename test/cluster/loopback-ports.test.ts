/**
 * Published ports for the host's own loopback clients: there while the daemon is away, gone with the last of
 * them, and for nobody but this host.
 */

import assert from 'node:assert/strict'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket, type Place } from '../kernel/datapath/sockets.ts'
import { createNetwork, sharedCluster, shell, until } from './harness.ts'

const PORT = 8080
const SERVED = 80
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const LOOPBACK = [ip('127.0.0.1'), ip('::1')]
const withOneHost = sharedCluster({ hosts: 1 })
let web: Container

/** By which of these a client at `from` reaches the container: `tcp 127.0.0.1`, and so on. */
function reached({ lab }: Cluster, from: Place = { path: lab.netns('h1') }): readonly string[] {
  const buffer = new Uint8Array(64)
  return (['tcp', 'udp'] as const).flatMap((protocol) =>
    LOOPBACK.flatMap((address, i) => {
      const server = ip(web.addresses[i] ?? '')
      using listener = openSocket({ path: web.pin }, protocol, server)
        .option(SOL_SOCKET, SO_REUSEADDR, 1)
        .bind(server, SERVED)
      if (protocol === 'tcp') listener.listen()
      using client = openSocket(from, protocol, address)
      if (!client.connect(address, PORT)) return []
      client.send(Buffer.from('hello'))
      using accepted = protocol === 'tcp' ? listener.accept() : undefined
      const got = (accepted ?? listener).receive(buffer, protocol === 'tcp')
      return got === undefined ? [] : [`${protocol} ${address}`]
    }),
  )
}

const EVERY = ['tcp 127.0.0.1', 'tcp ::1', 'udp 127.0.0.1', 'udp ::1']

/** Names of the hooks that are pinned. */
async function hooks(cluster: Cluster): Promise<readonly string[]> {
  const found = await shell(cluster, 'h1', 'find /sys/fs/bpf -path "*/hooks/links/*" -type f')
  return found.split('\n').filter((line) => line !== '')
}

async function takeHooksAway(cluster: Cluster): Promise<void> {
  await shell(cluster, 'h1', 'find /sys/fs/bpf -path "*/hooks/links/*" -type f -delete')
}

withOneHost('without a published port there are no hooks', async (cluster) => {
  await createNetwork(cluster, 'shop', ['--subnet', '10.81.0.0/16', '--subnet', 'fd81::/48'])
  web = await cluster.attach('shop', 'h1', 'web')
  assert.deepEqual(await hooks(cluster), [])
  assert.deepEqual(reached(cluster), [])
})

withOneHost('both families, TCP and UDP', async (cluster) => {
  await cluster.carrick('h1', 'publish', 'add', 'web', `${PORT}:${SERVED}`, `${PORT}:${SERVED}/udp`)
  assert.deepEqual(reached(cluster), EVERY)
  assert.equal((await hooks(cluster)).length, 8)
})

withOneHost("a container's own loopback is its own", async (cluster) => {
  assert.deepEqual(reached(cluster, { path: web.pin }), [])
})

withOneHost('while the daemon is away and after it came back', async (cluster) => {
  await cluster.killDaemon('h1')
  assert.deepEqual(reached(cluster), EVERY)
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  assert.deepEqual(reached(cluster), EVERY)
})

withOneHost('hooks that somebody took away are put again', async (cluster) => {
  await takeHooksAway(cluster)
  // A link without a pin goes when the kernel gets to it.
  await until('no hook works', () => reached(cluster).length === 0)
  cluster.daemon('h1').kill('SIGTERM')
  await cluster.endDaemon('h1')
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  assert.deepEqual(reached(cluster), EVERY)
})

withOneHost('one loopback address alone, and nothing when all are taken back', async (cluster) => {
  await cluster.carrick('h1', 'publish', 'rm', `${PORT}/tcp`, `${PORT}/udp`)
  assert.deepEqual(reached(cluster), [])
  // They stay for a moment, and are put again also when somebody takes them away in it.
  await takeHooksAway(cluster)
  await cluster.carrick('h1', 'publish', 'add', 'web', `127.0.0.1:${PORT}:${SERVED}`)
  assert.deepEqual(reached(cluster), ['tcp 127.0.0.1'])
  await cluster.carrick('h1', 'detach', 'web')
  await until('no hook is left', async () => (await hooks(cluster)).length === 0)
})
