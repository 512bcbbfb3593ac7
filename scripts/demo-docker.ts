/**
 * `npm run demo -- --docker`: two virtual hosts with a real Docker engine each, one network that was made once, an
 * application across both, names across engines, restarts of everything. Ends clean, also after Ctrl-C. With
 * --json the one object on standard output holds the facts.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { Cluster } from '../src/lab/cluster.ts'
import { DockerEngine, engineProblem, IMAGE } from '../src/lab/docker-engine.ts'
import type { Lab } from '../src/lab/lab.ts'
import { messageOf } from '../src/lib/errors.ts'
import {
  bringUp,
  findTool,
  NETWORK,
  nameOf,
  type Service,
  type Tool,
  takeDown,
} from './demo/docker/application.ts'
import { startPinging } from './demo/docker/pinging.ts'
import { EXECUTABLE, runDemo } from './demo/engines.ts'
import type { Story } from './demo/story.ts'

/** Each host's part of the application. */
const SERVICES: Readonly<Record<string, readonly Service[]>> = {
  h1: [{ name: 'web', says: 'web on h1', port: '8080:80' }],
  h2: [
    { name: 'db', says: 'db on h2' },
    { name: 'worker', says: 'worker on h2' },
  ],
}
const PATIENCE_MS = 30_000

interface Facts {
  ok: boolean
  engines: number
  application: Tool | undefined
  networkSeenOn: string[]
  names: NameFact[]
  restarts: { readonly what: string; readonly ok: boolean; readonly backMs: number }[]
  sentWhileDaemonsWereGone: number
  lostWhileDaemonsWereGone: number
  goneEverywhere: boolean
  leftovers: readonly string[]
  problems: string[]
}

/** Who asked for which name, and what answered there. */
interface NameFact {
  readonly from: string
  readonly name: string
  readonly answer: string
  readonly ok: boolean
}

interface World {
  readonly cluster: Cluster
  readonly first: DockerEngine
  readonly second: DockerEngine
}

/** Tells the story, cleans up and ends the process. */
export async function demoDocker(json: boolean): Promise<never> {
  const facts: Facts = {
    ok: false,
    engines: 0,
    application: undefined,
    networkSeenOn: [],
    names: [],
    restarts: [],
    sentWhileDaemonsWereGone: 0,
    lostWhileDaemonsWereGone: 0,
    goneEverywhere: false,
    leftovers: [],
    problems: [],
  }
  return await runDemo({ json, problem: engineProblem(), facts, isFine }, async (lab, story) => {
    const world = await startEngines(lab, story, facts)
    await showNetwork(world, story, facts)
    await showApplication(world, story, facts)
    await showNames(world, story, facts)
    await showRestarts(world, story, facts)
    await showEnd(world, story, facts)
  })
}

async function startEngines(lab: Lab, story: Story, facts: Facts): Promise<World> {
  story.title('Two hosts, one cluster, a Docker engine on each')
  const cluster = new Cluster(lab, EXECUTABLE)
  const engines: DockerEngine[] = []
  for (const { name: host } of lab.hosts) {
    cluster.startDaemon(host)
    await cluster.settled(host)
    if (host !== 'h1') {
      await cluster.join(host, 'h1', `${lab.hosts[0]?.underlay[0].ip}:7441`)
      await cluster.settled(host)
    }
    story.command(`carrick docker install   # on ${host}, then dockerd is started`)
    story.show(await cluster.carrick(host, 'docker', 'install', '--executable', EXECUTABLE))
    engines.push(await DockerEngine.start(lab, host))
  }
  const [first, second] = engines
  if (first === undefined || second === undefined) throw new Error('two hosts have two engines')
  facts.engines = engines.length
  story.say(`dockerd ${await first.docker('version', '--format', '{{.Server.Version}}')}`)
  return { cluster, first, second }
}

async function showNetwork({ first, second }: World, story: Story, facts: Facts): Promise<void> {
  story.title('A network, made once with docker')
  const create = ['network', 'create', '-d', 'carrick', '--ipam-driver', 'carrick']
  const argv = [...create, '--subnet', '10.90.0.0/16', NETWORK]
  story.command(`docker ${argv.join(' ')}   # on h1`)
  await first.docker(...argv)
  for (const engine of [first, second]) {
    await until(`${NETWORK} is shown by the engine of ${engine.host}`, async () => {
      return (await engine.run('network', 'inspect', NETWORK)).exitCode === 0
    })
    facts.networkSeenOn.push(engine.host)
    story.command(`docker network ls   # on ${engine.host}`)
    story.show(await engine.docker('network', 'ls', '--filter', 'driver=carrick'))
  }
}

async function showApplication(world: World, story: Story, facts: Facts): Promise<void> {
  const { cluster, first, second } = world
  const tool = await findTool(cluster.lab, 'h1')
  facts.application = tool
  story.title('An application across both')
  if (tool === 'docker run') story.say('no Compose is installed: its containers one by one')
  for (const engine of [first, second]) {
    const services = SERVICES[engine.host] ?? []
    for (const line of await bringUp(cluster.lab, engine, tool, services)) {
      story.command(`${line}   # on ${engine.host}`)
    }
  }
  await until('the application answers', () => answers(second, 'worker', 'web', 'web on h1'))
  const named = async () => {
    const { items } = await cluster.json<{
      items: { metadata: { labels: Record<string, string> } }[]
    }>('h1', 'endpoint', 'ls')
    return (
      items.length === 3 &&
      items.every(({ metadata }) => 'carrick/docker-container' in metadata.labels)
    )
  }
  await until('endpoints bear the names of their containers', named)
  story.command('carrick endpoint ls')
  story.show(await cluster.carrick('h1', 'endpoint', 'ls'))
  story.command('carrick publish ls')
  story.show(await cluster.carrick('h1', 'publish', 'ls'))
}

async function showNames({ first, second }: World, story: Story, facts: Facts): Promise<void> {
  story.title('Names, from either engine to either')
  const attempt = async (engine: DockerEngine, from: string, name: string, expected: string) => {
    const answer = await fetchFrom(engine, from, `http://${name}/`)
    const ok = answer === expected
    facts.names.push({ from: `${from} on ${engine.host}`, name, answer, ok })
    story.check(ok, `${from} on ${engine.host}: wget http://${name}/ says "${answer}"`)
  }
  await attempt(second, 'worker', 'web', 'web on h1')
  await attempt(second, 'worker', `web.${NETWORK}`, 'web on h1')
  await attempt(second, 'worker', await nameOf(first, 'web'), 'web on h1')
  await attempt(first, 'web', 'db', 'db on h2')
  await attempt(first, 'web', await nameOf(second, 'worker'), 'worker on h2')
  const once = ['run', '--rm', '--network', NETWORK, IMAGE, 'wget', '-qO-', 'http://web/']
  story.command(`docker ${once.join(' ')}   # on h2`)
  const answer = await second.docker(...once)
  facts.names.push({
    from: 'a new container on h2',
    name: 'web',
    answer,
    ok: answer === 'web on h1',
  })
  story.show(answer)
}

async function showRestarts(world: World, story: Story, facts: Facts): Promise<void> {
  const { cluster, first, second } = world
  story.title('Everything is restarted')
  const survives = async (what: string, restart: () => Promise<void>): Promise<void> => {
    await restart()
    const began = performance.now()
    const both = async () =>
      (await answers(second, 'worker', 'web', 'web on h1')) &&
      (await answers(first, 'web', 'db', 'db on h2'))
    let ok = true
    await until(`the application answers after: ${what}`, both).catch((error: unknown) => {
      ok = false
      story.fail(messageOf(error))
    })
    const backMs = Math.round(performance.now() - began)
    facts.restarts.push({ what, ok, backMs })
    story.check(ok, `${what}: names and traffic in both directions after ${backMs} ms`)
  }
  await survives('the engine of h1 is restarted', async () => {
    await first.stop()
    await first.launch()
  })
  await survives('the engine of h2 is killed and started', async () => {
    await second.kill()
    await second.launch()
  })
  const pid = await second.pidOf(await nameOf(second, 'worker'))
  const address = await addressOf(first, await nameOf(first, 'web'))
  const stop = startPinging(cluster.lab, 'h2', pid, address)
  await survives('the daemons of both hosts are killed and started', async () => {
    for (const host of ['h1', 'h2']) await cluster.killDaemon(host)
    await pause(500)
    for (const host of ['h1', 'h2']) cluster.startDaemon(host)
    for (const host of ['h1', 'h2']) await cluster.settled(host)
  })
  const { sent, lost } = await stop()
  facts.sentWhileDaemonsWereGone = sent
  facts.lostWhileDaemonsWereGone = lost
  story.check(lost === 0, `${lost} of ${sent} pings lost while the daemons were gone and came back`)
}

async function showEnd(world: World, story: Story, facts: Facts): Promise<void> {
  const { cluster, first, second } = world
  story.title('Taken down')
  const tool = facts.application ?? 'docker run'
  for (const engine of [first, second]) {
    await takeDown(cluster.lab, engine, tool, SERVICES[engine.host] ?? [])
  }
  story.command(`docker network rm ${NETWORK}   # on h2`)
  await second.docker('network', 'rm', NETWORK)
  await until('the network has gone everywhere', async () => {
    const engines = await Promise.all(
      [first, second].map((engine) => engine.run('network', 'inspect', NETWORK)),
    )
    const lists = await Promise.all(
      ['network', 'endpoint', 'publish'].map((noun) => cluster.carrick('h1', noun, 'ls', '-q')),
    )
    return engines.every(({ exitCode }) => exitCode !== 0) && lists.join('') === ''
  })
  facts.goneEverywhere = true
  story.check(true, 'it has gone from both engines, with every endpoint, address and port')
}

/** True when the service answers with this, asked by name. */
async function answers(
  engine: DockerEngine,
  from: string,
  name: string,
  expected: string,
): Promise<boolean> {
  try {
    return (await fetchFrom(engine, from, `http://${name}/`)) === expected
  } catch {
    return false // the engine is starting, or the container is not there yet
  }
}

/** What a service's container gets from there; empty when nothing. */
async function fetchFrom(engine: DockerEngine, service: string, url: string): Promise<string> {
  const container = await nameOf(engine, service)
  const { stdout } = await engine.run('exec', container, 'timeout', '5', 'wget', '-qO-', url)
  return stdout.trim()
}

function addressOf(engine: DockerEngine, container: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`
  return engine.docker('inspect', '--format', format, container)
}

function isFine(facts: Facts): boolean {
  return (
    facts.problems.length === 0 &&
    facts.engines === 2 &&
    facts.networkSeenOn.length === 2 &&
    facts.names.length > 0 &&
    facts.names.every(({ ok }) => ok) &&
    facts.restarts.length === 3 &&
    facts.restarts.every(({ ok }) => ok) &&
    facts.sentWhileDaemonsWereGone > 0 &&
    facts.lostWhileDaemonsWereGone === 0 &&
    facts.goneEverywhere &&
    facts.leftovers.length === 0
  )
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await holds()); await pause(50)) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
  }
}
