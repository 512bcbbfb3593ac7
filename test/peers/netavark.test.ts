/**
 * The plug-in as netavark and Podman start it: `<directory>/carrick <verb> [<namespace>]` with an object on standard
 * input, as netavark 1.16 writes it. Debian 12's netavark is 1.4, which knows no plug-ins, so the messages are written
 * here.
 */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import type { LabContainer } from '../../src/lab/lab.ts'
import type { RunResult } from '../../src/lab/processes.ts'
import { addressOf, sharedCluster, shell, until } from '../cluster/harness.ts'

const DIRECTORY = '/usr/libexec/netavark'
const PLUGIN = `${DIRECTORY}/carrick`
const NETWORK = 'blue'
const SUBNETS = ['10.80.0.0/16', 'fd80::/48'] as const
const ID = '2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9'
const RESOLVER = '169.254.77.53'

type Json = Readonly<Record<string, unknown>>

interface Status {
  readonly dns_server_ips: readonly string[]
  readonly interfaces: Readonly<
    Record<
      string,
      {
        readonly mac_address: string
        readonly subnets: readonly { readonly ipnet: string; readonly gateway?: string }[]
      }
    >
  >
}

const withHosts = sharedCluster({ hosts: 2 })
/** What `create` answered: Podman keeps it, on each host. */
const records = new Map<string, Json>()

withHosts('the plug-in tells about itself, without a daemon', async (cluster) => {
  for (const { name } of cluster.lab.hosts) {
    await shell(cluster, name, `mkdir -p ${DIRECTORY} && ln -s ${cluster.executable} ${PLUGIN}`)
  }
  const info = JSON.parse((await plugin(cluster, 'h1', ['info'])).stdout)
  assert.equal(info.api_version, '1.0.0')
  assert.match(info.version, /^\d+\.\d+\.\d+/)
})

withHosts(
  'podman network create makes the network, and takes it on another host',
  async (cluster) => {
    const asked = podmanNetwork({ subnets: SUBNETS.map((subnet) => ({ subnet })) })
    for (const host of ['h1', 'h2']) {
      const made = answerOf(
        await plugin(cluster, host, ['create'], host === 'h1' ? asked : podmanNetwork()),
      )
      // What Podman holds against the answer, and what it must not take into its own hands.
      assert.deepEqual([made['name'], made['id'], made['driver']], [NETWORK, ID, 'carrick'])
      assert.deepEqual(made['ipam_options'], { driver: 'carrick' })
      assert.deepEqual(made['subnets'], [
        { subnet: SUBNETS[0], gateway: '10.80.0.1' },
        { subnet: SUBNETS[1], gateway: 'fd80::1' },
      ])
      assert.equal(made['dns_enabled'], true)
      records.set(host, made)
      await until(`h2 knows ${NETWORK}`, async () => {
        return (await cluster.run('h2', 'network', 'get', NETWORK)).exitCode === 0
      })
    }
    const other = podmanNetwork({ subnets: [{ subnet: '10.99.0.0/16' }] })
    const error = errorOf(await plugin(cluster, 'h1', ['create'], other))
    assert.match(error, /it has subnet 10\.80\.0\.0\/16 and fd80::\/48, not 10\.99\.0\.0\/16/)
  },
)

withHosts(
  'containers on two hosts reach each other by name, and the world their ports',
  async (cluster) => {
    const web = await cluster.lab.container('h1', 'web')
    const client = await cluster.lab.container('h2', 'client')
    const own = { static_ips: ['10.80.0.9'], static_mac: '0a:00:00:00:00:50', aliases: ['www'] }
    const ports = [{ container_port: 80, host_ip: '', host_port: 8080, protocol: 'tcp', range: 1 }]
    const status = await setup(cluster, web, own, { port_mappings: ports })
    const [four, six] = status.interfaces['eth0']?.subnets ?? []
    assert.equal(status.interfaces['eth0']?.mac_address, own.static_mac)
    assert.deepEqual(four, { ipnet: '10.80.0.9/16', gateway: '10.80.0.1' })
    assert.equal(six?.gateway, 'fd80::1')
    assert.deepEqual(status.dns_server_ips, [RESOLVER])
    const inside = await run(cluster, web, 'ip', '-o', 'addr', 'show', 'eth0')
    for (const { ipnet } of [four, six]) assert.ok(inside.includes(` ${ipnet} `), inside)
    assert.ok((await run(cluster, web, 'ip', 'link', 'show', 'eth0')).includes(own.static_mac))

    await setup(cluster, client)
    await until('h2 knows web by its names', async () => {
      const { stdout } = await cluster.lab.runIn(client, ['busybox', 'nslookup', 'www', RESOLVER])
      return stdout.includes('10.80.0.9')
    })
    // What h1 knows of the client it hears from the store, a moment after the client has its network.
    await until('the client reaches web', async () => {
      const argv = ['ping', '-n', '-c', '1', '-W', '1', '10.80.0.9']
      return (await cluster.lab.runIn(client, argv)).exitCode === 0
    })
    await serve(cluster, web)
    const url = `http://${addressOf(cluster.lab, 'h1')}:8080/`
    await until('the port leads there', async () => {
      return (await cluster.lab.run('h2', fetchOf(url))).stdout.trim() === 'web'
    })

    const taken = await cluster.lab.container('h2', 'taken')
    const refused = await plugin(cluster, 'h2', ['setup', taken.netns], containerOf(taken, own))
    assert.match(errorOf(refused), /10\.80\.0\.9/)
    assert.equal((await cluster.lab.runIn(taken, ['ip', 'link', 'show', 'eth0'])).exitCode, 1)
    const twice = await plugin(cluster, 'h1', ['setup', web.netns], containerOf(web))
    assert.match(errorOf(twice), /already exists/)
  },
)

withHosts(
  'of two networks the first has the default route and the ports, in whichever order they come',
  async (cluster) => {
    const both = await cluster.lab.container('h1', 'both')
    await cluster.carrick('h1', 'network', 'create', 'red', '--subnet', '10.81.0.0/16')
    const port = { container_port: 81, host_ip: '', host_port: 8081, protocol: 'tcp', range: 1 }
    const parts = [
      { own: { interface_name: 'eth0' }, more: { network: records.get('h1') } },
      { own: { interface_name: 'eth1' }, more: { network: podmanNetwork({ name: 'red' }) } },
    ]
    for (const order of [parts, parts.toReversed()]) {
      for (const { own, more } of order) {
        await setup(cluster, both, own, { ...more, port_mappings: [port] })
      }
      const published = await cluster.carrick('h1', 'publish', 'ls', '--no-headers')
      const lines = published.split('\n').filter((line) => line.includes(' 8081 '))
      assert.deepEqual([lines.length, lines[0]?.includes('blue/both')], [1, true], published)
      const routes = await run(cluster, both, 'ip', 'route')
      assert.match(routes, /^default via 10\.80\.0\.1 dev eth0 proto \S+ onlink/m)
      assert.match(routes, /^default via 10\.81\.0\.1 dev eth1 proto \S+ metric/m)
      for (const { own, more } of order) {
        const input = containerOf(both, own, more)
        assertSilent(await plugin(cluster, 'h1', ['teardown', both.netns], input))
      }
    }
    await cluster.carrick('h1', 'network', 'rm', 'red')
  },
)

withHosts('what netavark attached is no garbage of a CNI runtime', async (cluster) => {
  const config = {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'carrick' },
    'cni.dev/valid-attachments': [],
  }
  const { exitCode, stdout } = await cluster.lab.run(
    'h1',
    ['env', 'CNI_COMMAND=GC', cluster.executable],
    { input: JSON.stringify(config) },
  )
  assert.equal(exitCode, 0, stdout)
  assert.match(await cluster.carrick('h1', 'endpoint', 'ls'), /\bweb\b/)
})

withHosts(
  'a teardown is content with anything, and is done later without a daemon',
  async (cluster) => {
    const web = containerOf({ host: 'h1', name: 'web' })
    for (let i = 0; i < 2; i++) {
      assertSilent(await plugin(cluster, 'h1', ['teardown', '/run/netns/gone'], web))
    }
    assert.doesNotMatch(await cluster.carrick('h1', 'endpoint', 'ls'), /\bweb\b/)
    assert.equal(await cluster.carrick('h1', 'publish', 'ls', '-q'), '')

    await cluster.killDaemon('h2')
    const client = containerOf({ host: 'h2', name: 'client' })
    assertSilent(await plugin(cluster, 'h2', ['teardown', '/run/netns/client'], client))
    const late = await plugin(cluster, 'h2', ['setup', '/run/netns/client'], client)
    assert.match(errorOf(late), /Cannot do setup without the daemon at .*: nobody answers; /)
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    await until('client is gone', async () => {
      return (await cluster.carrick('h1', 'endpoint', 'ls', '-q')) === ''
    })
  },
)

withHosts('bad input is told in the one key that Podman reads', async (cluster) => {
  const box = await cluster.lab.container('h1', 'box')
  const rows: readonly (readonly [readonly string[], string, RegExp])[] = [
    [['create'], '', /not JSON/],
    [['create'], '[]', /no JSON object/],
    [['create'], JSON.stringify({ ...podmanNetwork(), name: 7 }), /name: text is needed/],
    [['setup', box.netns], '{"container_id":', /not JSON/],
    [['setup', box.netns], JSON.stringify({ container_id: 'x' }), /network: an object/],
    [['setup', box.netns], JSON.stringify(containerOf(box, { interface_name: 'a/b' })), /a\/b/],
    [['setup', '/run/netns/none'], JSON.stringify(containerOf(box)), /\/run\/netns\/none/],
    [['setup', '/etc/hostname'], JSON.stringify(containerOf(box)), /\/etc\/hostname/],
    [
      ['setup', box.netns],
      JSON.stringify(containerOf(box, { static_ips: ['10.9.9.9'] })),
      /10\.9\.9\.9/,
    ],
    [['setup', box.netns], 'x'.repeat(5 * 1024 * 1024), /more than \d+ bytes/],
  ]
  for (const [args, input, words] of rows) {
    assert.match(errorOf(await plugin(cluster, 'h1', args, input)), words)
  }
  assert.equal(await cluster.carrick('h1', 'endpoint', 'ls', '-q'), '')
})

/** Runs the plug-in as netavark does: with its own surroundings, and standard input closed behind the object. */
function plugin(
  cluster: Cluster,
  host: string,
  args: readonly string[],
  input: unknown = '',
): Promise<RunResult> {
  const text = typeof input === 'string' ? input : JSON.stringify(input)
  return cluster.lab.run(host, [PLUGIN, ...args], { input: text })
}

async function setup(
  cluster: Cluster,
  container: LabContainer,
  own: Json = {},
  more: Json = {},
): Promise<Status> {
  const { host, netns } = container
  const input = containerOf(container, own, more)
  return answerOf(await plugin(cluster, host, ['setup', netns], input)) as unknown as Status
}

function podmanNetwork(more: Json = {}): Json {
  return {
    ...{ name: NETWORK, id: ID, driver: 'carrick', created: '2026-01-02T03:04:05.678Z' },
    ...{ ipv6_enabled: false, internal: false, dns_enabled: true },
    ipam_options: { driver: 'host-local' },
    ...more,
  }
}

/** Netavark's own types leave nothing out: what is not said is null. */
function containerOf(
  { host, name }: Pick<LabContainer, 'host' | 'name'>,
  own: Json = {},
  more: Json = {},
): Json {
  return {
    container_id: `${name}${'0'.repeat(60)}`,
    container_name: name,
    port_mappings: null,
    network: { routes: null, network_dns_servers: null, ...records.get(host) },
    network_options: {
      ...{ aliases: null, interface_name: 'eth0', static_ips: null, static_mac: null },
      ...{ options: null, ...own },
    },
    ...more,
  }
}

function answerOf({ stdout, stderr, exitCode }: RunResult): Json {
  assert.equal(exitCode, 0, `${stdout}${stderr}`)
  return JSON.parse(stdout) as Json // one object, by the interface
}

function errorOf({ stdout, exitCode }: RunResult): string {
  const answer = JSON.parse(stdout)
  assert.deepEqual([Object.keys(answer), exitCode], [['error'], 1], stdout)
  return answer.error
}

function assertSilent(result: RunResult): void {
  assert.deepEqual(result, { stdout: '', stderr: '', exitCode: 0 })
}

async function run(
  cluster: Cluster,
  container: LabContainer,
  ...argv: readonly string[]
): Promise<string> {
  const { stdout, stderr, exitCode } = await cluster.lab.runIn(container, argv)
  assert.equal(exitCode, 0, `${argv.join(' ')} in ${container.name}: ${stderr}${stdout}`)
  return stdout
}

/** Serves the container's name at port 80; it ends with the lab. */
async function serve(cluster: Cluster, container: LabContainer): Promise<void> {
  const script = `mkdir -p /run/www && echo ${container.name} > /run/www/index.html && exec busybox httpd -f -p 80 -h /run/www`
  cluster.lab.spawnIn(container, ['sh', '-c', script], { stdio: 'ignore' })
  await until(`${container.name} serves`, async () => {
    return (await cluster.lab.runIn(container, fetchOf('http://127.0.0.1/'))).exitCode === 0
  })
}

function fetchOf(url: string): readonly string[] {
  return ['timeout', '5', 'busybox', 'wget', '-qO-', url]
}
