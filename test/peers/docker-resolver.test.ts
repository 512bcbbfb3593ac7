/** The resolver of the cluster behind the engines' own: names of containers that another engine has. */

import assert from 'node:assert/strict'
import type { DockerEngine } from '../../src/lab/docker-engine.ts'
import { until } from '../cluster/harness.ts'
import { OURS, run, settingsOf, sharedEngines } from './docker-harness.ts'

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

/** What a container is told by its engine. */
async function asked(docker: DockerEngine, from: string, name: string): Promise<string> {
  return (await docker.run('exec', from, 'nslookup', name)).stdout
}
