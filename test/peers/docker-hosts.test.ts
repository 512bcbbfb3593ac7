/** One network on the engines of two hosts, created on both by hand. */

import assert from 'node:assert/strict'
import { IMAGE } from '../../src/lab/docker-engine.ts'
import { addressOf, shell, until } from '../cluster/harness.ts'
import {
  assertRefused,
  inside,
  OURS,
  pings,
  run,
  runServer,
  settingsOf,
  sharedEngines,
} from './docker-harness.ts'

/** Followed, an engine would be given the other's networks before anybody makes them by hand. */
const withEngines = sharedEngines({ hosts: 2, daemon: { args: ['--docker-engine', ''] } })
const SUBNET = ['--subnet', '10.90.0.0/16'] as const

withEngines('R10: the same subnet is the same network', async ({ cluster, engines }) => {
  const [one, two] = engines
  if (one === undefined || two === undefined) throw new Error('two engines are needed')
  await one.docker(...OURS, ...SUBNET, 'blue')
  await until('h2 knows the network', async () => {
    return (await cluster.carrick('h2', 'network', 'ls')).includes('10.90.0.0/16')
  })
  await two.docker(...OURS, ...SUBNET, 'blue')
  await runServer(one, 'web', '--network', 'blue', '-p', '8080:80')
  await runServer(two, 'www', '--network', 'blue')
  const web = (await settingsOf(one, 'web', 'blue')).IPAddress
  const www = (await settingsOf(two, 'www', 'blue')).IPAddress
  assert.notEqual(web, www)
  await until('they reach each other', async () => await pings(one, 'web', www))
  assert.ok(await pings(two, 'www', web))
  assert.equal(await inside(two, 'www', 'wget', '-qO-', `http://${web}/`), 'web')
  assert.equal(await inside(one, 'web', 'wget', '-qO-', `http://${www}/`), 'www')
  const published = `http://${addressOf(cluster.lab, 'h1')}:8080/`
  assert.equal(await shell(cluster, 'h2', `curl -s -m 2 ${published}`), 'web')
  assert.equal(await inside(two, 'www', 'wget', '-qO-', published), 'web')
  const fixed = ['run', '--rm', '--network', 'blue', '--ip', web, IMAGE, 'true']
  await assertRefused(two, fixed, 'carrick: ', web)
  // Removed on one, it stays on the other.
  await one.docker('rm', '-f', 'web')
  await one.docker('network', 'rm', 'blue')
  await run(two, 'c2', '--network', 'blue')
  assert.ok(await pings(two, 'c2', www))
})

withEngines('both engines make it at the same moment', async ({ engines }) => {
  await Promise.all(engines.map((engine) => engine.docker(...OURS, ...SUBNET, 'blue')))
  await Promise.all(engines.map((engine) => run(engine, 'c1', '--network', 'blue')))
  const [one, two] = engines
  if (one === undefined || two === undefined) throw new Error('two engines are needed')
  const { IPAddress } = await settingsOf(two, 'c1', 'blue')
  await until('they reach each other', async () => await pings(one, 'c1', IPAddress))
})

withEngines(
  'networks without a subnet, made everywhere at once, get one each',
  async ({ engines }) => {
    const rounds = Array.from({ length: 4 }, (_, i) => `n${i + 1}`)
    await Promise.all(
      engines.flatMap((engine) => rounds.map((name) => engine.docker(...OURS, '--ipv6', name))),
    )
    const subnets: string[] = []
    for (const engine of engines) {
      const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}'
      const listed = await engine.docker('network', 'inspect', '--format', format, ...rounds)
      subnets.push(...listed.split(/\s+/).filter(Boolean))
    }
    assert.equal(subnets.length, 4 * rounds.length)
    assert.equal(new Set(subnets).size, subnets.length)
  },
)
