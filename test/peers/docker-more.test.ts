/** What else users do with an engine: set up while stopped (C5), expose (D9), live-restore (R5), Compose (R12). */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import type { Cluster } from '../../src/lab/cluster.ts'
import { IMAGE } from '../../src/lab/docker-engine.ts'
import { addressOf, shell, until } from '../cluster/harness.ts'
import {
  FOREVER,
  inside,
  OURS,
  pings,
  run,
  runServer,
  settingsOf,
  sharedEngines,
} from './docker-harness.ts'

const withEngine = sharedEngines({ hosts: 2, members: 1 }, { flags: ['--live-restore'] })

withEngine('C5: networks of a container that has not started', async ({ docker, cluster }) => {
  for (const i of [1, 2, 3]) await docker.docker(...OURS, '--subnet', `10.8${i}.0.0/24`, `n${i}`)
  await docker.docker('create', '--name', 'c1', '--network', 'n1', IMAGE, ...FOREVER)
  const fixed = ['--ip', '10.82.0.9', '--alias', 'www', '--driver-opt', 'carrick.name=web']
  await docker.docker('network', 'connect', ...fixed, 'n2', 'c1')
  await docker.docker('network', 'connect', 'n3', 'c1')
  await docker.docker('network', 'disconnect', 'n3', 'c1')
  assert.equal(await cluster.endDaemon('h1', 'SIGTERM'), 0)
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  await docker.stop()
  await docker.launch()
  await docker.docker('start', 'c1')
  assert.equal(await inside(docker, 'c1', 'ls', '/sys/class/net'), 'eth0\neth1\nlo')
  assert.equal((await settingsOf(docker, 'c1', 'n2')).IPAddress, '10.82.0.9')
  assert.match(await cluster.carrick('h1', 'endpoint', 'ls'), /\bweb\b.*10\.82\.0\.9/)
  await run(docker, 'c2', '--network', 'n2')
  assert.ok(await pings(docker, 'c2', 'www'))
  await run(docker, 'c3', '--network', 'n1')
  assert.ok(await pings(docker, 'c3', 'c1'))
})

withEngine('D9: what is exposed is not published', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await runServer(docker, 'web', '--network', 'n1', '--expose', '80')
  await run(docker, 'c2', '--network', 'n1')
  const exposed = await docker.docker('inspect', '-f', '{{json .Config.ExposedPorts}}', 'web')
  assert.equal(exposed, '{"80/tcp":{}}')
  assert.equal(await inside(docker, 'c2', 'wget', '-qO-', 'http://web/'), 'web')
  const { items } = await cluster.json<{ items: readonly unknown[] }>('h1', 'publish', 'ls')
  assert.deepEqual(items, [])
  const outside = ['curl', '-s', '-m', '2', `http://${addressOf(cluster.lab, 'h1')}:80/`]
  assert.notEqual((await cluster.lab.run('h2', outside)).exitCode, 0)
})

withEngine('R5: an engine that restarts under running containers', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await docker.docker(...OURS, 'n2')
  await run(docker, 'c1', '--network', 'n1')
  const { IPAddress } = await settingsOf(docker, 'c1', 'n1')
  const pinging = `ping -i 0.05 ${IPAddress} > /tmp/pings; exec sleep 1000`
  await docker.docker('run', '-d', '--name', 'c2', '--network', 'n1', IMAGE, 'sh', '-c', pinging)
  const heard = (text: string): Promise<string> => inside(docker, 'c2', 'grep', text, '/tmp/pings')
  await until('c1 answers', () => {
    return heard('seq=').then(Boolean, () => false)
  })
  await docker.stop()
  await docker.launch()
  await inside(docker, 'c2', 'killall', '-INT', 'ping')
  await until('ping has counted', () => heard('received').then(Boolean, () => false))
  const counted = await heard('received')
  const [sent = 0, received = 0] = [...counted.matchAll(/(\d+) packets/g)].map(([, n]) => Number(n))
  // When it is interrupted the last may be under way.
  assert.ok(sent > 1 && sent - received <= 1, counted)

  assert.deepEqual(await endpointsOf(cluster), ['c1', 'c2'])
  for (const name of ['c1', 'c2']) {
    await docker.docker('network', 'connect', 'n2', name)
    assert.equal(await inside(docker, name, 'ls', '/sys/class/net'), 'eth0\neth1\nlo')
  }
  const { IPAddress: other } = await settingsOf(docker, 'c1', 'n2')
  assert.ok(await pings(docker, 'c2', other))
  await docker.docker('network', 'disconnect', 'n1', 'c2')
  assert.ok(await pings(docker, 'c2', 'c1'))
  await docker.docker('rm', '-f', 'c1')
  await run(docker, 'c3', '--network', 'n1', '--network-alias', 'third')
  await docker.docker('network', 'connect', 'n1', 'c2')
  assert.ok(await pings(docker, 'c2', 'third'))
})

withEngine('R12: a Compose project goes up and down twice', async ({ docker, cluster }) => {
  writeFileSync(cluster.lab.outside('h1', '/run/shop.yaml'), SHOP)
  const compose = (verb: string): Promise<string> => {
    const command = `docker-compose -f /run/shop.yaml -p shop ${verb}`
    return shell(cluster, 'h1', `DOCKER_HOST=unix:///run/docker.sock HOME=/run ${command}`)
  }
  const published = `curl -s -m 2 http://${addressOf(cluster.lab, 'h1')}:18080/`
  for (const _round of [1, 2]) {
    await compose('up -d')
    assert.equal((await settingsOf(docker, 'shop_web_1', 'shop_front')).IPAddress, '10.123.0.10')
    assert.equal((await settingsOf(docker, 'shop_db_1', 'shop_back')).IPAddress, '10.124.0.20')
    const extra = (await settingsOf(docker, 'shop_extra_1', 'shop_front')).IPAddress
    assert.match(extra, /^10\.123\.5\./)
    assert.notEqual(extra, '10.123.5.5')
    await until('web serves', async () => {
      return (await cluster.lab.run('h1', ['sh', '-c', published])).stdout === 'shop'
    })
    for (const name of ['web', 'shop_web_1']) {
      assert.equal(await inside(docker, 'shop_db_1', 'wget', '-qO-', `http://${name}/`), 'shop')
    }
    assert.ok(await pings(docker, 'shop_extra_1', 'www'))
    assert.ok(await pings(docker, 'shop_web_1', 'db'))
    assert.match(await inside(docker, 'shop_extra_1', 'ip', 'link', 'show', 'eth0'), /mtu 1390/)
    assert.doesNotMatch(await inside(docker, 'shop_db_1', 'ip', 'route'), /default/)
    await compose('down -t 1')
    assert.equal(await docker.docker('ps', '-aq'), '')
    assert.equal(await docker.docker('network', 'ls', '-q', '--filter', 'type=custom'), '')
    await until('nothing is left', async () => (await endpointsOf(cluster)).length === 0)
  }
})

/** The project of the reference's Compose test, in the words of the older Compose. */
const SHOP = `version: "2.4"
services:
  web:
    image: ${IMAGE}
    command: ["sh", "-c", "mkdir /www; echo -n shop > /www/index.html; exec httpd -f -h /www"]
    labels: {app: web, tier: front}
    ports: ["18080:80"]
    networks:
      front: {ipv4_address: 10.123.0.10, aliases: [www], priority: 100}
      back: {}
  extra:
    image: ${IMAGE}
    command: ["sleep", "1000"]
    networks: [front]
  db:
    image: ${IMAGE}
    command: ["sleep", "1000"]
    networks:
      back: {ipv4_address: 10.124.0.20}
networks:
  front:
    driver: carrick
    driver_opts: {carrick.mtu: "1390"}
    labels: {team: a}
    ipam:
      driver: carrick
      config:
        - subnet: 10.123.0.0/16
          ip_range: 10.123.5.0/24
          gateway: 10.123.0.1
          aux_addresses: {r1: 10.123.5.5}
  back:
    driver: carrick
    internal: true
    ipam: {driver: carrick, config: [{subnet: 10.124.0.0/24}]}
`

/** Containers of the endpoints that are known, in order. */
async function endpointsOf(cluster: Cluster): Promise<readonly string[]> {
  const { items } = await cluster.json<{
    items: readonly { metadata: { labels: Readonly<Record<string, string>> } }[]
  }>('h1', 'endpoint', 'ls')
  return items.map(({ metadata }) => metadata.labels['carrick/docker-container'] ?? '?').sort()
}
