/**
 * The managed plug-in on two engines that form a swarm: a network of swarm's scope, which no other kind of plug-in
 * may have, and a service with a replica on each host.
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

clusterTest('a service of two replicas in a network of swarm’s', { hosts: 2 }, async (cluster) => {
  const [manager, worker] = await startSwarm(cluster)
  const network = ['network', 'create', '-d', PLUGIN, '--attachable', '--subnet', '10.91.0.0/16']
  await manager.docker(...network, 'green')
  await manager.docker(
    ...['service', 'create', '--detach', '--no-resolve-image', '--name', 'web', '--replicas', '2'],
    ...['--endpoint-mode', 'dnsrr', '--stop-grace-period', '1s', '--network', 'green'],
    ...[IMAGE, 'sh', '-c', SERVE],
  )
  const tasks: string[] = []
  for (const engine of [manager, worker]) {
    let task = ''
    await until(
      `a replica runs on ${engine.host}`,
      async () => {
        task = await engine.docker(
          'ps',
          '-q',
          '--filter',
          'label=com.docker.swarm.service.name=web',
        )
        return task !== ''
      },
      PATIENCE_MS,
    )
    tasks.push(task)
  }

  // Swarm's own names: either replica is found from either host, and from a container that is no task.
  const [first = '', second = ''] = tasks
  for (const [engine, task] of [
    [manager, first],
    [worker, second],
  ] as const) {
    await until('both replicas are found by name', async () => {
      const { stdout } = await engine.run('exec', task, 'nslookup', 'tasks.web')
      return new Set(stdout.match(/10\.91\.\d+\.\d+/g)).size === 2
    })
    const { stdout } = await engine.run('exec', task, 'nslookup', 'tasks.web')
    const answers = new Set<string>()
    for (const address of new Set(stdout.match(/10\.91\.\d+\.\d+/g))) {
      answers.add(await engine.docker('exec', task, 'wget', '-qO-', `http://${address}/`))
    }
    assert.deepEqual([...answers].sort(), [first, second].sort())
  }
  const plain = ['run', '--rm', '--network', 'green', IMAGE, 'wget', '-qO-', 'http://web/']
  assert.ok(tasks.includes(await worker.docker(...plain)))

  // The one network of ours that both engines use; its removal takes it away everywhere.
  assert.equal((await cluster.carrick('h1', 'network', 'ls', '-q')).trim().split('\n').length, 1)
  await manager.docker('service', 'rm', 'web')
  await until(
    'swarm lets the network go',
    async () => (await manager.run('network', 'rm', 'green')).exitCode === 0,
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
})

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
