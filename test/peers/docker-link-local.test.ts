/** Row C7 of the acceptance list: link-local addresses, which an engine gives to containers and tells nobody of. */

import type { DockerEngine } from '../../src/lab/docker-engine.ts'
import { until } from '../cluster/harness.ts'
import { OURS, pings, run, sharedEngines } from './docker-harness.ts'

const withEngines = sharedEngines({ hosts: 2 })
const NET = [
  ...OURS,
  '--ipv6',
  '--subnet',
  '10.88.0.0/16',
  '--subnet',
  'fd88::/64',
  'blue',
] as const

withEngines(
  'C7: containers reach each other at link-local addresses',
  async ({ cluster, engines }) => {
    const [one, two] = engines
    if (one === undefined || two === undefined) throw new Error('two engines are needed')
    await one.docker(...NET)
    await until('both engines have it', async () => {
      return (await two.run('network', 'inspect', 'blue')).exitCode === 0
    })
    await run(one, 'c1', ...flags(1))
    await run(one, 'c2', ...flags(2))
    await run(two, 'c3', ...flags(3))
    for (const [engine, name, others] of [
      [one, 'c1', [2, 3]],
      [one, 'c2', [1, 3]],
      [two, 'c3', [1, 2]],
    ] as const) {
      for (const number of others) await reaches(engine, name, number)
    }
    await one.docker('restart', '-t', '0', 'c2')
    await reaches(one, 'c1', 2)
    await reaches(two, 'c3', 2)
    await reaches(one, 'c2', 3)

    // Who has one first keeps it.
    await run(two, 'thief', ...flags(1))
    await until('it is told of', async () => {
      return cluster.log('h2').includes('link-local address is another’s')
    })
    await reaches(one, 'c2', 1)
  },
)

function flags(number: number): readonly string[] {
  const addresses = [`169.254.7.${number}`, `fe80::7:${number}`]
  return ['--network', 'blue', ...addresses.flatMap((each) => ['--link-local-ip', each])]
}

async function reaches(docker: DockerEngine, name: string, number: number): Promise<void> {
  for (const address of [`169.254.7.${number}`, `fe80::7:${number}%eth0`]) {
    await until(`${name} reaches ${address}`, async () => await pings(docker, name, address))
  }
}
