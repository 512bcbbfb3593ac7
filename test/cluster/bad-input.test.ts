/** What a user may get wrong: each a clear error with its documented exit code, and nothing half done. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { assertRefused, createNetwork, knows, sharedCluster, shell } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'

const INVALID = 2
const NOT_FOUND = 3
const STATE = 4

interface Mistake {
  readonly what: string
  readonly command: string
  readonly exit: number
  readonly words: readonly (string | RegExp)[]
}

const SUBNET = '--subnet 10.70.0.0/16'

const NETWORKS: readonly Mistake[] = [
  {
    what: 'a subnet with host bits is told the right one',
    command: 'network create x --subnet 10.70.3.7/16',
    exit: INVALID,
    words: ['10.70.3.7/16', 'host bits', '10.70.0.0/16'],
  },
  {
    what: 'the same for IPv6',
    command: 'network create x --subnet fd70::7/48',
    exit: INVALID,
    words: ['fd70::7/48', 'fd70::/48'],
  },
  ...['10.70.0.0/33', '10.70.0.0', '10.70.0.256/24', '010.70.0.0/16', 'banana', ''].map(
    (subnet): Mistake => ({
      what: `"${subnet}" is no subnet`,
      command: `network create x --subnet '${subnet}'`,
      exit: INVALID,
      words: [`"${subnet}"`, '10.80.0.0/16'],
    }),
  ),
  {
    what: 'a subnet must hold a gateway and an endpoint',
    command: 'network create x --subnet 10.70.0.0/32',
    exit: INVALID,
    words: ['10.70.0.0/32', 'too small'],
  },
  {
    what: 'loopback addresses are no container’s',
    command: 'network create x --subnet 127.0.0.0/16',
    exit: INVALID,
    words: ['127.0.0.0'],
  },
  {
    what: 'subnets of one network may not overlap',
    command: `network create x ${SUBNET} --subnet 10.70.9.0/24`,
    exit: INVALID,
    words: ['10.70.9.0/24', 'overlaps', '10.70.0.0/16'],
  },
  {
    what: 'a subnet may not overlap that of another network that travels without a number',
    command: 'network create x --subnet 10.80.9.0/24 --force',
    exit: STATE,
    words: ['10.80.9.0/24', '10.80.0.0/16', 'blue', /hint: .*--carrier vxlan/],
  },
  {
    what: 'a carrier is one of four',
    command: `network create x ${SUBNET} --carrier pigeon`,
    exit: INVALID,
    words: ['pigeon', 'vxlan', 'direct', 'local', 'auto'],
  },
  {
    what: 'a network’s name is taken',
    command: `network create blue ${SUBNET}`,
    exit: STATE,
    words: ['blue'],
  },
  {
    what: 'a network’s name has its form',
    command: `network create Blue_1 ${SUBNET}`,
    exit: INVALID,
    words: ['Blue_1'],
  },
  {
    what: 'a gateway lies in a subnet',
    command: `network create x ${SUBNET} --gateway 10.71.0.1`,
    exit: INVALID,
    words: ['10.71.0.1'],
  },
  {
    what: 'an MTU that IPv6 cannot have',
    command: 'network create x --subnet fd70::/48 --mtu 1000',
    exit: INVALID,
    words: ['1000', '1280'],
  },
  {
    what: 'a network that endpoints use stays, and their hosts are named',
    command: 'network rm blue',
    exit: STATE,
    words: ['blue', 'h1', 'h2', /hint: .*endpoint ls/],
  },
  { what: 'an unknown network', command: 'network rm nobody', exit: NOT_FOUND, words: ['nobody'] },
]

const ENDPOINTS: readonly Mistake[] = [
  {
    what: 'an address outside the network',
    command: 'attach blue --netns spare --ip 10.99.0.5',
    exit: INVALID,
    words: ['10.99.0.5', '10.80.0.0/16'],
  },
  {
    what: 'no address at all',
    command: 'attach blue --netns spare --ip 10.80.0.500',
    exit: INVALID,
    words: ['10.80.0.500'],
  },
  ...(
    [
      ['10.80.0.1', 'gateway'],
      ['10.80.0.0', 'network address'],
      ['10.80.255.255', 'broadcast address'],
    ] as const
  ).map(
    ([address, role]): Mistake => ({
      what: `the ${role} is not given`,
      command: `attach blue --netns spare --ip ${address}`,
      exit: INVALID,
      words: [address, role],
    }),
  ),
  {
    what: 'an address in use on this host',
    command: 'attach blue --netns spare --ip 10.80.3.3',
    exit: STATE,
    words: ['10.80.3.3', 'web'],
  },
  {
    what: 'an address in use on another host',
    command: 'attach blue --netns spare --ip 10.80.4.4',
    exit: STATE,
    words: ['10.80.4.4', 'h2'],
  },
  {
    what: 'a name in use',
    command: 'attach blue --netns spare --name web',
    exit: STATE,
    words: ['web'],
  },
  {
    what: 'a name in use on another host',
    command: 'attach blue --netns spare --name far',
    exit: STATE,
    words: ['far'],
  },
  {
    what: 'an unknown network',
    command: 'attach nobody --netns spare',
    exit: NOT_FOUND,
    words: ['nobody'],
  },
  {
    what: 'a namespace that is gone',
    command: 'attach blue --netns /run/netns/gone',
    exit: NOT_FOUND,
    words: ['/run/netns/gone'],
  },
  {
    what: 'a file that is no namespace',
    command: 'attach blue --netns /run/netns/file',
    exit: INVALID,
    words: ['/run/netns/file', 'namespace'],
  },
  {
    what: 'a socket that is no namespace',
    command: 'attach blue --netns /run/carrick/carrick.sock',
    exit: INVALID,
    words: ['carrick.sock', 'namespace'],
  },
  {
    what: 'a directory that is no namespace',
    command: 'attach blue --netns /run/netns',
    exit: INVALID,
    words: ['/run/netns', 'namespace'],
  },
  {
    what: 'a namespace of another kind',
    command: 'attach blue --netns /proc/self/ns/uts',
    exit: INVALID,
    words: ['/proc/self/ns/uts', 'another kind'],
  },
  {
    what: 'a process that is gone',
    command: 'attach blue --pid 4194304',
    exit: NOT_FOUND,
    words: ['4194304'],
  },
  {
    what: 'an interface name that is taken by somebody else',
    command: 'attach blue --netns spare --ifname mine',
    exit: STATE,
    words: ['mine', 'spare'],
  },
  {
    what: 'an interface name that the loopback has',
    command: 'attach blue --netns spare --ifname lo',
    exit: INVALID,
    words: ['lo'],
  },
  {
    what: 'an interface name that another attachment has',
    command: 'attach blue --netns web --ifname eth0',
    exit: STATE,
    words: ['eth0'],
  },
  {
    what: 'an interface name that is too long',
    command: 'attach blue --netns spare --ifname abcdefghijklmnop',
    exit: INVALID,
    words: ['abcdefghijklmnop', '15'],
  },
  {
    what: 'two namespaces at once',
    command: 'attach blue --netns spare --pid 1',
    exit: INVALID,
    words: ['--netns', '--pid'],
  },
  {
    what: 'a label of ours',
    command: 'attach blue --netns spare --label carrick/x=y',
    exit: INVALID,
    words: ['carrick/'],
  },
  {
    what: 'a multicast MAC',
    command: 'attach blue --netns spare --mac 01:00:5e:00:00:01',
    exit: INVALID,
    words: ['01:00:5e:00:00:01'],
  },
  { what: 'an unknown endpoint', command: 'detach nobody', exit: NOT_FOUND, words: ['nobody'] },
  {
    what: 'an endpoint of another host',
    command: 'detach far',
    exit: STATE,
    words: ['far', 'h2'],
  },
]

const RESERVATIONS: readonly Mistake[] = [
  {
    what: 'a reservation outside the pool',
    command: 'reserve blue db 10.81.0.9',
    exit: INVALID,
    words: ['10.81.0.9', '10.80.0.0/16'],
  },
  {
    what: 'a reservation of an address somebody has',
    command: 'reserve blue db 10.80.3.3',
    exit: STATE,
    words: ['10.80.3.3', 'endpoint web on host h1', /^hint: /m],
  },
  {
    what: "a reservation of what another host's endpoint has",
    command: 'reserve blue db 10.80.4.4',
    exit: STATE,
    words: ['10.80.4.4', 'endpoint far on host h2'],
  },
  {
    what: 'a reservation of what is reserved',
    command: 'reserve blue db 10.80.7.7',
    exit: STATE,
    words: ['10.80.7.7', 'reserved for kept'],
  },
  {
    what: 'a second reservation of a family',
    command: 'reserve blue kept 10.80.7.8',
    exit: STATE,
    words: ['10.80.7.7', 'kept', /^hint: carrick reserve rm blue kept$/m],
  },
  {
    what: 'two addresses of a family in one reservation',
    command: 'reserve blue db 10.80.8.8 10.80.8.9',
    exit: INVALID,
    words: ['10.80.8.9', 'second address of the family'],
  },
  {
    what: 'a reservation of the gateway',
    command: 'reserve blue db 10.80.0.1',
    exit: INVALID,
    words: ['10.80.0.1 is the gateway'],
  },
  {
    what: 'a reservation of the network address',
    command: 'reserve blue db 10.80.0.0',
    exit: INVALID,
    words: ['10.80.0.0 is the network address'],
  },
  {
    what: 'a reservation of the broadcast address',
    command: 'reserve blue db 10.80.255.255',
    exit: INVALID,
    words: ['10.80.255.255 is the broadcast address'],
  },
  {
    what: "a reservation of what is a host's own address",
    command: 'reserve blue db 10.80.0.63',
    exit: INVALID,
    words: ['10.80.0.63', 'host'],
  },
  {
    what: 'a reservation of no address',
    command: 'reserve blue db ten',
    exit: INVALID,
    words: ['"ten" is not an address'],
  },
  {
    what: 'a reservation for no name',
    command: 'reserve blue D_B 10.80.8.8',
    exit: INVALID,
    words: ['"D_B" is not a name'],
  },
  {
    what: 'a reservation in no network',
    command: 'reserve nowhere db 10.80.8.8',
    exit: NOT_FOUND,
    words: ['nowhere'],
  },
  {
    what: 'a reservation that is not there',
    command: 'reserve rm blue nobody',
    exit: NOT_FOUND,
    words: ['nobody', /^hint: carrick reserve ls blue$/m],
  },
  {
    what: 'a wish for what is reserved for another name',
    command: 'attach blue --netns spare --ip 10.80.7.7',
    exit: STATE,
    words: ['10.80.7.7', 'reserved', 'kept'],
  },
  {
    what: 'a suggestion of no size',
    command: 'ipam suggest --size 31',
    exit: INVALID,
    words: ['/31', '/8 to /30'],
  },
  {
    what: 'fill levels of no network',
    command: 'ipam show nowhere',
    exit: NOT_FOUND,
    words: ['nowhere'],
  },
]

const withTwoHosts = sharedCluster({ hosts: 2 })

withTwoHosts('a network to make mistakes with', async (cluster) => {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'])
  await cluster.attach('blue', 'h1', 'web', '--ip', '10.80.3.3')
  await cluster.attach('blue', 'h2', 'far', '--ip', '10.80.4.4')
  await cluster.carrick('h1', 'reserve', 'blue', 'kept', '10.80.7.7')
  const spare = await cluster.lab.container('h1', 'spare')
  await cluster.lab.runIn(spare, ['ip', 'link', 'add', 'mine', 'type', 'veth'])
  await shell(cluster, 'h1', 'touch /run/netns/file')
  await knows(cluster, 'h1', 'far')
})

for (const mistake of [...NETWORKS, ...ENDPOINTS, ...RESERVATIONS]) {
  withTwoHosts(`refused: ${mistake.what}`, async (cluster) => {
    const before = await everything(cluster)
    const argv = ['sh', '-c', `exec ${cluster.executable} ${mistake.command}`]
    assertRefused(await cluster.lab.run('h1', argv), mistake.exit, ...mistake.words)
    assert.deepEqual(await everything(cluster), before)
  })
}

withTwoHosts('after all mistakes the kernel holds what the model says', async (cluster) => {
  await shell(cluster, 'h1', 'rm /run/netns/file; nsenter --net=/run/netns/spare ip link del mine')
  await assertKernelIsModel(cluster, 'h1')
  const { status } = await cluster.json<{ status: { failures: unknown[] } }>('h1', 'status')
  assert.deepEqual(status.failures, [])
})

/** What the cluster knows of networks and endpoints, without ages. */
async function everything(cluster: Cluster): Promise<string> {
  const [networks, endpoints] = await Promise.all([
    cluster.carrick('h1', 'network', 'ls', '-o', 'json'),
    cluster.carrick('h1', 'endpoint', 'ls', '-o', 'json'),
  ])
  return networks + endpoints
}
