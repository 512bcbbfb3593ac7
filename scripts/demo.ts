/**
 * `npm run demo`: three virtual hosts on this machine, one network, containers on all of them, real packets.
 * Ends clean, also after Ctrl-C. With --json the one object on standard output holds the facts. With --docker
 * or --cni the story is another: real engines (demo-docker.ts), and all runtimes on one network (demo-cni.ts).
 */

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { Cluster, type Container } from '../src/lab/cluster.ts'
import { createLab, type Lab } from '../src/lab/lab.ts'
import { messageOf } from '../src/lib/errors.ts'
import { runClient, serve, serveOnHost, startCounting } from './demo/containers.ts'
import { hostPicture } from './demo/host-picture.ts'
import { newIn, pictureOfMachine, takeDown } from './demo/leftovers.ts'
import { type OutsideFact, showOutside } from './demo/outside.ts'
import { Story } from './demo/story.ts'

const HOSTS = ['h1', 'h2', 'h3'] as const
const SERVERS_PER_HOST = 2
const CLIENTS_PER_HOST = 2
const SPEED_ROUNDS = 5

interface Facts {
  ok: boolean
  hosts: number
  endpoints: number
  pairsTried: number
  pairsOk: number
  outside: readonly OutsideFact[]
  speed: readonly SpeedFact[]
  sentDuringKill: number
  lostDuringKill: number
  sentDuringRestart: number
  lostDuringRestart: number
  changedByRestart: readonly string[]
  leftovers: readonly string[]
  problems: string[]
}

interface SpeedFact {
  readonly path: string
  readonly gigabitsPerSecond: number
  readonly latencyUs: number
  readonly streamRatio: number
  readonly latencyRatio: number
}

const CARRICK = join(dirname(import.meta.dirname), 'build', 'carrick')
const json = process.argv.includes('--json')
if (process.argv.includes('--docker')) {
  const { demoDocker } = await import('./demo-docker.ts')
  await demoDocker(json)
}
if (process.argv.includes('--cni')) {
  const { demoCni } = await import('./demo-cni.ts')
  await demoCni(json)
}
const story = new Story(json)
const name = `demo-${process.pid}`
const facts: Facts = {
  ok: false,
  hosts: 0,
  endpoints: 0,
  pairsTried: 0,
  pairsOk: 0,
  outside: [],
  speed: [],
  sentDuringKill: 0,
  lostDuringKill: 0,
  sentDuringRestart: 0,
  lostDuringRestart: 0,
  changedByRestart: [],
  leftovers: [],
  problems: [],
}

if (process.getuid?.() !== 0) {
  story.fail('the demo makes network namespaces and loads BPF programs: run it as root')
  process.exit(5)
}

story.say('building the executable')
const build = spawnSync(process.execPath, [join(dirname(import.meta.filename), 'build.ts')], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
if (build.status !== 0) process.exit(1)

const before = pictureOfMachine()
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interrupted) process.exit(130)
    interrupted = true
    story.say(`${signal}: cleaning up`)
    void finish(130)
  })
}

try {
  await run(await createLab({ name, hosts: HOSTS }))
} catch (error) {
  if (!interrupted) {
    facts.problems.push(messageOf(error))
    story.fail(messageOf(error))
  }
}
if (!interrupted) await finish(undefined)

async function run(lab: Lab): Promise<void> {
  const cluster = new Cluster(lab, CARRICK)
  await startHosts(cluster)
  const { servers, clients } = await startContainers(cluster)
  await showMatrix(cluster, servers, clients)
  facts.outside = await showOutside(cluster, story, pick(servers, 'web1-h1'))
  await showSpeed(cluster, servers, clients)
  await showKill(cluster, servers, clients)
  await showRestart(cluster, servers, clients)
  story.title('What was dropped, and why')
  story.show(await cluster.carrick('h1', 'drops', '--all'))
}

async function startHosts(cluster: Cluster): Promise<void> {
  story.title('Three hosts, one cluster')
  cluster.startDaemon('h1')
  await cluster.settled('h1')
  const address = cluster.lab.hosts[0]?.underlay[0].ip
  for (const host of HOSTS.slice(1)) {
    cluster.startDaemon(host)
    await cluster.settled(host)
    await cluster.join(host, 'h1', `${address}:7441`)
    await cluster.settled(host)
  }
  story.command('carrick host ls')
  story.show(await cluster.carrick('h1', 'host', 'ls'))
  facts.hosts = (await cluster.json<{ items: unknown[] }>('h1', 'host', 'ls')).items.length
  story.command('carrick network create blue --subnet 10.80.0.0/16 --subnet fd80::/48')
  await cluster.carrick(
    'h1',
    ...['network', 'create', 'blue', '--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48'],
    ...['--carrier', 'vxlan'],
  )
  for (const host of HOSTS) await until(`blue is known on ${host}`, () => knows(cluster, host))
  story.show(await cluster.carrick('h3', 'network', 'ls'))
}

async function knows(cluster: Cluster, host: string): Promise<boolean> {
  const { exitCode } = await cluster.run(host, 'network', 'get', 'blue')
  return exitCode === 0
}

async function startContainers(
  cluster: Cluster,
): Promise<{ servers: Container[]; clients: Container[] }> {
  story.title('Containers on every host')
  const servers: Container[] = []
  const clients: Container[] = []
  for (const host of HOSTS) {
    for (let i = 1; i <= SERVERS_PER_HOST; i++) {
      const server = await cluster.attach('blue', host, `web${i}-${host}`)
      await serve(cluster.lab, server)
      servers.push(server)
    }
    for (let i = 1; i <= CLIENTS_PER_HOST; i++) {
      clients.push(await cluster.attach('blue', host, `client${i}-${host}`))
    }
  }
  facts.endpoints = servers.length + clients.length
  const everybody = async (host: string): Promise<boolean> => {
    const list = await cluster.json<{ items: unknown[] }>(host, 'endpoint', 'ls')
    return list.items.length === facts.endpoints
  }
  for (const host of HOSTS) {
    await until(`every endpoint is known on ${host}`, () => everybody(host))
    await cluster.settled(host)
  }
  story.command('carrick endpoint ls')
  story.show(await cluster.carrick('h2', 'endpoint', 'ls'))
  return { servers, clients }
}

async function showMatrix(
  cluster: Cluster,
  servers: readonly Container[],
  clients: readonly Container[],
): Promise<void> {
  story.title('Everybody to everybody: ping and HTTP, IPv4 and IPv6')
  const names = new Map(servers.flatMap((server) => server.addresses.map((a) => [a, server.name])))
  for (const client of clients) {
    const probes = await runClient<
      { target: string; ping: boolean; http?: { name: string; client: string } }[]
    >(cluster.lab, client, 'matrix', ...names.keys())
    const fine = probes.map(({ target, ping, http }) => {
      const seen = http?.client.replace('::ffff:', '')
      const answered = http?.name === names.get(target) && client.addresses.includes(seen ?? '')
      return [ping, answered]
    })
    const ok = fine.flat().filter(Boolean).length
    facts.pairsTried += fine.flat().length
    facts.pairsOk += ok
    story.check(
      ok === fine.flat().length,
      `${client.name}: ${ok} of ${fine.flat().length} answered`,
    )
  }
}

async function showSpeed(
  cluster: Cluster,
  servers: readonly Container[],
  clients: readonly Container[],
): Promise<void> {
  story.title('Throughput and latency, beside the bare wire between two hosts')
  const wireAddress = cluster.lab.hosts[1]?.underlay[0].ip ?? ''
  await serveOnHost(cluster.lab, 'h2')
  const client = pick(clients, 'client1-h1')
  const paths: readonly (readonly [string, Container | string, string])[] = [
    ['bare wire', 'h1', wireAddress],
    ['across hosts', client, pick(servers, 'web1-h2').addresses[0] ?? ''],
    ['same host', client, pick(servers, 'web1-h1').addresses[0] ?? ''],
  ]
  // Round by round, so that what disturbs one path disturbs all; the medians are told.
  const samples = paths.map(() => ({ gigabits: [] as number[], latencyUs: [] as number[] }))
  for (let round = 0; round < SPEED_ROUNDS; round++) {
    for (const [i, [, from, to]] of paths.entries()) {
      const { bitsPerSecond } = await runClient<{ bitsPerSecond: number }>(
        cluster.lab,
        ...([from, 'stream', to, '0.4'] as const),
      )
      const { medianUs } = await runClient<{ medianUs: number }>(
        cluster.lab,
        ...([from, 'latency', to, '0.3'] as const),
      )
      samples[i]?.gigabits.push(bitsPerSecond / 1e9)
      samples[i]?.latencyUs.push(medianUs)
    }
  }
  const rows = paths.map(([path], i) => ({
    path,
    gigabits: median(samples[i]?.gigabits ?? []),
    latencyUs: median(samples[i]?.latencyUs ?? []),
  }))
  const [wire] = rows
  if (wire === undefined) throw new Error('no wire')
  facts.speed = rows.map(({ path, gigabits, latencyUs }) => ({
    path,
    gigabitsPerSecond: gigabits,
    latencyUs,
    streamRatio: gigabits / wire.gigabits,
    latencyRatio: latencyUs / wire.latencyUs,
  }))
  for (const { path, gigabitsPerSecond, latencyUs, streamRatio, latencyRatio } of facts.speed) {
    const stream = `${gigabitsPerSecond.toFixed(1).padStart(5)} Gbit/s (${streamRatio.toFixed(2)})`
    story.say(
      `${path.padEnd(13)} ${stream}   ${latencyUs.toFixed(0).padStart(4)} µs (${latencyRatio.toFixed(2)})`,
    )
  }
  story.say(
    'measured with the runtime’s own sockets; `npm run bench -- datapath` measures the path itself',
  )
}

async function showKill(
  cluster: Cluster,
  servers: readonly Container[],
  clients: readonly Container[],
): Promise<void> {
  story.title('kill -9 of a daemon under a running transfer')
  const stop = await startCounting(
    cluster.lab,
    pick(clients, 'client1-h1'),
    pick(servers, 'web1-h2').addresses[0] ?? '',
  )
  const transfer = runClient<{ bitsPerSecond: number }>(
    cluster.lab,
    ...([
      pick(clients, 'client2-h1'),
      'stream',
      pick(servers, 'web2-h2').addresses[1] ?? '',
      '2',
    ] as const),
  )
  await cluster.killDaemon('h1')
  await cluster.killDaemon('h2')
  const { bitsPerSecond } = await transfer
  const { sent, lost } = await stop()
  facts.sentDuringKill = sent
  facts.lostDuringKill = lost
  story.check(
    lost === 0 && bitsPerSecond > 0,
    `both ends’ daemons killed: ${lost} of ${sent} datagrams lost, the TCP transfer went on`,
  )
}

async function showRestart(
  cluster: Cluster,
  servers: readonly Container[],
  clients: readonly Container[],
): Promise<void> {
  story.title('The daemons come back and change nothing')
  const before = hostPicture(cluster.lab, 'h1')
  const stop = await startCounting(
    cluster.lab,
    pick(clients, 'client1-h1'),
    pick(servers, 'web1-h2').addresses[1] ?? '',
  )
  for (const host of ['h1', 'h2']) {
    cluster.startDaemon(host)
    await cluster.settled(host)
  }
  const { sent, lost } = await stop()
  facts.sentDuringRestart = sent
  facts.lostDuringRestart = lost
  const after = hostPicture(cluster.lab, 'h1')
  facts.changedByRestart = [
    ...newIn(before, after).map((thing) => `new: ${thing}`),
    ...newIn(after, before).map((thing) => `gone: ${thing}`),
  ]
  story.check(lost === 0, `${lost} of ${sent} datagrams lost while they started`)
  story.check(
    facts.changedByRestart.length === 0,
    `${before.size} devices, addresses and entries compared: ${facts.changedByRestart.length} changed`,
  )
  story.command('carrick status')
  story.show(await cluster.carrick('h1', 'status'))
}

/** Takes everything down, looks at what is left, tells the end of the story. */
async function finish(exitCode: number | undefined): Promise<void> {
  facts.leftovers = await takeDown(name, before, story)
  facts.ok =
    exitCode === undefined &&
    facts.problems.length === 0 &&
    facts.hosts === HOSTS.length &&
    facts.pairsTried > 0 &&
    facts.pairsOk === facts.pairsTried &&
    facts.outside.length > 0 &&
    facts.outside.every(({ ok }) => ok) &&
    facts.sentDuringKill > 0 &&
    facts.lostDuringKill === 0 &&
    facts.lostDuringRestart === 0 &&
    facts.changedByRestart.length === 0 &&
    facts.leftovers.length === 0
  if (json) process.stdout.write(`${JSON.stringify(facts)}\n`)
  process.exit(exitCode ?? (facts.ok ? 0 : 1))
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}

function pick(containers: readonly Container[], wanted: string): Container {
  const found = containers.find((container) => container.name === wanted)
  if (found === undefined) throw new Error(`no container ${wanted}`)
  return found
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 15_000; !(await holds()); ) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
  }
}
