/**
 * Real engines beside our daemons, one on each host, for tests of the plug-in. After every test the hosts must be
 * clean: no link, no rule, no address of ours more than before.
 */

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import type { Cluster } from '../../src/lab/cluster.ts'
import {
  DockerEngine,
  type EngineOptions,
  engineProblem,
  IMAGE,
} from '../../src/lab/docker-engine.ts'
import { messageOf } from '../../src/lib/errors.ts'
import { type Shape, sharedCluster, shell, until } from '../cluster/harness.ts'

/** As long as nobody stops it. */
export const FOREVER = ['sleep', '1000'] as const
/** The usual beginning of a network of ours. */
export const OURS = ['network', 'create', '-d', 'carrick', '--ipam-driver', 'carrick'] as const

export interface Stage {
  readonly cluster: Cluster
  /** The engine of the first host. */
  readonly docker: DockerEngine
  /** Of every host, in their order. */
  readonly engines: readonly DockerEngine[]
}

/** Tests of one file that share hosts and engines. */
export function sharedEngines(
  shape: Shape,
  options: EngineOptions = {},
): (name: string, body: (stage: Stage) => Promise<void>) => void {
  const withCluster = sharedCluster(shape)
  const engines: DockerEngine[] = []
  const before: string[] = []
  return (name, body) =>
    withCluster(name, async (cluster) => {
      const problem = engineProblem()
      if (problem !== undefined) throw new Error(problem)
      for (const host of cluster.lab.hosts.slice(engines.length, shape.members)) {
        const engine = await DockerEngine.start(cluster.lab, host.name, options)
        engines.push(engine)
        before.push(await trace(cluster, engine))
      }
      const [docker] = engines
      if (docker === undefined) throw new Error('no engine')
      try {
        await body({ cluster, docker, engines })
      } catch (error) {
        const logs = engines.map((engine) => `--- dockerd ${engine.host}\n${engine.log()}`)
        throw new Error(`${messageOf(error)}\n${logs.join('\n')}`, { cause: error })
      } finally {
        await sweep(engines)
      }
      for (const [i, engine] of engines.entries()) {
        await clean(cluster, engine, before[i] ?? '')
      }
    })
}

/** Starts a container that stays, and gives its name. */
export async function run(
  docker: DockerEngine,
  name: string,
  ...flags: readonly string[]
): Promise<string> {
  await docker.docker('run', '-d', '--name', name, ...flags, IMAGE, ...FOREVER)
  return name
}

/** A container that answers `name` over HTTP at its port 80. */
export async function runServer(
  docker: DockerEngine,
  name: string,
  ...flags: readonly string[]
): Promise<void> {
  const script = `mkdir -p /www && echo -n ${name} > /www/index.html && exec httpd -f -p 80 -h /www`
  await docker.docker('run', '-d', '--name', name, ...flags, IMAGE, 'sh', '-c', script)
  await until(`${name} serves`, async () => {
    return (await docker.run('exec', name, 'wget', '-qO-', 'http://127.0.0.1/')).exitCode === 0
  })
}

/** Runs a command in a container; throws what it said. */
export function inside(docker: DockerEngine, name: string, ...argv: readonly string[]) {
  return docker.docker('exec', name, ...argv)
}

export async function pings(docker: DockerEngine, from: string, to: string): Promise<boolean> {
  const { exitCode } = await docker.run('exec', from, 'ping', '-c', '1', '-W', '2', to)
  return exitCode === 0
}

/** Asks the engine's own interface, for what the command line refuses to ask an old engine. */
export function askEngine(
  { cluster, docker }: Stage,
  path: string,
  body?: object,
): Promise<Readonly<Record<string, unknown>>> {
  const text = body === undefined ? '' : JSON.stringify(body)
  const headers = { 'content-type': 'application/json', 'content-length': text.length }
  const socketPath = cluster.lab.outside(docker.host, '/run/docker.sock')
  const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, unknown>>>()
  const request = httpRequest({ socketPath, path, method: 'POST', headers }, (response) => {
    const parts: Buffer[] = []
    response.on('data', (part: Buffer) => parts.push(part))
    response.on('end', () => {
      const answer = Buffer.concat(parts).toString()
      if (response.statusCode !== undefined && response.statusCode < 300) {
        resolve(answer === '' ? {} : JSON.parse(answer))
      } else reject(new Error(`${path}: ${response.statusCode} ${answer}`))
    })
  })
  request.on('error', reject)
  request.end(text)
  return promise
}

/** What a container's `inspect` says of one of its networks. */
export interface Settings {
  readonly IPAddress: string
  readonly GlobalIPv6Address: string
  readonly Gateway: string
  readonly MacAddress: string
  readonly EndpointID: string
}

export async function settingsOf(
  docker: DockerEngine,
  container: string,
  network: string,
): Promise<Settings> {
  const text = await docker.docker('inspect', container)
  const [inspected] = JSON.parse(text)
  const settings = inspected?.NetworkSettings.Networks[network]
  assert.ok(settings !== undefined, `${container} is not in ${network}`)
  return settings
}

/** Fails unless the engine refused it with these words. */
export async function assertRefused(
  docker: DockerEngine,
  args: readonly string[],
  ...words: readonly (string | RegExp)[]
): Promise<void> {
  const { exitCode, stdout, stderr } = await docker.run(...args)
  assert.notEqual(exitCode, 0, `docker ${args.join(' ')} was done: ${stdout}`)
  for (const word of words) {
    if (typeof word === 'string') assert.ok(stderr.includes(word), `no "${word}" in: ${stderr}`)
    else assert.match(stderr, word)
  }
}

/** Everything of ours on the host that containers and networks come with. */
async function trace(cluster: Cluster, { host }: DockerEngine): Promise<string> {
  const links = await shell(cluster, host, 'ls /sys/class/net | grep ^ck | sort || true')
  const rules = await shell(cluster, host, 'nft list table inet carrick || true')
  const elements = [...rules.matchAll(/elements = \{[^}]*\}/g)].map(([text]) => text)
  const names: string[] = []
  for (const noun of ['network', 'endpoint', 'publish']) {
    const listed = await cluster.json<{ items: { metadata: { id?: string; name?: string } }[] }>(
      ...([host, noun, 'ls'] as const),
    )
    names.push(...listed.items.map(({ metadata }) => `${noun} ${metadata.id ?? metadata.name}`))
  }
  return [links.trim(), ...elements, ...names.sort()].join('\n')
}

/** Removes what the engines have, the way a user would, until nothing comes back. */
async function sweep(engines: readonly DockerEngine[]): Promise<void> {
  await until('the engines are empty', async () => {
    let found = 0
    for (const docker of engines) {
      const containers = (await docker.run('ps', '-aq')).stdout.split('\n').filter(Boolean)
      if (containers.length > 0) await docker.run('rm', '-f', ...containers)
      found += containers.length
    }
    for (const docker of engines) {
      const listed = await docker.run('network', 'ls', '-q', '--filter', 'type=custom')
      const networks = listed.stdout.split('\n').filter(Boolean)
      if (networks.length > 0) await docker.run('network', 'rm', ...networks)
      found += networks.length
    }
    return found === 0
  })
}

async function clean(cluster: Cluster, engine: DockerEngine, before: string): Promise<void> {
  let now = ''
  try {
    await until(`${engine.host} is clean`, async () => {
      now = await trace(cluster, engine)
      return now === before
    })
  } catch (error) {
    throw new Error(`${messageOf(error)}; before:\n${before}\nnow:\n${now}`, { cause: error })
  }
}
