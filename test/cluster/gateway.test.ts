/**
 * Who reaches whom through a gateway, and whom the server sees: containers and their host, the other host,
 * a machine outside, published ports from everywhere. Every way is tried over TCP and UDP, IPv4 and IPv6.
 */

import assert from 'node:assert/strict'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import type { Family, IP } from '../../src/net/ip.ts'
import { ip } from '../../src/net/testing.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'
import { addressOf, createNetwork, knows, sharedCluster, shell, until } from './harness.ts'

const SERVED = 80
const PUBLISHED = 8080
const CLOSED_MS = 300
const SOL_SOCKET = 1
const SO_REUSEADDR = 2

/** h3 belongs to nobody: the machine outside. */
const withHosts = sharedCluster({ hosts: 3, members: 2 })
const containers = new Map<string, Container>()

/** A container's name or a host's. */
type Where = string

interface Way {
  readonly what: string
  readonly from: Where
  /** Whom the client asks; the server listens where `server` says, or there. */
  readonly to: Where
  readonly port?: number
  readonly server?: Where
  /** Whom the server sees: a container, a host's address outside or in network blue; undefined: nobody. */
  readonly seen: Where | { readonly hostInBlue: Where } | undefined
}

const WAYS: readonly Way[] = [
  { what: 'the host asks its container', from: 'h1', to: 'a', seen: { hostInBlue: 'h1' } },
  { what: 'the host asks a container elsewhere', from: 'h1', to: 'c', seen: { hostInBlue: 'h1' } },
  { what: 'a container asks outside', from: 'a', to: 'h3', seen: 'h1' },
  { what: 'a container asks its host', from: 'a', to: 'h1', seen: 'a' },
  { what: 'a container asks the other host', from: 'a', to: 'h2', seen: 'h1' },
  { what: 'a container of a routed network asks outside', from: 'plain', to: 'h3', seen: 'plain' },
  { what: 'outside asks a container of a routed network', from: 'h3', to: 'plain', seen: 'h3' },
  { what: 'outside knows the way to a container', from: 'h3', to: 'a', seen: undefined },
  { what: 'a container asks one of another network', from: 'x', to: 'a', seen: undefined },
  { what: 'an internal container asks outside', from: 'quiet', to: 'h3', seen: undefined },
  { what: 'an internal container asks its host', from: 'quiet', to: 'h1', seen: undefined },
  { what: 'the host asks an internal container', from: 'h1', to: 'quiet', seen: undefined },
  ...(
    [
      ['outside', 'h3', 'h3'],
      ['the other host', 'h2', 'h2'],
      ['the host itself', 'h1', 'h1'],
      ['a neighbour', 'b', { hostInBlue: 'h1' }],
      ['the container itself', 'a', { hostInBlue: 'h1' }],
      ['a container of another network', 'x', { hostInBlue: 'h1' }],
      ['a container elsewhere', 'c', 'h2'],
    ] as const
  ).map(([who, from, seen]): Way => {
    const what = `${who} asks the published port`
    return { what, from, to: 'h1', port: PUBLISHED, server: 'a', seen }
  }),
  // What h1 passes on to another machine's port of that number is none of its business.
  { what: 'the same port elsewhere', from: 'a', to: 'h3', port: PUBLISHED, seen: 'h1' },
]

withHosts('containers, and a machine outside that knows ways to them', async (cluster) => {
  const networks = [
    ['blue', '81', '--carrier', 'vxlan'],
    ['red', '82', '--carrier', 'vxlan'],
    ['quiet', '83', '--internal'],
    ['plain', '84', '--no-masquerade'],
  ] as const
  for (const [name, number, ...flags] of networks) {
    const subnets = ['--subnet', `10.${number}.0.0/16`, '--subnet', `fd${number}::/48`]
    await createNetwork(cluster, name, [...subnets, ...flags], ['h1', 'h2'])
  }
  for (const [network, host, name] of [
    ['blue', 'h1', 'a'],
    ['blue', 'h1', 'b'],
    ['blue', 'h2', 'c'],
    ['red', 'h1', 'x'],
    ['quiet', 'h1', 'quiet'],
    ['plain', 'h1', 'plain'],
  ] as const) {
    containers.set(name, await cluster.attach(network, host, name))
  }
  const ports = [`${PUBLISHED}:${SERVED}`, `${PUBLISHED}:${SERVED}/udp`]
  await cluster.carrick('h1', 'publish', 'add', 'a', ...ports)
  await knows(cluster, 'h1', 'c')
  await knows(cluster, 'h2', 'a')
  await shell(
    cluster,
    'h3',
    `for n in 81 84; do
      ip route add 10.$n.0.0/16 via ${addressOf(cluster.lab, 'h1')}
      ip -6 route add fd$n::/48 via ${addressOf(cluster.lab, 'h1', 6)}
    done`,
  )
  await until('the hosts know each other in blue', async () => {
    return (await shell(cluster, 'h1', 'ip -4 -br address show ckg1')).includes('10.81.')
  })
})

for (const way of WAYS) {
  withHosts(way.what, async (cluster) => {
    for (const family of [4, 6] as const) {
      for (const protocol of ['tcp', 'udp'] as const) {
        const seen = ask(cluster, way, family, protocol)
        const told = `${protocol} over IPv${family}: ${way.what}: the server saw ${seen}`
        if (way.seen === undefined) assert.equal(seen, undefined, told)
        else if (typeof way.seen === 'string') {
          assert.equal(seen, addressAt(cluster, way.seen, family), told)
        } else {
          const own = await shell(cluster, way.seen.hostInBlue, 'ip -br address show ckg1')
          assert.ok(seen !== undefined && own.includes(` ${seen}/`), told)
        }
      }
    }
  })
}

withHosts('the gateway answers for its host', async (cluster) => {
  const { lab } = cluster
  for (const gateway of ['10.81.0.1', 'fd81::1']) {
    const server = { path: lab.netns('h1') }
    const seen = exchange(place(cluster, 'a'), ip(gateway), SERVED, server, ip(gateway), 'tcp')
    assert.ok(containers.get('a')?.addresses.includes(seen ?? ''), `${gateway}: saw ${seen}`)
  }
})

withHosts('addresses of the cloud are closed until a network is opened', async (cluster) => {
  await shell(cluster, 'h1', 'ip address add 169.254.169.254/32 dev lo')
  const asked = (): string | undefined => {
    const there = { path: cluster.lab.netns('h1') }
    const metadata = ip('169.254.169.254')
    return exchange(place(cluster, 'a'), metadata, SERVED, there, metadata, 'tcp')
  }
  assert.equal(asked(), undefined)
  assert.match(await cluster.carrick('h1', 'drops'), /closed/)
  await cluster.carrick('h1', 'network', 'set', 'blue', '--open', 'metadata', '--wait')
  assert.ok(asked() !== undefined)
  await shell(cluster, 'h1', 'ip address del 169.254.169.254/32 dev lo')
})

withHosts("the host's loopback is closed until a network is opened", async (cluster) => {
  const there = { path: cluster.lab.netns('h1') }
  const asked = (protocol: 'tcp' | 'udp'): string | undefined => {
    const [gateway, loopback] = [ip('10.81.0.1'), ip('127.0.0.1')]
    return exchange(place(cluster, 'a'), gateway, 7070, there, loopback, protocol)
  }
  assert.equal(asked('tcp'), undefined)
  const open = ['network', 'set', 'blue', '--open', 'metadata', '--open', 'host-loopback']
  await cluster.carrick('h1', ...open, '--wait')
  for (const protocol of ['tcp', 'udp'] as const) {
    assert.ok(containers.get('a')?.addresses.includes(asked(protocol) ?? ''), protocol)
  }
  // Only by the gateway's address, and only in that network.
  const direct = ip('127.0.0.1')
  assert.equal(
    exchange(place(cluster, 'x'), ip('10.82.0.1'), 7070, there, direct, 'tcp'),
    undefined,
  )
})

/** Whom the server saw when the client asked; undefined when nothing arrived. */
function ask(
  cluster: Cluster,
  { from, to, server = to, port = SERVED }: Way,
  family: Family,
  protocol: 'tcp' | 'udp',
): string | undefined {
  return exchange(
    place(cluster, from),
    ip(addressAt(cluster, to, family)),
    port,
    place(cluster, server),
    ip(addressAt(cluster, server, family)),
    protocol,
    server === to ? port : SERVED,
  )
}

function exchange(
  from: { readonly path: string },
  to: IP,
  port: number,
  there: { readonly path: string },
  address: IP,
  protocol: 'tcp' | 'udp',
  served = port,
): string | undefined {
  using server = openSocket(there, protocol, address)
    .timeout(CLOSED_MS)
    .option(SOL_SOCKET, SO_REUSEADDR, 1)
    .bind(address, served)
  if (protocol === 'tcp') server.listen()
  using client = openSocket(from, protocol, to).timeout(CLOSED_MS)
  if (!client.connect(to, port)) return undefined
  client.send(Buffer.from('question'))
  if (protocol === 'udp') {
    const asked = server.receiveFrom()
    if (asked === undefined) return undefined
    const [peer = '', number = ''] = asked.from.split(' ')
    server.sendTo(Buffer.from('answer'), ip(peer), Number(number))
    return answered(client) ? peer : undefined
  }
  using accepted = server.accept()
  accepted.send(Buffer.from('answer'))
  return answered(client) ? accepted.peer().split(' ')[0] : undefined
}

function answered(client: { receive(buffer: Uint8Array): Uint8Array | undefined }): boolean {
  return Buffer.from(client.receive(new Uint8Array(16)) ?? []).toString() === 'answer'
}

function place({ lab }: Cluster, where: Where): { readonly path: string } {
  return { path: containers.get(where)?.pin ?? lab.netns(where) }
}

function addressAt({ lab }: Cluster, where: Where, family: Family): string {
  const container = containers.get(where)
  if (container === undefined) return addressOf(lab, where, family)
  return container.addresses[family === 4 ? 0 : 1] ?? ''
}
