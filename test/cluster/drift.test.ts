/** What an administrator's hand takes away comes back: at once where the kernel tells, else within a period. */

import assert from 'node:assert/strict'
import { MAPS_SCHEMA } from '../../src/hoststate/maps.ts'
import { FABRIC_MAC } from '../../src/hoststate/state.ts'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { mappedBytes } from '../../src/net/ip.ts'
import * as pk from '../kernel/datapath/packet.ts'
import { openFrameSocket, openSocket } from '../kernel/datapath/sockets.ts'
import { addressOf, clusterTest, createNetwork, knows, shell, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { carries } from './traffic.ts'

const PINS = `/sys/fs/bpf/carrick/v${MAPS_SCHEMA}`
const LINKS = '/sys/fs/bpf/carrick/devices'

interface Loss {
  readonly what: string
  /** Kind under which the repair is counted. */
  readonly kind: string
  readonly command: (a: Container, device: string) => string
}

/** The kernel tells of these: the period of comparison (30 s) plays no part. */
const TOLD: readonly Loss[] = [
  { what: "an endpoint's pair", kind: 'veth', command: (_, device) => `ip link del ${device}` },
  {
    what: "the container's end of a pair",
    kind: 'veth',
    command: ({ name }) => `nsenter --net=/run/netns/${name} ip link del eth0`,
  },
  {
    what: 'an endpoint that is up',
    kind: 'veth',
    command: (_, device) => `ip link set ${device} down`,
  },
  {
    what: "an endpoint's place in the block",
    kind: 'veth',
    command: (_, device) => `tc qdisc del dev ${device} clsact`,
  },
  { what: 'the vxlan device', kind: 'vxlan-device', command: () => 'ip link del ckvx0' },
  {
    what: 'the filter of all endpoints',
    kind: 'program',
    command: () => 'tc filter del block 51728 pref 1',
  },
  { what: 'every nft table', kind: 'ruleset', command: () => 'nft flush ruleset' },
  { what: "our nft table's rules", kind: 'ruleset', command: () => 'nft flush table inet carrick' },
  { what: 'the anchor', kind: 'block', command: () => 'ip link del ckan0' },
]

/** Of these the kernel tells nobody outside the namespace, or nobody at all. */
const UNTOLD: readonly Loss[] = [
  {
    what: "the uplink's program",
    kind: 'program',
    command: () => `rm -f ${LINKS}/ingress-*; tc qdisc del dev eth0 clsact 2>/dev/null || true`,
  },
  {
    what: "a container's address",
    kind: 'interior',
    command: ({ name, addresses: [v4] }) =>
      `nsenter --net=/run/netns/${name} ip addr del ${v4}/16 dev eth0`,
  },
  {
    what: "a container's route",
    kind: 'interior',
    command: ({ name }) => `nsenter --net=/run/netns/${name} ip -6 route flush proto 202`,
  },
  {
    what: "a container's neighbour",
    kind: 'interior',
    command: ({ name }) => `nsenter --net=/run/netns/${name} ip neigh flush all nud permanent`,
  },
  {
    what: 'an entry of the map of endpoints',
    kind: 'endpoint',
    command: ({ addresses: [v4 = ''] }) =>
      `bpftool map delete pinned ${PINS}/endpoints key ${mapKey(1, v4)}`,
  },
  {
    what: 'an entry of the map of networks',
    kind: 'network',
    command: () => `bpftool map delete pinned ${PINS}/networks key 1 0 0 0`,
  },
  {
    what: 'the row of a host',
    kind: 'peer',
    command: () => `bpftool map update pinned ${PINS}/hosts key 2 0 0 0 value ${'0 '.repeat(72)}`,
  },
]

for (const { losses, name, args } of [
  { name: 'what the kernel tells of is back at once, and counted', losses: TOLD, args: [] },
  {
    name: 'what no notice tells of is back after one period, and counted',
    losses: UNTOLD,
    args: ['--reconcile-period-ms', '1s'],
  },
]) {
  clusterTest(name, { hosts: 2, daemon: { args } }, async (cluster) => {
    const { a, b, c } = await attachThree(cluster)
    for (const { what, kind, command } of losses) {
      const before = (await repaired(cluster))[kind] ?? 0
      await shell(cluster, 'h1', command(a, await deviceOf(cluster, a)))
      await until(
        `${what} is back and counted as ${kind}`,
        async () => {
          return ((await repaired(cluster))[kind] ?? 0) > before
        },
        5_000,
      )
      await cluster.settled('h1')
      await until(`traffic flows again after ${what}`, () => carries(a, b) && carries(c, a), 5_000)
      await assertKernelIsModel(cluster, 'h1')
    }
  })
}

clusterTest(
  'without a daemon a lost filter is a closed door: nothing passes, nothing spoofed reaches the host',
  { hosts: 2 },
  async (cluster) => {
    const { a, b, c } = await attachThree(cluster)
    await cluster.killDaemon('h1')
    await shell(cluster, 'h1', 'tc filter del block 51728 pref 1')
    for (const [from, to] of [
      [a, b],
      [a, c],
    ] as const) {
      assert.ok(!delivers(from, to))
    }
    await assertHostIsOutOfReach(cluster, a)
    const tables = await shell(cluster, 'h1', 'nft list table inet carrick')
    assert.match(tables, /counter packets [1-9]/)
    cluster.startDaemon('h1')
    await cluster.settled('h1')
    await until('traffic flows again', () => carries(a, b) && carries(a, c))
    await assertKernelIsModel(cluster, 'h1')
  },
)

/** Bytes of a key of the map of endpoints, as bpftool takes them. */
function mapKey(vni: number, address: string): string {
  return [vni, 0, 0, 0, ...mappedBytes(pk.ip(address))].join(' ')
}

/** Two containers on h1, one on h2. */
async function attachThree(
  cluster: Cluster,
): Promise<{ a: Container; b: Container; c: Container }> {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
  const a = await cluster.attach('blue', 'h1', 'a')
  const b = await cluster.attach('blue', 'h1', 'b')
  const c = await cluster.attach('blue', 'h2', 'c')
  await knows(cluster, 'h1', 'c')
  await knows(cluster, 'h2', 'a', 'b')
  assert.ok(carries(a, b) && carries(a, c))
  return { a, b, c }
}

async function repaired(cluster: Cluster): Promise<Readonly<Record<string, number>>> {
  const { status } = await cluster.json<{ status: { driftRepaired: Record<string, number> } }>(
    'h1',
    'status',
  )
  return status.driftRepaired
}

async function deviceOf(cluster: Cluster, { name }: Container): Promise<string> {
  const { status } = await cluster.json<{ status: { device: string } }>(
    'h1',
    'endpoint',
    'get',
    name,
  )
  return status.device
}

/** One datagram, looked for without waiting: the path has no queue in which it could be late. */
function delivers(from: Container, to: Container): boolean {
  const [source, target] = [pk.ip(from.addresses[0] ?? ''), pk.ip(to.addresses[0] ?? '')]
  using receiver = openSocket({ path: to.pin }, 'udp', target).bind(target, 5020)
  using sender = openSocket({ path: from.pin }, 'udp', source).bind(source, 5020)
  sender.connect(target, 5020)
  sender.send(Buffer.from('anybody?'))
  // A datagram that came the sure way, after the other one, ends the wait.
  using own = openSocket({ path: to.pin }, 'udp', target)
  own.connect(target, 5020)
  own.send(Buffer.from('end'))
  const first = receiver.receive(new Uint8Array(100)) ?? new Uint8Array()
  return Buffer.from(first).toString() !== 'end'
}

/** Frames with any source, addressed to the host itself, must not come to a socket of the host. */
async function assertHostIsOutOfReach({ lab }: Cluster, container: Container): Promise<void> {
  const target = pk.ip(addressOf(lab, 'h1'))
  const host = { path: lab.netns('h1') }
  using receiver = openSocket(host, 'udp', target).bind(target, 53)
  const { stdout } = await lab.runIn(container, ['ip', '-j', 'link', 'show', 'eth0'])
  const [{ ifindex }] = JSON.parse(stdout) as [{ ifindex: number }] // iproute2's own form
  using raw = openFrameSocket({ path: container.pin, ifindex: () => ifindex }, 'eth0')
  const mac = pk.mac('02:00:00:00:00:99')
  for (const source of [addressOf(lab, 'h2'), container.addresses[0] ?? '', '198.51.100.7']) {
    const packet = pk.udpPacket({ source: pk.ip(source), destination: target })
    raw.send(pk.ether(FABRIC_MAC, mac, pk.ETH.IPV4, packet))
  }
  using friend = openSocket({ path: lab.netns('h2') }, 'udp', target)
  friend.connect(target, 53)
  friend.send(Buffer.from('friend'))
  const first = receiver.receive(new Uint8Array(100)) ?? new Uint8Array()
  assert.equal(Buffer.from(first).toString(), 'friend')
}
