/** One network on three engines: made at once from several, by Compose-like projects, and removed from anywhere. */

import assert from 'node:assert/strict'
import type { DockerEngine } from '../../src/lab/docker-engine.ts'
import { until } from '../cluster/harness.ts'
import { OURS, pings, run, settingsOf, sharedEngines } from './docker-harness.ts'

const withEngines = sharedEngines({ hosts: 3 })

withEngines('R10: containers of three engines share a network', async ({ cluster, engines }) => {
  const [first] = engines
  await first?.docker(
    ...OURS,
    '--subnet',
    '10.97.0.0/16',
    '--subnet',
    'fd97::/64',
    '--ipv6',
    'blue',
  )
  await Promise.all(engines.map((engine) => count(engine, 'blue', 1)))
  await Promise.all(engines.map((engine) => run(engine, `on-${engine.host}`, '--network', 'blue')))
  const places = await Promise.all(
    engines.map((engine) => settingsOf(engine, `on-${engine.host}`, 'blue')),
  )
  assert.equal(new Set(places.map(({ IPAddress }) => IPAddress)).size, 3)
  for (const engine of engines) {
    for (const { IPAddress, GlobalIPv6Address } of places) {
      for (const address of [IPAddress, GlobalIPv6Address]) {
        await until(`${engine.host} reaches ${address}`, () =>
          pings(engine, `on-${engine.host}`, address),
        )
      }
    }
  }
  // Removal on one leaves the others, and is undone.
  await first?.docker('rm', '-f', `on-${first.host}`)
  await first?.docker('network', 'rm', 'blue')
  await Promise.all(engines.map((engine) => count(engine, 'blue', 1)))
  assert.match(cluster.log('h1'), /"hosts":"h2,h3".*network comes back/)
  await Promise.all(engines.map((engine) => engine.run('rm', '-f', `on-${engine.host}`)))
  await engines[2]?.docker('network', 'rm', 'blue')
  await Promise.all(engines.map((engine) => count(engine, 'blue', 0)))
})

withEngines('users of all engines make the same network at once', async ({ engines }) => {
  const results = await Promise.all(
    engines.map((engine) => engine.run(...OURS, '--subnet', '10.98.0.0/16', 'same')),
  )
  // Whoever comes late is told that it is there.
  for (const { exitCode, stderr } of results) {
    if (exitCode !== 0) assert.match(stderr, /already|overlaps/)
  }
  assert.ok(results.some(({ exitCode }) => exitCode === 0))
  await Promise.all(engines.map((engine) => count(engine, 'same', 1)))
  await engines[0]?.docker('network', 'rm', 'same')
  await Promise.all(engines.map((engine) => count(engine, 'same', 0)))
})

withEngines('many networks at once, and all gone again', async ({ engines }) => {
  const names = Array.from({ length: 12 }, (_, i) => `net${i}`)
  await Promise.all(
    names.map((name, i) => engines[i % 3]?.docker(...OURS, '--subnet', `10.99.${i}.0/24`, name)),
  )
  for (const engine of engines) {
    for (const name of names) await count(engine, name, 1)
  }
  await Promise.all(names.map((name, i) => engines[(i + 1) % 3]?.docker('network', 'rm', name)))
  for (const engine of engines) {
    for (const name of names) await count(engine, name, 0)
  }
})

async function count(engine: DockerEngine, name: string, wanted: number): Promise<void> {
  await until(`${engine.host} has ${wanted} networks ${name}`, async () => {
    const ids = await engine.docker('network', 'ls', '-q', '--filter', `name=^${name}$`)
    return ids.split('\n').filter(Boolean).length === wanted
  })
}
