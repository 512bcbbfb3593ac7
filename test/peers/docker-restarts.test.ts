/** Restarts and failures: what our daemon forgets between two calls of an engine, which is nothing. */

import assert from 'node:assert/strict'
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

const withEngine = sharedEngines({ hosts: 1 })

withEngine('R1: the engine restarts in order', async ({ docker }) => {
  for (const name of ['n1', 'n2', 'n3']) await docker.docker(...OURS, name)
  await run(docker, 'c1', '--network', 'n1')
  await docker.docker('network', 'connect', 'n2', 'c1')
  await docker.docker('network', 'connect', 'n3', 'c1')
  await docker.stop()
  await docker.launch()
  await docker.docker('start', 'c1')
  assert.deepEqual((await inside(docker, 'c1', 'ls', '/sys/class/net')).split(/\s+/).sort(), [
    'eth0',
    'eth1',
    'eth2',
    'lo',
  ])
})

withEngine('R2: the engine is killed, and its fixed addresses are free again', async (stage) => {
  const { docker } = stage
  await docker.docker(...OURS, '--subnet', '10.88.0.0/24', 'n1')
  const fixed = ['--network', 'n1', '--ip', '10.88.0.9']
  await run(docker, 'c1', ...fixed)
  await run(docker, 'c2', '--network', 'n1', '--restart', 'always')
  await docker.kill()
  await docker.launch()
  await until('c2 is back', async () => {
    return (await docker.run('exec', 'c2', 'true')).exitCode === 0
  })
  await docker.run('start', 'c1')
  assert.equal((await settingsOf(docker, 'c1', 'n1')).IPAddress, '10.88.0.9')
  assert.ok(await pings(docker, 'c2', '10.88.0.9'))
})

withEngine('R3: our daemon restarts between any two commands', async ({ docker, cluster }) => {
  const again = async (): Promise<void> => {
    await stop(cluster)
    await start(cluster)
  }
  await docker.docker(...OURS, '--subnet', '10.88.0.0/24', '--aux-address', 'a=10.88.0.9', 'n1')
  await again()
  await run(docker, 'c1', '--network', 'n1', '-p', '8080:80')
  await again()
  await run(docker, 'c2', '--network', 'n1')
  assert.ok(await pings(docker, 'c2', 'c1'))
  await again()
  await docker.docker(...OURS, 'n2')
  await again()
  await docker.docker('network', 'connect', 'n2', 'c1')
  await docker.docker('network', 'disconnect', 'n1', 'c1')
  await again()
  await docker.docker('network', 'connect', 'n1', 'c1')
  assert.ok(await pings(docker, 'c2', 'c1'))
  await docker.docker('stop', '-t', '0', 'c1')
  await again()
  await docker.docker('rm', '-f', 'c1', 'c2')
  await again()
  await docker.docker('network', 'rm', 'n1', 'n2')
})

withEngine('R4: traffic goes on while our daemon restarts', async ({ docker, cluster }) => {
  await docker.docker(...OURS, 'n1')
  await runServer(docker, 'web', '--network', 'n1', '-p', '8080:80')
  await run(docker, 'c2', '--network', 'n1')
  const h1 = addressOf(cluster.lab, 'h1')
  const pinging = docker.docker('exec', 'c2', 'ping', '-q', '-c', '60', '-i', '0.05', 'web')
  await stop(cluster)
  assert.equal(await shell(cluster, 'h1', `curl -s -m 2 http://${h1}:8080/`), 'web')
  await start(cluster)
  assert.match(await pinging, / 60 packets received, 0% packet loss/)
  assert.equal(await shell(cluster, 'h1', `curl -s -m 2 http://${h1}:8080/`), 'web')
})

withEngine('R11: twenty at once', async ({ docker }) => {
  await docker.docker(...OURS, 'n1')
  const names = Array.from({ length: 20 }, (_, i) => `c${i + 1}`)
  await Promise.all(names.map((name) => run(docker, name, '--network', 'n1')))
  const settings = await Promise.all(names.map((name) => settingsOf(docker, name, 'n1')))
  assert.equal(new Set(settings.map(({ IPAddress }) => IPAddress)).size, names.length)
  assert.ok(await pings(docker, 'c1', 'c20'))
  await Promise.all(names.map((name) => docker.docker('rm', '-f', name)))
})

withEngine('calls that come again with an empty body leave nothing', async (stage) => {
  const { docker, cluster } = stage
  await docker.docker(...OURS, 'n1')
  // The daemon dies while it is asked: what the engine then repeats has lost its body.
  const started = docker.run('run', '-d', '--network', 'n1', IMAGE, ...FOREVER)
  await until('it is asked', async () => (await endpointCount(cluster)) > 0)
  await kill(cluster)
  await start(cluster)
  await started
  await run(docker, 'c2', '--network', 'n1')
})

async function stop(cluster: Cluster): Promise<void> {
  assert.equal(await cluster.endDaemon('h1', 'SIGTERM'), 0)
}

async function kill(cluster: Cluster): Promise<void> {
  await cluster.killDaemon('h1')
}

async function start(cluster: Cluster): Promise<void> {
  cluster.startDaemon('h1')
  await cluster.settled('h1')
}

async function endpointCount(cluster: Cluster): Promise<number> {
  const { items } = await cluster.json<{ items: readonly unknown[] }>('h1', 'endpoint', 'ls')
  return items.length
}
