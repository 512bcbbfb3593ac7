/**
 * Published ports of two networks with the same prefix, whose containers have the same address: each port
 * leads to its own container, whoever asks.
 */

import assert from 'node:assert/strict'
import type { Container } from '../../src/lab/cluster.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket, type Place, type Socket } from '../kernel/datapath/sockets.ts'
import { addressOf, createNetwork, sharedCluster } from './harness.ts'

const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SUBNETS = [
  '--subnet',
  '10.81.0.0/24',
  '--subnet',
  'fd81::/64',
  '--carrier',
  'vxlan',
  '--force',
]
const PORTS = { red: 8081, blue: 8082 } as const
const buffer = new Uint8Array(64)
const containers = new Map<string, Container>()
const withTwoHosts = sharedCluster({ hosts: 2, members: 1 })

withTwoHosts('two networks, two containers, one address', async (cluster) => {
  for (const [name, port] of Object.entries(PORTS)) {
    await createNetwork(cluster, name, SUBNETS, ['h1'])
    const wish = ['--ip', '10.81.0.9', '--ip', 'fd81::9', '--publish', `${port}:80`]
    containers.set(
      name,
      await cluster.attach(name, 'h1', name, ...wish, '--publish', `${port}:80/udp`),
    )
  }
})

for (const [i, family] of ([4, 6] as const).entries()) {
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const from of ['another machine', 'the host', 'the host by loopback'] as const) {
      withTwoHosts(`IPv${family}, ${protocol}, from ${from}`, async ({ lab }) => {
        const place: Place = { path: lab.netns(from === 'another machine' ? 'h2' : 'h1') }
        const to =
          from === 'the host by loopback'
            ? ip(family === 4 ? '127.0.0.1' : '::1')
            : ip(addressOf(lab, 'h1', family))
        const servers = new Map<string, Socket>()
        for (const [name, { pin, addresses }] of containers) {
          const address = ip(addresses[i] ?? '')
          const server = openSocket({ path: pin }, protocol, address)
          servers.set(name, server.option(SOL_SOCKET, SO_REUSEADDR, 1).bind(address, 80))
          if (protocol === 'tcp') server.listen()
        }
        try {
          for (const [name, port] of Object.entries(PORTS)) {
            using client = openSocket(place, protocol, to)
            assert.ok(client.connect(to, port), `${name} answers`)
            client.send(Buffer.from(name))
            const server = servers.get(name)
            assert.ok(server)
            using accepted = protocol === 'tcp' ? server.accept() : undefined
            const got = (accepted ?? server).receive(buffer)
            assert.equal(Buffer.from(got ?? []).toString(), name)
            accepted?.send(Buffer.from('answer'))
            if (accepted !== undefined) {
              assert.equal(Buffer.from(client.receive(buffer) ?? []).toString(), 'answer')
            }
          }
        } finally {
          for (const server of servers.values()) server[Symbol.dispose]()
        }
      })
    }
  }
}
