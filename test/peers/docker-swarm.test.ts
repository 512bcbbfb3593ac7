/**
 * The managed plug-in on two engines that form a swarm: networks of swarm's scope, which no other kind of plug-in
 * may have, and services with a replica on each host; with addresses of swarm's, and with ours.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Cluster } from '../../src/lab/cluster.ts'
import { DockerEngine, IMAGE } from '../../src/lab/docker-engine.ts'
import { addressOf, clusterTest, shell, until } from '../cluster/harness.ts'

const BUILD = join(dirname(dirname(import.meta.dirname)), 'packaging', 'docker-plugin', 'build')
const PLUGIN = 'carrick:swarm'
const SERVE = 'mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www'
/** A task is prepared, and its container told to end before it is ended. */
const PATIENCE_MS = 40_000

type Swarm = readonly [manager: DockerEngine, worker: DockerEngine]

clusterTest('services of two replicas in networks of swarm’s', { hosts: 2 }, async (cluster) => {
  const swarm = await startSwarm(cluster)
  const [manager] = swarm
  const network = ['network', 'create', '-d', PLUGIN, '--attachable', '--subnet'] as const
  await manager.docker(...network, '10.91.0.0/16', 'green')
  await manager.docker(...network, '10.92.0.0/16', '--ipam-driver', PLUGIN, 'blue')
  await serves(swarm, 'green', '10.91.')
  await serves(swarm, 'blue', '10.92.')

  // Our addresses are reserved as long as a manager counts on them, on whichever host the task is.
  const reserved = async () => (await cluster.carrick('h2', 'reserve', 'ls', 'blue')).trim()
  assert.match(await reserved(), /swarm-10-92-/)
  for (const engine of swarm) {
    const addresses = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const shown = ['run', '--rm', '--network', 'blue', IMAGE, 'hostname', '-i'] as const
      addresses.add(await engine.docker(...shown))
    }
    for (const address of addresses) assert.match(address, /^10\.92\./)
  }
  // Without tasks the network stays, and with new ones it is used again.
  await scale(swarm, 'blue', 0)
  await scale(swarm, 'blue', 2)
  await answers(swarm, 'blue', '10.92.')

  await manager.docker('service', 'rm', 'green-web', 'blue-web')
  for (const name of ['green', 'blue']) {
    await until(
      `swarm lets ${name} go`,
      async () => (await manager.run('network', 'rm', name)).exitCode === 0,
      PATIENCE_MS,
    )
  }
  await until(
    'nothing of them is left',
    async () => {
      const lists = ['endpoint', 'network'].map((noun) => cluster.carrick('h1', noun, 'ls', '-q'))
      return (await Promise.all(lists)).join('') === ''
    },
    PATIENCE_MS,
  )
})

/** A service in the network, found by swarm's own names from either host. */
async function serves(swarm: Swarm, network: string, prefix: string): Promise<void> {
  const [manager] = swarm
  await manager.docker(
    ...['service', 'create', '--detach', '--no-resolve-image', '--name', `${network}-web`],
    ...['--replicas', '2', '--endpoint-mode', 'dnsrr', '--stop-grace-period', '1s'],
    ...['--network', network, IMAGE, 'sh', '-c', SERVE],
  )
  await answers(swarm, network, prefix)
}

/** Either replica is found from either host, and from a container that is no task. */
async function answers(swarm: Swarm, network: string, prefix: string): Promise<void> {
  const tasks: string[] = []
  for (const engine of swarm) tasks.push(await taskOn(engine, network))
  const found = new RegExp(`${prefix.replaceAll('.', '\\.')}\\d+\\.\\d+`, 'g')
  for (const [i, engine] of swarm.entries()) {
    const lookup = ['exec', tasks[i] ?? '', 'nslookup', `tasks.${network}-web`] as const
    await until('both replicas are found by name', async () => {
      return new Set((await engine.run(...lookup)).stdout.match(found)).size === 2
    })
    const said = new Set<string>()
    for (const address of new Set((await engine.run(...lookup)).stdout.match(found))) {
      const fetch = ['exec', tasks[i] ?? '', 'wget', '-qO-', `http://${address}/`] as const
      said.add(await engine.docker(...fetch))
    }
    assert.deepEqual([...said].sort(), [...tasks].sort())
  }
  const url = `http://${network}-web/`
  for (const engine of swarm) {
    const plain = ['run', '--rm', '--network', network, IMAGE, 'wget', '-qO-', url] as const
    assert.ok(tasks.includes(await engine.docker(...plain)))
  }
}

async function taskOn(engine: DockerEngine, network: string): Promise<string> {
  const filter = `label=com.docker.swarm.service.name=${network}-web`
  let task = ''
  await until(
    `a replica runs on ${engine.host}`,
    async () => {
      task = await engine.docker('ps', '-q', '--filter', filter)
      return task !== ''
    },
    PATIENCE_MS,
  )
  return task
}

async function scale([manager, worker]: Swarm, network: string, count: number): Promise<void> {
  await manager.docker('service', 'scale', '--detach', `${network}-web=${count}`)
  if (count > 0) return
  await until(
    'no task is left',
    async () => {
      const filter = `label=com.docker.swarm.service.name=${network}-web`
      const left = [manager, worker].map((each) => each.docker('ps', '-aq', '--filter', filter))
      return (await Promise.all(left)).join('') === ''
    },
    PATIENCE_MS,
  )
}

/** The first engine manages, the second works; both have the plug-in. */
async function startSwarm(cluster: Cluster): Promise<readonly [DockerEngine, DockerEngine]> {
  const { lab, executable } = cluster
  const directory = mkdtempSync(join(tmpdir(), 'ckt-plugin-'))
  const engines: DockerEngine[] = []
  try {
    const image = join(directory, 'plugin')
    const { status, stderr } = spawnSync(BUILD, ['--executable', executable, image])
    assert.equal(status, 0, stderr.toString())
    for (const { name } of lab.hosts) {
      // Swarm asks a registry for every image; here it is refused at once instead of looked for.
      await shell(cluster, name, 'echo nameserver 127.0.0.1 > /etc/resolv.conf')
      const engine = await DockerEngine.start(lab, name)
      await engine.docker('plugin', 'create', PLUGIN, image)
      await engine.docker('plugin', 'enable', PLUGIN)
      engines.push(engine)
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  const [manager, worker] = engines
  if (manager === undefined || worker === undefined) throw new Error('two hosts have two engines')
  const address = addressOf(lab, 'h1')
  await manager.docker('swarm', 'init', '--advertise-addr', address)
  const token = await manager.docker('swarm', 'join-token', '-q', 'worker')
  await worker.docker('swarm', 'join', '--token', token, `${address}:2377`)
  return [manager, worker]
}
