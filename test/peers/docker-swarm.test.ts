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
import { addressOf, sharedCluster, shell, until } from '../cluster/harness.ts'

const BUILD = join(dirname(dirname(import.meta.dirname)), 'packaging', 'docker-plugin', 'build')
const PLUGIN = 'carrick:swarm'
const NETWORK = ['network', 'create', '-d', PLUGIN, '--attachable'] as const
/** Of the hosts on which the tasks are. */
const PORT = 8091
const SERVE = 'mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www'
/** A task is prepared, and its container told to end before it is ended. */
const PATIENCE_MS = 40_000

type Swarm = readonly [manager: DockerEngine, worker: DockerEngine]

const withCluster = sharedCluster({ hosts: 2 })
let swarm: Swarm | undefined

withCluster('a service with addresses of swarm’s', async (cluster) => {
  swarm = await startSwarm(cluster)
  await swarm[0].docker(...NETWORK, '--subnet', '10.91.0.0/16', 'green')
  await serves(swarm, 'green')
  await answers(swarm, 'green', '10.91.')
  for (const host of ['h1', 'h2']) {
    const url = `http://${addressOf(cluster.lab, host)}:${PORT}/`
    for (const from of ['h1', 'h2']) await shell(cluster, from, `curl -s -f -m 2 ${url}`)
  }
  await goes(cluster, swarm, 'green')
})

withCluster('a service with addresses of ours', async (cluster) => {
  if (swarm === undefined) throw new Error('there is no swarm')
  const [manager] = swarm
  await manager.docker(...NETWORK, '--subnet', '10.92.0.0/16', '--ipam-driver', PLUGIN, 'blue')
  await serves(swarm, 'blue')
  await answers(swarm, 'blue', '10.92.')
  // They are reserved as long as a manager counts on them, on whichever host the task is.
  assert.match(await cluster.carrick('h2', 'reserve', 'ls', 'blue'), /swarm-10-92-/)
  // Without tasks the network stays, and with new ones it is used again.
  await scale(swarm, 'blue', 0)
  await scale(swarm, 'blue', 2)
  await answers(swarm, 'blue', '10.92.')
  await goes(cluster, swarm, 'blue')
})

/** The network goes with its service, and nothing of them is left. */
async function goes(cluster: Cluster, [manager]: Swarm, network: string): Promise<void> {
  await manager.docker('service', 'rm', `${network}-web`)
  await until(
    `swarm lets ${network} go`,
    async () => (await manager.run('network', 'rm', network)).exitCode === 0,
    PATIENCE_MS,
  )
  await until(
    'nothing of it is left',
    async () => {
      const lists = ['endpoint', 'network'].map((noun) => cluster.carrick('h1', noun, 'ls', '-q'))
      return (await Promise.all(lists)).join('') === ''
    },
    PATIENCE_MS,
  )
}

/** A service in the network. */
async function serves([manager]: Swarm, network: string): Promise<void> {
  await manager.docker(
    ...['service', 'create', '--detach', '--no-resolve-image', '--name', `${network}-web`],
    ...['--replicas', '2', '--endpoint-mode', 'dnsrr', '--stop-grace-period', '1s'],
    ...['--publish', `mode=host,target=80,published=${PORT}`],
    ...['--network', network, IMAGE, 'sh', '-c', SERVE],
  )
}

/** Either replica is found from either host by swarm's own names, and from a container that is no task. */
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
