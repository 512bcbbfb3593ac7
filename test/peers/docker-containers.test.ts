/** Containers of a real engine: rows C and D of the acceptance list, as far as one engine has them. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'
import { type DockerEngine, IMAGE } from '../../src/lab/docker-engine.ts'
import { ip } from '../../src/net/testing.ts'
import { addressOf, shell, until } from '../cluster/harness.ts'
import { openSocket } from '../kernel/datapath/sockets.ts'
import {
  askEngine,
  assertRefused,
  FOREVER,
  inside,
  OURS,
  pings,
  run,
  runServer,
  settingsOf,
  sharedEngines,
} from './docker-harness.ts'

const withEngine = sharedEngines({ hosts: 2, members: 1 })
/** Of the second host, which is no member: the world outside. */
const WORLD = 'h2'

withEngine('C1: what inspect says and what is inside', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  const { IPAddress, MacAddress, Gateway, EndpointID } = await settingsOf(docker, 'c1', 'n1')
  assert.match(IPAddress, /^10\./)
  assert.match(Gateway, /^10\./)
  assert.match(EndpointID, /^[0-9a-f]{64}$/)
  assert.deepEqual(await devicesOf(docker, 'c1'), ['eth0', 'lo'])
  const link = await inside(docker, 'c1', 'ip', 'addr', 'show', 'eth0')
  assert.ok(link.includes(MacAddress), link)
  assert.ok(link.includes(`${IPAddress}/20`), link)
  const listed = await cluster.carrick('h1', 'endpoint', 'ls', '-o', 'wide')
  assert.ok(listed.includes(IPAddress) && listed.includes(EndpointID), listed)
})

withEngine('C2: containers, gateway and host reach each other', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n1')
  const { IPAddress, Gateway } = await settingsOf(docker, 'c1', 'n1')
  assert.ok(await pings(docker, 'c2', IPAddress))
  assert.ok(await pings(docker, 'c2', 'c1'))
  assert.ok(await pings(docker, 'c1', Gateway))
  assert.ok(await pings(docker, 'c1', addressOf(cluster.lab, WORLD)))
  await shell(cluster, 'h1', `ping -c 1 -W 2 ${IPAddress}`)
})

withEngine('C3: connected and disconnected while running', async ({ docker }) => {
  await docker.docker(...OURS, 'n1')
  await docker.docker(...OURS, 'n2')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n2')
  for (const [i, flags] of [[], ['-f'], []].entries()) {
    await docker.docker('network', 'connect', 'n2', 'c1')
    assert.deepEqual(await devicesOf(docker, 'c1'), ['eth0', `eth${i + 1}`, 'lo'])
    assert.ok(await pings(docker, 'c1', 'c2'))
    await docker.docker('network', 'disconnect', ...flags, 'n2', 'c1')
    assert.deepEqual(await devicesOf(docker, 'c1'), ['eth0', 'lo'])
  }
})

withEngine('C4: connected twice to one network', async ({ docker }) => {
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  const before = await settingsOf(docker, 'c1', 'n1')
  await assertRefused(docker, ['network', 'connect', 'n1', 'c1'], 'already exists')
  assert.deepEqual(await settingsOf(docker, 'c1', 'n1'), before)
})

withEngine('C6: a chosen MAC address', async (stage) => {
  const { docker } = stage
  await docker.docker(...OURS, 'n1')
  await docker.docker(...OURS, 'n2')
  const mac = '02:11:22:33:44:55'
  await askEngine(stage, '/v1.41/containers/create?name=c1', {
    Image: IMAGE,
    Cmd: FOREVER,
    MacAddress: mac,
    HostConfig: { NetworkMode: 'n1' },
  })
  await docker.docker('start', 'c1')
  await run(docker, 'c2', '--network', 'n1')
  assert.equal((await settingsOf(docker, 'c1', 'n1')).MacAddress, mac)
  assert.ok((await inside(docker, 'c1', 'ip', 'link', 'show', 'eth0')).includes(mac))
  assert.ok(await pings(docker, 'c2', 'c1'))
  await docker.docker('network', 'connect', 'n2', 'c1')
  assert.notEqual((await settingsOf(docker, 'c1', 'n2')).MacAddress, mac)
})

withEngine('C8: stop, start, restart, kill, pause, rename, rm', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'n1')
  for (const verb of [['stop', '-t', '0'], ['kill']]) {
    await docker.docker(...verb, 'c1')
    assert.equal(await endpointCount(cluster), 1)
    await docker.docker('start', 'c1')
    assert.ok(await pings(docker, 'c2', 'c1'))
  }
  await docker.docker('restart', '-t', '0', 'c1')
  await docker.docker('rename', 'c1', 'other')
  assert.ok(await pings(docker, 'c2', 'other'))
  await docker.docker('pause', 'other')
  await docker.docker('unpause', 'other')
  assert.ok(await pings(docker, 'c2', 'other'))
  await docker.docker('run', '--rm', '--network', 'n1', IMAGE, 'ping', '-c', '1', 'other')
  await docker.docker('rm', '-f', 'other', 'c2')
  assert.equal(await endpointCount(cluster), 0)
})

withEngine('C9: a container in another’s namespace', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', 'n1')
  await run(docker, 'c2', '--network', 'container:c1')
  assert.equal(await endpointCount(cluster), 1)
  assert.equal(await inside(docker, 'c2', 'ip', 'addr'), await inside(docker, 'c1', 'ip', 'addr'))
})

withEngine('C10: a network by its id', async ({ docker }) => {
  const id = await docker.docker(...OURS, 'n1')
  await run(docker, 'c1', '--network', id)
  await run(docker, 'c2', '--network', id.slice(0, 12))
  assert.ok(await pings(docker, 'c1', 'c2'))
})

withEngine('C11: options of one endpoint', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await docker.docker(...OURS, 'n2')
  await run(docker, 'c1', '--network', 'n1')
  const options = ['--driver-opt', 'carrick.name=web', '--driver-opt', 'carrick.label.tier=front']
  await docker.docker('network', 'connect', ...options, 'n2', 'c1')
  const { items } = await cluster.json<{
    items: readonly { metadata: { name?: string; labels: Readonly<Record<string, string>> } }[]
  }>('h1', 'endpoint', 'ls')
  const named = items.filter(({ metadata }) => metadata.name === 'web')
  assert.equal(named.length, 1)
  assert.equal(named[0]?.metadata.labels['tier'], 'front')
})

withEngine('C12: a step that fails says what to change, and can be done again', async (stage) => {
  const { docker } = stage
  await docker.docker(...OURS, 'n1')
  await docker.docker(...OURS, 'n2')
  await run(docker, 'c1', '--network', 'n1')
  const wrong = ['network', 'connect', '--driver-opt', 'carrick.nam=web', 'n2', 'c1']
  await assertRefused(docker, wrong, 'carrick.nam is not known: did you mean carrick.name?')
  assert.deepEqual(await devicesOf(docker, 'c1'), ['eth0', 'lo'])
  await docker.docker('network', 'connect', '--driver-opt', 'carrick.name=web', 'n2', 'c1')
  const busy = ['run', '-d', '--name', 'c2', '--network', 'n1', '-p', '8080:80', IMAGE, ...FOREVER]
  await runServer(docker, 'c3', '--network', 'n1', '-p', '8080:80')
  await assertRefused(docker, busy, '8080/tcp')
  assert.equal(await docker.docker('inspect', '--format', '{{.State.Status}}', 'c2'), 'created')
  await docker.docker('rm', '-f', 'c3')
  await docker.docker('start', 'c2')
})

withEngine('D6: a published port, from everywhere', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await docker.docker(...OURS, 'n2')
  await runServer(docker, 'web', '--network', 'n1', '-p', '8080:80')
  await run(docker, 'c2', '--network', 'n2')
  const h1 = addressOf(cluster.lab, 'h1')
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8080/`), 'web')
  assert.equal(await fetchFrom(cluster, 'h1', `http://${h1}:8080/`), 'web')
  assert.equal(await fetchFrom(cluster, 'h1', 'http://127.0.0.1:8080/'), 'web')
  assert.equal(await inside(docker, 'c2', 'wget', '-qO-', `http://${h1}:8080/`), 'web')
  assert.match(await cluster.carrick('h1', 'publish', 'ls'), /8080 +tcp/)
  await docker.docker('stop', '-t', '0', 'web')
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8080/`), undefined)
  assert.doesNotMatch(await cluster.carrick('h1', 'publish', 'ls'), /8080/)
})

withEngine('D7: on one address, over UDP, a range, and any port', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  const ports = ['127.0.0.1:8081:80', '5353:53/udp', '9000-9001:9000-9001', '0.0.0.0:8082:80', '80']
  const flags = ports.flatMap((text) => ['-p', text])
  await runServer(docker, 'web', '--network', 'n1', ...flags)
  const h1 = addressOf(cluster.lab, 'h1')
  assert.equal(await fetchFrom(cluster, 'h1', 'http://127.0.0.1:8081/'), 'web')
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8081/`), undefined)
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8082/`), 'web')
  const { items } = await cluster.json<{ items: readonly { spec: Published }[] }>(
    ...(['h1', 'publish', 'ls'] as const),
  )
  const shown = items.map(({ spec }) => `${spec.hostAddress ?? '*'}:${spec.hostPort} ${spec.count}`)
  for (const port of ['127.0.0.1:8081 1', '*:5353 1', '*:9000 2', '0.0.0.0:8082 1']) {
    assert.ok(shown.includes(port), `${port} is not in ${shown}`)
  }
  const any = items.find(({ spec }) => spec.hostPort > 20_000)?.spec.hostPort
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:${any}/`), 'web')
  for (const port of [9000, 9001]) {
    await inside(docker, 'web', 'httpd', '-p', `${port}`, '-h', '/www')
    assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:${port}/`), 'web')
  }
  const every = ip('0.0.0.0')
  using server = openSocket({ path: `/proc/${await docker.pidOf('web')}/ns/net` }, 'udp', every)
  server.bind(every, 53)
  using client = openSocket({ path: cluster.lab.netns(WORLD) }, 'udp', every)
  assert.ok(client.connect(ip(h1), 5353))
  client.send(Buffer.from('hello'))
  const { bytes, from } = server.receiveFrom() ?? {}
  assert.equal(Buffer.from(bytes ?? []).toString(), 'hello')
  const [address = '', port] = from?.split(' ') ?? []
  server.sendTo(Buffer.from('and back'), ip(address), Number(port))
  const heard = client.receive(new Uint8Array(99))
  assert.equal(Buffer.from(heard ?? []).toString(), 'and back')
})

withEngine('D8: a port is had once, and its holder named', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await runServer(docker, 'web', '--network', 'n1', '-p', '8080:80')
  const second = ['run', '-d', '--network', 'n1', '-p', '8080:80', IMAGE, ...FOREVER]
  await isNamed(cluster, 'web')
  await assertRefused(docker, second, 'carrick: ', '8080/tcp', 'published for container web')
  await docker.docker(...OURS, '--subnet', '10.88.0.0/24', 'n2')
  await run(docker, 'c2', '--network', 'n2', '--ip', '10.88.0.9')
  await isNamed(cluster, 'c2')
  const same = ['run', '-d', '--network', 'n2', '--ip', '10.88.0.9', IMAGE, ...FOREVER]
  await assertRefused(docker, same, 'carrick: ', 'container c2 has it')
  const h1 = addressOf(cluster.lab, 'h1')
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8080/`), 'web')
})

withEngine('D10: the network that has the ports goes, and they move', async (stage) => {
  const { docker, cluster } = stage
  await docker.docker(...OURS, 'a1')
  await docker.docker(...OURS, 'b1')
  await runServer(docker, 'web', '--network', 'a1', '-p', '8080:80')
  await docker.docker('network', 'connect', 'b1', 'web')
  const h1 = addressOf(cluster.lab, 'h1')
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8080/`), 'web')
  await docker.docker('network', 'disconnect', 'a1', 'web')
  assert.equal(await fetchFrom(cluster, WORLD, `http://${h1}:8080/`), 'web')
})

interface Published {
  readonly hostAddress?: string
  readonly hostPort: number
  readonly count: number
}

async function devicesOf(docker: DockerEngine, name: string): Promise<readonly string[]> {
  return (await inside(docker, name, 'ls', '/sys/class/net')).split(/\s+/).sort()
}

async function endpointCount(cluster: Cluster): Promise<number> {
  const { items } = await cluster.json<{ items: readonly unknown[] }>('h1', 'endpoint', 'ls')
  return items.length
}

/** What a container is called is learnt after it has started. */
async function isNamed(cluster: Cluster, name: string): Promise<void> {
  await until(`${name} is known by its name`, async () => {
    const listed = await cluster.carrick('h1', 'endpoint', 'ls', '-o', 'wide')
    return listed.split(/\s+/).includes(name)
  })
}

/** What a server said; undefined when there is none. */
async function fetchFrom(cluster: Cluster, host: string, url: string): Promise<string | undefined> {
  const argv = ['curl', '-s', '-m', '2', url]
  const { exitCode, stdout } = await cluster.lab.run(host, argv)
  return exitCode === 0 ? stdout : undefined
}
