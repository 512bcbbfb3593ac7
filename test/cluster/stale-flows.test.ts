/** Connections end with what they were told to do: a publication, a container. Judged by `conntrack -L`. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket, type Socket } from '../kernel/datapath/sockets.ts'
import { addressOf, createNetwork, sharedCluster, shell, until } from './harness.ts'

const withTwoHosts = sharedCluster({ hosts: 2, members: 1 })
const buffer = new Uint8Array(64)

/** Entries of both families that name the text. */
async function tracked(cluster: Cluster, text: string): Promise<readonly string[]> {
  const listed = await shell(
    cluster,
    'h1',
    'conntrack -L -f ipv4 2> /dev/null; conntrack -L -f ipv6 2> /dev/null',
  )
  return listed.split('\n').filter((line) => line.includes(text))
}

/** Sends until it arrives. */
async function arrives(what: string, from: Socket, at: Socket): Promise<void> {
  await until(what, () => {
    from.send(Buffer.from(what))
    return at.receive(buffer, false) !== undefined
  })
}

withTwoHosts('a network', async (cluster) => {
  await createNetwork(
    cluster,
    'shop',
    ['--subnet', '10.81.0.0/16', '--subnet', 'fd81::/48'],
    ['h1'],
  )
})

for (const [i, family] of ([4, 6] as const).entries()) {
  withTwoHosts(
    `IPv${family}: a client that never stops sending meets a port in all its states`,
    async (cluster) => {
      const { lab } = cluster
      const host = ip(addressOf(lab, 'h1', family))
      const first = await cluster.attach('shop', 'h1', `first${family}`)
      const second = await cluster.attach('shop', 'h1', `second${family}`)
      const [one, two] = [ip(first.addresses[i] ?? ''), ip(second.addresses[i] ?? '')]
      using atFirst = openSocket({ path: first.pin }, 'udp', one).bind(one, 53)
      using atSecond = openSocket({ path: second.pin }, 'udp', two).bind(two, 53)
      using client = openSocket({ path: lab.netns('h2') }, 'udp', host)
      client.connect(host, 5353)
      client.send(Buffer.from('to nobody'))
      assert.equal((await tracked(cluster, 'dport=5353')).length, 1)

      await cluster.carrick('h1', 'publish', 'add', `first${family}`, '5353:53/udp')
      await arrives('to the first', client, atFirst)
      await cluster.carrick('h1', 'publish', 'rm', '5353/udp', '--wait')
      assert.deepEqual(await tracked(cluster, 'dport=5353'), [])
      await cluster.carrick('h1', 'publish', 'add', `second${family}`, '5353:53/udp')
      await arrives('to the second', client, atSecond)
      while (atFirst.receive(buffer, false) !== undefined); // what it had before
      client.send(Buffer.from('to nobody else'))
      assert.equal(atFirst.receive(buffer, false), undefined)
      await cluster.carrick('h1', 'detach', `second${family}`)
      assert.deepEqual(await tracked(cluster, 'dport=5353'), [])
      await cluster.carrick('h1', 'detach', `first${family}`)
    },
  )

  withTwoHosts(
    `IPv${family}: the next container with an address gets no answers of the last`,
    async (cluster) => {
      const { lab } = cluster
      const outside = ip(addressOf(lab, 'h2', family))
      const leaving = await cluster.attach('shop', 'h1', `leaving${family}`)
      const address = ip(leaving.addresses[i] ?? '')
      using server = openSocket({ path: lab.netns('h2') }, 'udp', outside).bind(outside, 7000)
      using client = openSocket({ path: leaving.pin }, 'udp', outside).bind(address, 7001)
      client.connect(outside, 7000)
      await arrives('out', client, server)
      assert.equal((await tracked(cluster, `src=${address}`)).length, 1)
      // Its name brings the address back at once, before anything was forgotten by itself.
      await cluster.carrick('h1', 'detach', `leaving${family}`)
      const next = await cluster.attach('shop', 'h1', `next${family}`, '--ip', address)
      assert.equal(next.addresses[i], address)
      assert.deepEqual(await tracked(cluster, `src=${address}`), [])
      using again = openSocket({ path: next.pin }, 'udp', outside).bind(address, 7002)
      again.connect(outside, 7000)
      await arrives('out again', again, server)
      await cluster.carrick('h1', 'detach', `next${family}`)
      await until('the connections of a container that left are forgotten', async () => {
        return (await tracked(cluster, `src=${address}`)).length === 0
      })
    },
  )
}
