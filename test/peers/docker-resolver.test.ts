/** The resolver of the cluster behind the engines' own: names of containers that another engine has. */

import assert from 'node:assert/strict'
import type { DockerEngine } from '../../src/lab/docker-engine.ts'
import { until } from '../cluster/harness.ts'
import { inside, OURS, run, settingsOf, sharedEngines } from './docker-harness.ts'

const RESOLVER = '169.254.77.53'

const withEngines = sharedEngines({ hosts: 2 }, { flags: ['--dns', RESOLVER] })

withEngines('names of containers are known on every engine', async ({ engines }) => {
  const [one, two] = engines
  if (one === undefined || two === undefined) throw new Error('two engines are needed')
  await one.docker(...OURS, '--subnet', '10.90.0.0/16', 'blue')
  await until('the network is on the other engine', async () => {
    return (await two.run('network', 'inspect', 'blue')).exitCode === 0
  })
  await run(one, 'web', '--network', 'blue', '--network-alias', 'www')
  await run(two, 'c2', '--network', 'blue')
  const { IPAddress } = await settingsOf(one, 'web', 'blue')
  for (const name of ['web', 'www', 'web.blue']) {
    await until(`c2 is told where ${name} is`, async () => {
      return (await asked(two, 'c2', name)).includes(IPAddress)
    })
  }
  assert.match(await asked(two, 'c2', IPAddress), /name = web\.blue/)
  await one.docker('rm', '-f', 'web')
  await until('the name is gone', async () => !(await asked(two, 'c2', 'web')).includes(IPAddress))
})

withEngines('internal networks reach the resolver, and nothing else', async ({ engines }) => {
  const [one, two] = engines
  if (one === undefined || two === undefined) throw new Error('two engines are needed')
  const dual = [
    '--internal',
    '--ipv6',
    '--subnet',
    '10.90.0.0/16',
    '--subnet',
    'fd90::/64',
  ] as const
  await one.docker(...OURS, ...dual, 'blue')
  await one.docker(...OURS, '--internal', '--subnet', '10.91.0.0/16', 'red')
  await one.docker(...OURS, '--subnet', '10.92.0.0/16', 'open')
  for (const name of ['blue', 'red', 'open']) {
    await until(`${name} is on the other engine`, async () => {
      return (await two.run('network', 'inspect', name)).exitCode === 0
    })
  }
  await run(one, 'web', '--network', 'blue')
  const { IPAddress } = await settingsOf(one, 'web', 'blue')
  const finds = (name: string) =>
    until(`${name} is told where web is`, async () => {
      return (await asked(two, name, 'web.blue')).includes(IPAddress)
    })
  await run(two, 'c2', '--network', 'blue')
  await finds('c2')
  const routes = await inside(two, 'c2', 'ip', 'route')
  assert.match(routes, /169\.254\.77\.53 via 10\.90\./)
  assert.match(await inside(two, 'c2', 'ip', '-6', 'route'), /fd3b:ca44:1c53::53 via fd90:/)
  assert.doesNotMatch(routes, /default/)
  // A second closed network adds nothing, an open one takes nothing away.
  await two.docker('network', 'connect', 'red', 'c2')
  await two.docker('network', 'connect', 'open', 'c2')
  await finds('c2')
  await two.docker('network', 'disconnect', 'open', 'c2')
  await finds('c2')
  await two.docker('restart', '-t', '0', 'c2')
  await finds('c2')
})

/** What a container is told by its engine. */
async function asked(docker: DockerEngine, from: string, name: string): Promise<string> {
  return (await docker.run('exec', from, 'nslookup', name)).stdout
}
