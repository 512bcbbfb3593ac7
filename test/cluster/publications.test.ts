/** Published ports as a user meets them: made, shown, refused, held, taken back and found again after a restart. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { containerPath } from '../../src/lab/paths.ts'
import { ip as ipOf } from '../../src/net/testing.ts'
import { openSocket, type Socket } from '../kernel/datapath/sockets.ts'
import {
  addressOf,
  assertRefused,
  createNetwork,
  knows,
  sharedCluster,
  shell,
  until,
} from './harness.ts'

const INVALID = 2
const NOT_FOUND = 3
const STATE = 4

interface Port {
  readonly metadata: { readonly id: string }
  readonly spec: { readonly hostPort: number; readonly protocol: string; readonly endpoint: string }
  readonly status: { readonly reach: string; readonly addresses: readonly string[] }
}

const withTwoHosts = sharedCluster({ hosts: 2 })

async function ports(cluster: Cluster, host = 'h1'): Promise<readonly string[]> {
  const names = await cluster.carrick(host, 'publish', 'ls', '-o', 'name', '--sort-by', 'id')
  return names.split('\n').filter((name) => name !== '')
}

/** A server of this process in a host, on every IPv4 address. */
function occupy(cluster: Cluster, protocol: 'tcp' | 'udp', port: number): Socket {
  const every = ipOf('0.0.0.0')
  const socket = openSocket({ path: cluster.lab.netns('h1') }, protocol, every).bind(every, port)
  return protocol === 'tcp' ? socket.listen() : socket
}

withTwoHosts('networks and containers to publish', async (cluster) => {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
  await createNetwork(cluster, 'four', ['--subnet', '10.81.0.0/16'])
  await createNetwork(cluster, 'quiet', ['--subnet', '10.82.0.0/16', '--internal'])
  await cluster.attach('blue', 'h1', 'web', '--publish', '8080:80', '--publish', '9000-9002:1-3')
  await cluster.attach('four', 'h1', 'v4')
  await cluster.attach('quiet', 'h1', 'shy')
  await cluster.attach('blue', 'h2', 'far', '--publish', '8080:80')
  await cluster.lab.container('h1', 'spare')
  await knows(cluster, 'h1', 'far')
})

withTwoHosts('ports are shown with who can reach them, on every host', async (cluster) => {
  const h1 = addressOf(cluster.lab, 'h1')
  const wishes = ['127.0.0.1:5353:53/udp', '[::1]:5353:53/udp', `${h1}:8443:443`, '8081:80/sctp']
  await cluster.carrick('h1', 'publish', 'add', 'web', ...wishes)
  await cluster.carrick('h1', 'publish', 'add', 'v4', '8082:80')
  const table = await cluster.carrick('h1', 'publish', 'ls', '--host', 'h1')
  for (const row of [
    /h1 +all +8080 +tcp +blue\/web 10\.80\.\S+:80 \[fd80:\S+\]:80 +any machine /,
    /h1 +all +9000-9002 +tcp +blue\/web 10\.80\.\S+:1-3 /,
    /h1 +127\.0\.0\.1 +5353 +udp +blue\/web 10\.80\.\S+:53 +this host only/,
    /h1 +::1 +5353 +udp +blue\/web \[fd80:\S+\]:53 +this host only/,
    /8443 +tcp .* machines that reach \S+ /,
    /8081 +sctp /,
    /8082 +tcp +four\/v4 \S+:80 +any machine, only over IPv4/,
  ]) {
    assert.match(table, row)
  }
  await until('h2 knows them', async () => (await ports(cluster, 'h2')).length === 8)
  assert.match(await cluster.carrick('h2', 'publish', 'ls'), /127\.0\.0\.1 .* host h1 only/)
  const endpoint = await cluster.carrick('h1', 'endpoint', 'get', 'web')
  assert.match(endpoint, /8080\/tcp->80,9000-9002\/tcp->1-3,127\.0\.0\.1:5353\/udp->53/)
})

withTwoHosts('a port leads to its container, and the client keeps its address', async (cluster) => {
  const { lab } = cluster
  const { spec } = await cluster.json<{ spec: { addresses: string[] } }>(
    ...(['h1', 'endpoint', 'get', 'web'] as const),
  )
  const [h1, h2] = [{ path: lab.netns('h1') }, { path: lab.netns('h2') }]
  for (const [i, family] of ([4, 6] as const).entries()) {
    const server = ipOf(spec.addresses[i] ?? '')
    using listener = openSocket({ path: containerPath(lab.name, 'h1', 'web') }, 'tcp', server)
    listener.bind(server, 80).listen()
    const to = ipOf(addressOf(lab, 'h1', family))
    const loopback = ipOf(family === 4 ? '127.0.0.1' : '::1')
    for (const [name, from, address] of [
      ['h2', h2, to],
      ['h1', h1, to],
      ['h1 by loopback', h1, loopback],
    ] as const) {
      using client = openSocket(from, 'tcp', address)
      assert.ok(client.connect(address, 8080), `${name} reaches ${address}`)
      using accepted = listener.accept()
      if (name === 'h2') {
        assert.match(accepted.peer(), new RegExp(`^${addressOf(lab, 'h2', family)} `))
      }
      client.send(Buffer.from(name))
      assert.equal(Buffer.from(accepted.receive(new Uint8Array(99)) ?? []).toString(), name)
    }
  }
})

withTwoHosts('every address of one family is published apart from the other', async (cluster) => {
  const { lab } = cluster
  const wishes = ['0.0.0.0:8444:90', '[::]:8444:91']
  await cluster.carrick('h1', 'publish', 'add', 'web', ...wishes)
  const table = await cluster.carrick('h1', 'publish', 'ls', '--host', 'h1')
  assert.match(
    table,
    /h1 +0\.0\.0\.0 +8444 +tcp +blue\/web 10\.80\.\S+:90 +any machine, only over IPv4/,
  )
  assert.match(table, /h1 +:: +8444 +tcp +blue\/web \[fd80:\S+\]:91 +any machine, only over IPv6/)
  const { spec } = await cluster.json<{ spec: { addresses: string[] } }>(
    ...(['h1', 'endpoint', 'get', 'web'] as const),
  )
  const [h1, h2] = [{ path: lab.netns('h1') }, { path: lab.netns('h2') }]
  for (const [i, family] of ([4, 6] as const).entries()) {
    const server = ipOf(spec.addresses[i] ?? '')
    using listener = openSocket({ path: containerPath(lab.name, 'h1', 'web') }, 'tcp', server)
    listener.bind(server, 90 + i).listen()
    const loopback = ipOf(family === 4 ? '127.0.0.1' : '::1')
    for (const [from, address] of [
      [h2, ipOf(addressOf(lab, 'h1', family))],
      [h1, loopback],
    ] as const) {
      using client = openSocket(from, 'tcp', address)
      assert.ok(client.connect(address, 8444), `${address} leads there`)
      listener.accept()[Symbol.dispose]()
    }
  }
  const own = addressOf(lab, 'h1')
  for (const wish of ['8444:80', '127.0.0.1:8444:80', `${own}:8444:80`, '[::1]:8444:80']) {
    const result = await cluster.run('h1', 'publish', 'add', 'web', wish)
    assertRefused(result, STATE, '8444/tcp is published for endpoint web')
  }
  await cluster.carrick('h1', 'publish', 'rm', '0.0.0.0:8444/tcp', '[::]:8444/tcp')
})

withTwoHosts('a chosen port is shown, and free', async (cluster) => {
  const { spec, metadata } = await cluster.json<Port>('h1', 'publish', 'add', 'web', '0:80')
  assert.ok(spec.hostPort > 1023, `${spec.hostPort}`)
  assert.throws(() => occupy(cluster, 'tcp', spec.hostPort), /bind failed/)
  await cluster.carrick('h1', 'publish', 'rm', metadata.id)
  occupy(cluster, 'tcp', spec.hostPort)[Symbol.dispose]()
})

interface WrongPort {
  readonly what: string
  readonly port: string
  /** Endpoint it is asked for; absent: asked for a published one and with an attach. */
  readonly to?: string
  readonly exit: number
  readonly words: readonly (string | RegExp)[]
}

const WRONG_PORTS: readonly WrongPort[] = [
  { what: 'ranges of unequal length', port: '8000-8010:80', exit: INVALID, words: [/11 .* for 1/] },
  { what: 'port 0 in a range', port: '0-0:80-81', exit: INVALID, words: ['port 0', '0-0'] },
  { what: 'port 0 of a container', port: '80:0', exit: INVALID, words: ['port 0'] },
  { what: 'a port beyond the last', port: '65536:80', exit: INVALID, words: ['65536', '65535'] },
  { what: 'a protocol with a slip', port: '80:80/tpc', exit: INVALID, words: ['perhaps "tcp"'] },
  { what: 'a protocol without ports', port: '80:80/icmp', exit: INVALID, words: ['udp', 'sctp'] },
  { what: 'no port at all', port: 'http', exit: INVALID, words: ['"http"'] },
  { what: 'IPv6 without brackets', port: '::1:80:80', exit: INVALID, words: ['brackets'] },
  {
    what: 'an address that the host does not have',
    ...{ port: '203.0.113.9:80:80', exit: INVALID },
    words: ['203.0.113.9', '127.0.0.1'],
  },
  {
    what: 'an IPv6 address for a container with IPv4 only',
    ...{ to: 'v4', port: '[::1]:80:80', exit: INVALID },
    words: ['::1', 'IPv4 only'],
  },
  {
    what: 'a port that is published',
    ...{ to: 'v4', port: '8080:80', exit: STATE },
    words: ['8080/tcp', 'endpoint web', 'network blue', /hint: carrick publish ls/],
  },
  {
    what: 'one address of a port that is published on all',
    ...{ to: 'v4', port: '127.0.0.1:9001:80', exit: STATE },
    words: ['9000-9002/tcp', 'web'],
  },
  { what: 'an internal network', to: 'shy', port: '80:80', exit: INVALID, words: ['internal'] },
  { what: 'an endpoint of another host', to: 'far', port: '80:80', exit: STATE, words: ['h2'] },
  { what: 'an unknown endpoint', to: 'no', port: '80:80', exit: NOT_FOUND, words: ['"no"'] },
]

const MISTAKES: readonly (Omit<WrongPort, 'port'> & { readonly command: string })[] = [
  {
    what: 'a port twice in one attach',
    command: 'attach blue --netns spare --publish 80:80 --publish 80:81',
    exit: INVALID,
    words: ['80/tcp', 'twice'],
  },
  {
    what: 'a port for an attach to an internal network',
    command: 'attach quiet --netns spare --publish 80:80',
    exit: INVALID,
    words: ['quiet', 'internal'],
  },
  {
    what: 'a network that a published port leads into',
    command: 'network rm blue',
    exit: STATE,
    words: ['8080/tcp of h1', '8080/tcp of h2'],
  },
  { what: 'a port that is not', command: 'publish rm 1/tcp', exit: NOT_FOUND, words: ['1/tcp'] },
  {
    what: 'a port of two addresses',
    command: 'publish rm 5353/udp',
    exit: INVALID,
    words: ['127.0.0.1:5353/udp', '[::1]:5353/udp'],
  },
]

function mistakesOf({ to, port, ...rest }: WrongPort): typeof MISTAKES {
  const add = { ...rest, command: `publish add ${to ?? 'web'} '${port}'` }
  if (to !== undefined) return [add]
  const command = `attach blue --netns spare --publish '${port}'`
  return [add, { ...rest, what: `${rest.what}, with an attach`, command }]
}

for (const { what, command, exit, words } of [...WRONG_PORTS.flatMap(mistakesOf), ...MISTAKES]) {
  withTwoHosts(`refused: ${what}`, async (cluster) => {
    const before = await ports(cluster)
    const argv = ['sh', '-c', `exec ${cluster.executable} ${command}`]
    assertRefused(await cluster.lab.run('h1', argv), exit, ...words)
    assert.deepEqual(await ports(cluster), before)
    assert.doesNotMatch(await cluster.carrick('h1', 'endpoint', 'ls'), /spare/)
  })
}

withTwoHosts('a port that a program has is refused with its name', async (cluster) => {
  for (const protocol of ['tcp', 'udp'] as const) {
    using _socket = occupy(cluster, protocol, 7777)
    const result = await cluster.run('h1', 'publish', 'add', 'web', `7777:80/${protocol}`)
    assertRefused(result, STATE, `7777/${protocol}`, `(pid ${process.pid})`)
  }
  await cluster.carrick('h1', 'publish', 'add', 'web', '7777:80')
  await cluster.carrick('h1', 'publish', 'rm', '7777/tcp')
})

withTwoHosts('a container goes with its ports, and the next one gets them', async (cluster) => {
  const flags = ['--netns', 'spare', '--name', 'spare', '--publish', '7000-7001:80-81']
  for (let round = 0; round < 3; round++) {
    await cluster.carrick('h1', 'attach', 'blue', ...flags)
    assert.ok((await ports(cluster)).includes('7000-7001/tcp'))
    await cluster.carrick('h1', 'detach', 'spare')
    assert.ok(!(await ports(cluster)).includes('7000-7001/tcp'))
  }
  occupy(cluster, 'tcp', 7000)[Symbol.dispose]()
})

withTwoHosts('ports of endpoints are taken back together', async (cluster) => {
  await cluster.carrick('h1', 'publish', 'add', 'v4', '7100:80', '7101:80')
  const gone = await cluster.carrick('h1', 'publish', 'rm', 'v4')
  assert.equal(gone.trim().split('\n').length, 3)
  await cluster.carrick('h1', 'publish', 'add', 'v4', '8082:80')
})

withTwoHosts(
  'after a crash ports are held again; a taken one is told until it is free',
  async (cluster) => {
    const before = await ports(cluster)
    await cluster.killDaemon('h1')
    const socket = occupy(cluster, 'tcp', 8080)
    cluster.startDaemon('h1')
    await cluster.settled('h1')
    assert.deepEqual(await ports(cluster), before)
    const status = (): Promise<string> => cluster.carrick('h1', 'status')
    assert.match(await status(), new RegExp(`failure:.* 8080/tcp.*\\(pid ${process.pid}\\)`))
    assert.match(await cluster.carrick('h1', 'publish', 'ls', '-o', 'wide'), / 8080 .* failed /)
    assert.throws(() => occupy(cluster, 'tcp', 9001), /bind failed/)
    socket[Symbol.dispose]()
    await until('the port is held again', async () => !/failure:/.test(await status()))
    assert.throws(() => occupy(cluster, 'tcp', 8080), /bind failed/)
  },
)

withTwoHosts('a publication stays while the other host is away', async (cluster) => {
  await cluster.killDaemon('h1')
  await cluster.carrick('h2', 'publish', 'add', 'far', '7200:80')
  assert.ok((await ports(cluster, 'h2')).includes('7200/tcp'))
  cluster.startDaemon('h1')
  await until('h1 hears of it', async () => {
    const answer = await cluster.run('h1', 'publish', 'ls', '-o', 'name', '--host', 'h2')
    return answer.stdout.includes('7200/tcp')
  })
})

withTwoHosts('nothing is left when all are detached', async (cluster) => {
  await shell(cluster, 'h1', `${cluster.executable} detach web v4 shy`)
  await cluster.carrick('h2', 'detach', 'far')
  await until('h1 knows of none', async () => (await ports(cluster)).length === 0)
  await until('the network can go', async () => {
    return (await cluster.run('h1', 'network', 'rm', 'blue')).exitCode === 0
  })
})
