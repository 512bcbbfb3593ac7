/** What following real engines brings: networks on all of them, names and labels, no orphans. R10 and item 2. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import type { Docker } from '../../src/api/rest/docker-schemas.ts'
import type { Endpoint } from '../../src/api/rest/endpoint-schemas.ts'
import type { Network } from '../../src/api/rest/network-schemas.ts'
import type { ListOf } from '../../src/api/rest/schema-parts.ts'
import type { Cluster } from '../../src/lab/cluster.ts'
import { type DockerEngine, IMAGE } from '../../src/lab/docker-engine.ts'
import { shell, until } from '../cluster/harness.ts'
import {
  assertRefused,
  OURS,
  pings,
  run,
  type Stage,
  settingsOf,
  sharedEngines,
} from './docker-harness.ts'

const withEngines = sharedEngines({ hosts: 2 })

interface Inspected {
  readonly Id: string
  readonly Driver: string
  readonly Internal: boolean
  readonly Options: Readonly<Record<string, string>>
  readonly Labels: Readonly<Record<string, string>>
  readonly IPAM: { readonly Config: readonly Readonly<Record<string, unknown>>[] }
}

withEngines('a network made on one engine is on the other, just like it', async (stage) => {
  const { docker, second } = pair(stage)
  const pool = ['--subnet', '10.90.0.0/16', '--gateway', '10.90.0.7', '--ip-range', '10.90.4.0/22']
  const aux = ['--aux-address', 'r1=10.90.4.9', '--aux-address', 'r2=10.90.200.1']
  const options = ['-o', 'carrick.mtu=1390', '-o', 'carrick.name=blue-1-x']
  await docker.docker(...OURS, ...pool, ...aux, ...options, '--label', 'team=a', 'Blue_1.x')
  const here = await inspect(docker, 'Blue_1.x')
  const there = await appears(second, 'Blue_1.x')
  assert.notEqual(there.Id, here.Id)
  assert.deepEqual(there.IPAM.Config, here.IPAM.Config)
  assert.equal(there.IPAM.Config[0]?.['AuxiliaryAddresses'] === undefined, false)
  assert.deepEqual(there.Options, here.Options)
  assert.equal(there.Labels['team'], 'a')
  const { items } = await stage.cluster.json<ListOf<Network>>('h2', 'network', 'ls')
  assert.deepEqual(
    items.map(({ metadata, spec }) => [metadata.name, spec.docker?.name]),
    [['blue-1-x', 'Blue_1.x']],
  )
  const taken = ['run', '--rm', '--network', 'Blue_1.x', '--ip', '10.90.4.9', IMAGE, 'true']
  for (const engine of [docker, second]) await assertRefused(engine, taken, '10.90.4.9')

  await run(docker, 'c1', '--network', 'Blue_1.x')
  await run(second, 'c2', '--network', 'Blue_1.x')
  const [c1, c2] = [
    await settingsOf(docker, 'c1', 'Blue_1.x'),
    await settingsOf(second, 'c2', 'Blue_1.x'),
  ]
  assert.notEqual(c1.IPAddress, c2.IPAddress)
  assert.match(c2.IPAddress, /^10\.90\.[4-7]\./)
  await until('c1 reaches c2', () => pings(docker, 'c1', c2.IPAddress))

  // R10: what one engine removes is used by the other: it comes back.
  await docker.docker('rm', '-f', 'c1')
  await docker.docker('network', 'rm', 'Blue_1.x')
  const again = await appears(docker, 'Blue_1.x')
  assert.notEqual(again.Id, here.Id)
  assert.match(stage.cluster.log('h1'), /"hosts":"h2".*network comes back to the engine/)
  await run(docker, 'c1', '--network', 'Blue_1.x')
  await until('c1 reaches c2 again', () => pings(docker, 'c1', c2.IPAddress))

  // Used by nobody, it goes everywhere.
  await docker.docker('rm', '-f', 'c1')
  await second.docker('rm', '-f', 'c2')
  await second.docker('network', 'rm', 'Blue_1.x')
  await gone(docker, 'Blue_1.x')
  await gone(second, 'Blue_1.x')
})

withEngines('a network of ours appears on engines, and goes from them', async (stage) => {
  const { cluster, docker, second } = pair(stage)
  const flags = ['--subnet', '10.91.0.0/16', '--subnet', 'fd91::/48', '--internal']
  await cluster.carrick('h2', 'network', 'create', 'green', ...flags, '--docker')
  for (const engine of [docker, second]) {
    const { Internal, IPAM } = await appears(engine, 'green')
    assert.equal(Internal, true)
    assert.deepEqual(IPAM.Config, [
      { Subnet: '10.91.0.0/16', Gateway: '10.91.0.1' },
      { Subnet: 'fd91::/48', Gateway: 'fd91::1' },
    ])
  }
  await cluster.carrick('h1', 'network', 'rm', 'green')
  await gone(docker, 'green')
  await gone(second, 'green')

  const named = ['--subnet', '10.92.0.0/16', '--docker-name', 'Their_Name']
  await cluster.carrick('h1', 'network', 'create', 'ours', ...named)
  await appears(second, 'Their_Name')
  await appears(docker, 'Their_Name')
  await docker.docker('network', 'rm', 'Their_Name')
  await gone(second, 'Their_Name')
  await until('ours is gone', async () => {
    return (await cluster.run('h2', 'network', 'get', 'ours')).exitCode !== 0
  })
})

withEngines('what is removed while the store is away goes everywhere later', async (stage) => {
  const { cluster, docker, second } = pair(stage)
  await docker.docker(...OURS, '--subnet', '10.95.0.0/16', 'late')
  await appears(second, 'late')
  await until('h2 has noted it', async () => {
    const { status } = await cluster.json<Docker>('h2', 'docker', 'status')
    return status.networks.some(({ name, state }) => name === 'late' && state === 'here')
  })
  // The first host serves the store.
  assert.equal(await cluster.endDaemon('h1', 'SIGTERM'), 0)
  await second.docker('network', 'rm', 'late')
  assert.equal(await cluster.endDaemon('h2', 'SIGTERM'), 0)
  cluster.startDaemon('h2')
  cluster.startDaemon('h1')
  for (const host of ['h1', 'h2']) await cluster.settled(host)
  await gone(docker, 'late')
  await gone(second, 'late')
  assert.doesNotMatch(await cluster.carrick('h1', 'network', 'ls'), /late/)
})

withEngines('one Compose file on two hosts has one network', async (stage) => {
  const { cluster, docker, second } = pair(stage)
  const up = async (host: string, project: string, verb: string): Promise<void> => {
    writeFileSync(cluster.lab.outside(host, '/run/shop.yaml'), SHOP)
    const command = `docker-compose -f /run/shop.yaml -p ${project} ${verb}`
    await shell(cluster, host, `DOCKER_HOST=unix:///run/docker.sock HOME=/run ${command}`)
  }
  await up('h1', 'shop', 'up -d web')
  await appears(second, 'shop_front')
  await up('h2', 'shop', 'up -d db')
  const { IPAddress } = await settingsOf(second, 'shop_db_1', 'shop_front')
  await until('web reaches db', () => pings(docker, 'shop_web_1', IPAddress))
  await up('h1', 'shop', 'down -t 0')
  assert.equal((await appears(docker, 'shop_front')).Driver, 'carrick') // it is used elsewhere
  await up('h2', 'shop', 'down -t 0')
  await gone(docker, 'shop_front')
})

withEngines('a name that is somebody else’s is told of and left alone', async (stage) => {
  const { cluster, docker, second } = pair(stage)
  await second.docker('network', 'create', '--subnet', '10.200.0.0/24', 'mine')
  const theirs = await inspect(second, 'mine')
  await docker.docker(...OURS, '--subnet', '10.93.0.0/16', 'mine')
  await until('the clash is told of', async () => {
    const { status } = await cluster.json<Docker>('h2', 'docker', 'status')
    return status.networks.some(({ name, state, detail }) => {
      return name === 'mine' && state === 'clash' && detail?.includes('bridge') === true
    })
  })
  assert.equal((await inspect(second, 'mine')).Id, theirs.Id)
  assert.match(await cluster.carrick('h2', 'docker', 'status'), /mine: clash/)
  await second.docker('network', 'rm', 'mine')
  assert.equal((await appears(second, 'mine')).Driver, 'carrick')
  await docker.docker('network', 'rm', 'mine')
  await gone(second, 'mine')
})

withEngines('endpoints tell of their containers, on every host', async (stage) => {
  const { cluster, docker, second } = pair(stage)
  await docker.docker(...OURS, '--subnet', '10.94.0.0/16', 'blue')
  await appears(second, 'blue')
  const labels = ['--label', 'tier=front', '--label', 'com.docker.compose.service=web']
  const project = ['--label', 'com.docker.compose.project=shop']
  await run(
    docker,
    ...['Shop_web.1', '--network', 'blue', '--network-alias', 'www'],
    ...[...labels, ...project],
  )
  for (const host of ['h1', 'h2']) {
    await until(`${host} knows the container`, async () => {
      const found = await labelsOf(cluster, host)
      const names = found['carrick/dns-names']?.split(',') ?? []
      return ['Shop_web.1', 'www', 'web'].every((name) => names.includes(name))
    })
    const found = await labelsOf(cluster, host)
    assert.equal(found['carrick/docker-container'], 'Shop_web.1')
    assert.equal(found['carrick/docker-image'], 'busybox')
    assert.equal(found['tier'], 'front')
    const wide = await cluster.carrick(host, 'endpoint', 'ls', '-o', 'wide')
    for (const text of ['Shop_web.1', 'busybox', 'shop']) assert.ok(wide.includes(text), wide)
  }
  await docker.docker('rename', 'Shop_web.1', 'other')
  await until('the new name is known', async () => {
    return (await labelsOf(cluster, 'h2'))['carrick/docker-container'] === 'other'
  })
  await docker.docker('rm', '-f', 'other')
  await docker.docker('network', 'rm', 'blue')
  await gone(second, 'blue')
})

const SHOP = `version: "2.4"
services:
  web: {image: ${IMAGE}, command: ["sleep", "1000"], networks: [front]}
  db: {image: ${IMAGE}, command: ["sleep", "1000"], networks: [front]}
networks:
  front:
    driver: carrick
    driver_opts: {carrick.name: shop-front, carrick.mtu: "1390"}
    labels: {team: a}
    ipam: {driver: carrick}
`

function pair({ cluster, docker, engines }: Stage) {
  const second = engines[1]
  if (second === undefined) throw new Error('there is one engine only')
  return { cluster, docker, second }
}

async function inspect(docker: DockerEngine, name: string): Promise<Inspected> {
  const [found] = JSON.parse(await docker.docker('network', 'inspect', name)) as Inspected[]
  if (found === undefined) throw new Error(`no network ${name}`)
  return found
}

async function appears(docker: DockerEngine, name: string): Promise<Inspected> {
  await until(`${docker.host} has network ${name}`, async () => {
    const { stdout } = await docker.run('network', 'inspect', name, '--format', '{{.Driver}}')
    return stdout.trim() === 'carrick'
  })
  return inspect(docker, name)
}

async function gone(docker: DockerEngine, name: string): Promise<void> {
  await until(`${name} is gone from ${docker.host}`, async () => {
    return (await docker.run('network', 'inspect', name)).exitCode !== 0
  })
}

/** Of the only endpoint there is. */
async function labelsOf(cluster: Cluster, host: string): Promise<Readonly<Record<string, string>>> {
  const { items } = await cluster.json<ListOf<Endpoint>>(host, 'endpoint', 'ls')
  return items[0]?.metadata.labels ?? {}
}
