/** What engines and daemons forget when either ends at a bad moment is swept up: R2, R6, R7, R8, R9. */

import assert from 'node:assert/strict'
import type { Docker } from '../../src/api/rest/docker-schemas.ts'
import type { Endpoint } from '../../src/api/rest/endpoint-schemas.ts'
import type { ListOf } from '../../src/api/rest/schema-parts.ts'
import type { Cluster } from '../../src/lab/cluster.ts'
import { DockerEngine } from '../../src/lab/docker-engine.ts'
import { clusterTest, shell, until } from '../cluster/harness.ts'
import { OURS, pings, run, settingsOf, sharedEngines } from './docker-harness.ts'

const withEngine = sharedEngines({ hosts: 2 })
/** Both are back: item 7. */
const SWEPT_MS = 10_000
const NET = [...OURS, '--subnet', '10.95.0.0/16', 'blue'] as const
const FIXED = ['--network', 'blue', '--ip', '10.95.0.50'] as const

withEngine('R2: an engine that crashed forgets, and its addresses are free', async (stage) => {
  const { cluster, docker } = stage
  await docker.docker(...NET)
  await run(docker, 'fixed', ...FIXED)
  await run(docker, 'back', '--network', 'blue', '--restart', 'always')
  await docker.kill()
  await docker.launch()
  await until('only the one that restarts is left', () => leaves(cluster, 'back'), SWEPT_MS)
  await docker.docker('start', 'fixed')
  assert.equal((await settingsOf(docker, 'fixed', 'blue')).IPAddress, '10.95.0.50')
  await until('they reach each other', () => pings(docker, 'back', '10.95.0.50'))
  await until('labels are there again', () => leaves(cluster, 'back', 'fixed'))
})

withEngine('R7: what is removed while our daemon is away goes when it is back', async (stage) => {
  const { cluster, docker } = stage
  await docker.docker(...NET)
  await run(docker, 'fixed', ...FIXED)
  await until('it is known', () => leaves(cluster, 'fixed'))
  await cluster.killDaemon('h1')
  // Each call to us is tried for 15 s, and then given up: four of them.
  const removal = await docker.runWith({ timeoutMs: 80_000 }, 'rm', '-f', 'fixed')
  assert.equal(removal.exitCode, 0, removal.stderr)
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  await until('its endpoint is gone', () => leaves(cluster), SWEPT_MS)
  await run(docker, 'next', ...FIXED)
})

withEngine('R8: our daemon is away when the engine starts', async (stage) => {
  const { cluster, docker } = stage
  await docker.docker(...NET)
  await run(docker, 'fixed', ...FIXED)
  await cluster.killDaemon('h1')
  await cutPower(docker, 'fixed')
  await docker.launch()
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  await until('its endpoint is gone', () => leaves(cluster), SWEPT_MS)
  assert.match(await docker.docker('network', 'ls'), /blue/)
  await docker.docker('start', 'fixed')
  await until('it is known', () => leaves(cluster, 'fixed'))
})

withEngine('R9: after a power cut everything is as before', async (stage) => {
  const { cluster, docker } = stage
  await docker.docker(...NET)
  await run(docker, 'fixed', ...FIXED)
  await cluster.killDaemon('h1')
  await cutPower(docker, 'fixed')
  await shell(
    cluster,
    'h1',
    'for d in $(ls /sys/class/net | grep ^ck); do ip link del $d; done; true',
  )
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  await docker.launch()
  await until('its endpoint is gone', () => leaves(cluster), SWEPT_MS)
  await docker.docker('start', 'fixed')
  await run(docker, 'other', '--network', 'blue')
  await until('they reach each other', () => pings(docker, 'other', '10.95.0.50'))
})

withEngine('an engine that starts again is followed again', async (stage) => {
  const { cluster, docker, engines } = stage
  await docker.docker(...NET)
  await docker.stop()
  await until('it is told of', async () => {
    const { status } = await cluster.json<Docker>('h1', 'docker', 'status')
    return status.engine.state === 'away'
  })
  // Made meanwhile, and seen afterwards.
  await cluster.carrick('h2', 'network', 'create', 'green', '--subnet', '10.96.0.0/16', '--docker')
  await docker.launch()
  for (const engine of engines) {
    await until(`green is on ${engine.host}`, async () => {
      return (await engine.run('network', 'inspect', 'green')).exitCode === 0
    })
  }
  await run(docker, 'late', '--network', 'green')
  await until('its name is known', () => leaves(cluster, 'late'))
})

clusterTest('R6: a container that ends while its engine is away', { hosts: 1 }, async (cluster) => {
  const docker = await DockerEngine.start(cluster.lab, 'h1', { flags: ['--live-restore'] })
  await docker.docker(...NET)
  await run(docker, 'fixed', ...FIXED)
  await run(docker, 'stays', '--network', 'blue')
  await until('both are known', () => leaves(cluster, 'fixed', 'stays'))
  await cutPower(docker, 'fixed')
  await docker.launch()
  await until('one endpoint is gone', () => leaves(cluster, 'stays'), SWEPT_MS)
  await docker.docker('start', 'fixed')
  await until('it is known', () => leaves(cluster, 'fixed', 'stays'))
  await until('they reach each other', () => pings(docker, 'stays', '10.95.0.50'))
})

/** True when h1 has the endpoints of these containers, and no others. */
async function leaves(cluster: Cluster, ...containers: readonly string[]): Promise<boolean> {
  const { items } = await cluster.json<ListOf<Endpoint>>('h1', 'endpoint', 'ls', '--host', 'h1')
  const found = items.map(({ metadata }) => metadata.labels['carrick/docker-container'] ?? '?')
  return found.sort().join() === [...containers].sort().join()
}

/** Ends the engine and its containers as a power cut would. */
async function cutPower(docker: DockerEngine, ...containers: readonly string[]): Promise<void> {
  const pids = await Promise.all(containers.map((name) => docker.pidOf(name)))
  await docker.kill()
  for (const pid of pids) process.kill(pid, 'SIGKILL')
}
