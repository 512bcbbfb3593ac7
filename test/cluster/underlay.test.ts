/** An underlay that changes under a running daemon is followed within five seconds, by all hosts. */

import { expect } from 'bun:test'
import assert from 'node:assert/strict'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { clusterTest, createNetwork, knows, shell, until } from './harness.ts'
import { ENTRANCE } from './kernel-dump.ts'
import { carries, ping } from './traffic.ts'

const FOLLOW_MS = 5_000

interface HostDocument {
  readonly spec: {
    readonly underlay: readonly { readonly address: string; readonly mtuBytes: number }[]
  }
}

clusterTest('a host that gets other addresses is found there', {}, async (cluster) => {
  const [a, b] = await pair(cluster, 'vxlan')
  assert.ok(carries(a, b), 'before')
  await readdress(cluster, 'h2', '192.0.2.77', '2001:db8::77')
  await followed(cluster, 'h1', 'h2', ['192.0.2.77', '2001:db8::77'])
  await resumes(cluster, a, b)
  // The store is asked from there.
  await createNetwork(cluster, 'green', ['--subnet', '10.82.0.0/16'])
  await cluster.attach('green', 'h2', 'c')
  await knows(cluster, 'h1', 'c')
})

clusterTest(
  'the host that serves the store may move: the others are told where',
  {},
  async (cluster) => {
    const [a, b] = await pair(cluster, 'vxlan')
    await readdress(cluster, 'h1', '192.0.2.66', '2001:db8::66')
    await followed(cluster, 'h2', 'h1', ['192.0.2.66', '2001:db8::66'])
    await resumes(cluster, a, b)
    const store = async () => {
      const { status } = await cluster.json<{ status: { store: { address: string } } }>(
        'h2',
        'status',
      )
      return status.store.address
    }
    assert.match(await store(), /https:\/\/192\.0\.2\.66:7440/)
    await createNetwork(cluster, 'green', ['--subnet', '10.82.0.0/16'])
    // A daemon that starts anew knows it too.
    await cluster.endDaemon('h2', 'SIGTERM')
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    assert.match(await store(), /https:\/\/192\.0\.2\.66:7440/)
    await cluster.attach('green', 'h2', 'c')
    await knows(cluster, 'h1', 'c')
  },
)

clusterTest(
  'a device with another MTU and MAC is followed into the containers',
  {},
  async (cluster) => {
    const [a, b] = await pair(cluster, 'direct')
    assert.ok(carries(a, b), 'before')
    await shell(cluster, 'h1', 'ip link set eth0 mtu 1400 address 02:00:00:00:00:99')
    await resumes(cluster, a, b)
    await until(
      'the container has the MTU',
      async () => {
        return (
          await shell(cluster, 'h1', 'nsenter --net=/run/netns/a ip link show eth0')
        ).includes('mtu 1400')
      },
      FOLLOW_MS,
    )
    const { spec } = await cluster.json<HostDocument>('h2', 'host', 'get', 'h1')
    expect(spec.underlay.map(({ mtuBytes }) => mtuBytes)).toEqual([1400, 1400])
  },
)

clusterTest('an underlay that vanishes for a while is waited for', {}, async (cluster) => {
  const [a, b] = await pair(cluster, 'vxlan')
  await shell(cluster, 'h2', 'ip address flush dev eth0 scope global')
  await until('it is told', async () => {
    const { status } = await cluster.json<{ status: { warnings: string[] } }>('h2', 'status')
    return status.warnings.some((text) => /192\.0\.2\.2 is on no device/.test(text))
  })
  expect(await addresses(cluster, 'h2', 'h2')).toEqual(['192.0.2.2', '2001:db8::2'])
  await give(cluster, 'h2', '192.0.2.2', '2001:db8::2')
  await resumes(cluster, a, b)
  await until('nothing is missing', async () => {
    const { status } = await cluster.json<{ status: { warnings: string[] } }>('h2', 'status')
    return status.warnings.length === 0
  })
})

clusterTest('a host moves to another device', {}, async (cluster) => {
  const [a, b] = await pair(cluster, 'vxlan')
  // The wire under another name, as a bond or a bridge takes it over.
  await shell(
    cluster,
    'h2',
    `ip link add name br0 type bridge && ip link set br0 up && ip address flush dev eth0 scope global &&
     ip link set eth0 master br0`,
  )
  await give(cluster, 'h2', '192.0.2.2', '2001:db8::2', 'br0')
  await resumes(cluster, a, b)
  const hasProgram = async (device: string): Promise<boolean> =>
    (await shell(cluster, 'h2', `${ENTRANCE}\nentrance ${device}`)).includes('from_underlay')
  await until('the program has moved', async () => {
    return (await hasProgram('br0')) && !(await hasProgram('eth0'))
  })
  await resumes(cluster, a, b)
})

async function pair(cluster: Cluster, carrier: string): Promise<readonly [Container, Container]> {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--carrier', carrier])
  const a = await cluster.attach('blue', 'h1', 'a')
  const b = await cluster.attach('blue', 'h2', 'b')
  await knows(cluster, 'h1', 'a', 'b')
  await knows(cluster, 'h2', 'a', 'b')
  return [a, b]
}

/** Takes a host's addresses away and gives it others: with the last one its routes go too. */
async function readdress(cluster: Cluster, host: string, v4: string, v6: string): Promise<void> {
  await shell(cluster, host, 'ip address flush dev eth0 scope global')
  await give(cluster, host, v4, v6)
}

async function give(
  cluster: Cluster,
  host: string,
  v4: string,
  v6: string,
  device = 'eth0',
): Promise<void> {
  await shell(
    cluster,
    host,
    `ip address add ${v4}/24 dev ${device} && ip address add ${v6}/64 dev ${device} nodad &&
     ip route replace default via 192.0.2.254 dev ${device} &&
     ip -6 route replace default via 2001:db8::fe dev ${device}`,
  )
}

/** Waits until packets pass both ways again; a question without an answer costs little of the time. */
async function resumes(cluster: Cluster, a: Container, b: Container): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const answered = async (): Promise<boolean> => {
      const { exitCode } = await ping(cluster, from, to.addresses[0] ?? '', '-c', '1', '-W', '0.3')
      return exitCode === 0
    }
    await until(`${from.name} reaches ${to.name} again`, answered, FOLLOW_MS)
  }
  assert.ok(carries(a, b), 'datagrams pass as well')
}

/** Waits until a host knows where another is now. */
async function followed(
  cluster: Cluster,
  asked: string,
  of: string,
  want: readonly string[],
): Promise<void> {
  const know = async () => (await addresses(cluster, asked, of)).join() === want.join()
  await until(`${asked} knows that ${of} is at ${want.join(', ')}`, know, FOLLOW_MS)
}

async function addresses(cluster: Cluster, asked: string, of: string): Promise<readonly string[]> {
  const { spec } = await cluster.json<HostDocument>(asked, 'host', 'get', of)
  return spec.underlay.map(({ address }) => address)
}
