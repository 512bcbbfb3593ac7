/**
 * Networks change while their containers talk: no datagram that both the old and the new state would deliver
 * is lost, and no container is touched but for its MTU and its routes.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { serve, startCounting } from '../../scripts/demo/containers.ts'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { assertRefused, clusterTest, createNetwork, knows, until } from './harness.ts'
import { assertKernelIsModel } from './kernel-dump.ts'
import { assertCarriesEverything, carries } from './traffic.ts'

/** A count proves something when datagrams went at about 1,000 a second all the time. */
const LEAST_SENT = 1_000
const STATE = 4
const SUBNETS = ['--subnet', '10.80.0.0/16', '--subnet', 'fd80::/48']

type Stop = () => Promise<{ sent: number; lost: number }>

clusterTest(
  'from one host to many, by every carrier, through every MTU: nothing is lost',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'shop', [...SUBNETS, '--carrier', 'local'])
    const a = await cluster.attach('shop', 'h1', 'a')
    const same = await cluster.attach('shop', 'h1', 'same')
    const far = await cluster.attach('shop', 'h2', 'far')
    await knows(cluster, 'h1', 'far')
    await knows(cluster, 'h2', 'a', 'same')
    for (const server of [same, far]) await serve(cluster.lab, server)
    const before = await interfaceOf(cluster, a)
    const atHome = await count(cluster, a, same)
    assert.match(
      await change(cluster, 'h1', '--carrier', 'vxlan'),
      /^shop: carrier local -> vxlan$/m,
    )
    const away = await count(cluster, a, far)
    const large = pinging(cluster, a, far, 1300)
    for (const carrier of ['direct', 'auto', 'vxlan', 'direct', 'vxlan']) {
      await change(cluster, carrier === 'auto' ? 'h2' : 'h1', '--carrier', carrier)
    }
    for (const mtu of ['1400', '1430', '1360', 'auto']) {
      await change(cluster, 'h1', '--mtu', mtu)
      if (mtu !== 'auto') await untilMtu(cluster, a, Number(mtu))
    }
    for (const flag of ['--internal', '--no-internal', '--no-masquerade', '--masquerade']) {
      await change(cluster, 'h1', flag)
    }
    assert.equal(await large(), 0, 'large packets')
    await noneLost([...atHome, ...away])
    assert.equal(await interfaceOf(cluster, a), before, 'the same interface')
    const near = await cluster.attach('shop', 'h1', 'near')
    const next = await cluster.attach('shop', 'h2', 'next')
    await knows(cluster, 'h1', 'next')
    await knows(cluster, 'h2', 'near')
    await assertCarriesEverything(cluster, a, next)
    await assertCarriesEverything(cluster, a, near)
    for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
    // At home again, what is on other hosts is out of reach, and nothing at home is lost.
    const stays = await count(cluster, a, same)
    await change(cluster, 'h2', '--carrier', 'local')
    await noneLost(stays, LEAST_SENT / 10)
    await until('the others are out of reach', () => !carries(a, far))
  },
)

clusterTest('a network grows and shrinks under traffic', { hosts: 2 }, async (cluster) => {
  await createNetwork(cluster, 'shop', SUBNETS)
  const a = await cluster.attach('shop', 'h1', 'a')
  const b = await cluster.attach('shop', 'h2', 'b')
  await knows(cluster, 'h1', 'b')
  await knows(cluster, 'h2', 'a')
  await serve(cluster.lab, b)
  const counts = await count(cluster, a, b)
  const said = await change(cluster, 'h1', '--add-subnet', '10.82.0.0/24', '--gateway', '10.82.0.9')
  assert.match(said, /^shop: subnets \+10\.82\.0\.0\/24$/m)
  await until('h2 knows the subnet', async () => (await subnetsOn(cluster, 'h2')).length === 3)
  const grown = await cluster.attach('shop', 'h2', 'grown', '--ip', '10.82.0.5')
  await knows(cluster, 'h1', 'grown')
  assert.match(await routesOf(cluster, a), /^10\.82\.0\.0\/24 via 10\.80\.0\.1 /m)
  assert.match(await routesOf(cluster, grown), /^default via 10\.82\.0\.9 /m)
  await assertCarriesEverything(cluster, a, grown)
  assert.ok(carries(grown, b) && carries(b, grown))
  const shrink = ['network', 'set', 'shop', '--rm-subnet', '10.82.0.0/24']
  assertRefused(await cluster.run('h1', ...shrink), STATE, '10.82.0.0/24', 'grown', 'h2')
  await cluster.carrick('h2', 'detach', 'grown')
  await until('the subnet can go', async () => {
    return (await cluster.run('h1', ...shrink)).exitCode === 0
  })
  await until('h2 knows it', async () => (await subnetsOn(cluster, 'h2')).length === 2)
  for (const host of ['h1', 'h2']) await cluster.settled(host)
  await until('the route is gone', async () => !/10\.82/.test(await routesOf(cluster, a)))
  assertRefused(
    await cluster.run('h2', 'attach', 'shop', '--netns', grown.netns, '--ip', '10.82.0.5'),
    2,
    'not in the network',
  )
  await noneLost(counts)
  for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
})

clusterTest('internal takes the default route and gives it back', { hosts: 1 }, async (cluster) => {
  await createNetwork(cluster, 'quiet', [...SUBNETS, '--internal'])
  const a = await cluster.attach('quiet', 'h1', 'a')
  assert.doesNotMatch(await routesOf(cluster, a), /default/)
  await cluster.carrick('h1', 'network', 'set', 'quiet', '--no-internal', '--wait')
  assert.match(await routesOf(cluster, a), /^default via 10\.80\.0\.1 /m)
  assert.match(await routesOf(cluster, a, '-6'), /^default via fd80::1 /m)
  await cluster.carrick('h1', 'network', 'set', 'quiet', '--internal', '--wait')
  assert.doesNotMatch(await routesOf(cluster, a), /default/)
  assert.doesNotMatch(await routesOf(cluster, a, '-6'), /default/)
  await assertKernelIsModel(cluster, 'h1')
})

clusterTest(
  'a daemon that dies in between leaves what the same command finishes, and nothing is lost',
  { hosts: 2 },
  async (cluster) => {
    await createNetwork(cluster, 'shop', [...SUBNETS, '--carrier', 'vxlan'])
    const a = await cluster.attach('shop', 'h1', 'a')
    const b = await cluster.attach('shop', 'h2', 'b')
    await knows(cluster, 'h1', 'b')
    await knows(cluster, 'h2', 'a')
    await serve(cluster.lab, b)
    const counts = await count(cluster, a, b)
    // One that is away is waited for a while, then told; the other carrier stays accepted.
    await cluster.killDaemon('h2')
    const { stdout, stderr, exitCode } = await cluster.run('h1', ...set('--carrier', 'direct'))
    assert.equal(exitCode, 0, stderr)
    assert.match(stdout, /carrier vxlan -> direct/)
    assert.match(stderr, /^warning: h2 did not confirm/m)
    assert.match(stderr, /^warning: carrier vxlan is still accepted/m)
    cluster.startDaemon('h2')
    await cluster.settled('h2')
    // The daemon that makes the change dies in the middle of it.
    const asked = cluster.lab.spawn('h1', [cluster.executable, ...set('--carrier', 'vxlan')])
    const left = once(asked, 'exit')
    await until('the change has begun', async () => (await carrierOn(cluster, 'h1')) !== 'direct')
    await cluster.killDaemon('h1')
    await left
    cluster.startDaemon('h1')
    await cluster.settled('h1')
    await change(cluster, 'h2', '--carrier', 'vxlan')
    await until('h1 knows it', async () => (await carrierOn(cluster, 'h1')) === 'vxlan')
    assert.ok(carries(a, b) && carries(b, a))
    for (const stop of counts) {
      const { sent, lost } = await stop()
      assert.ok(sent > LEAST_SENT, `${sent} sent`)
      // While its daemon was dead, h2 neither heard of the new carrier nor accepted it.
      assert.ok(lost < sent, `${lost} of ${sent}`)
    }
    for (const host of ['h1', 'h2']) await assertKernelIsModel(cluster, host)
  },
)

const set = (...flags: readonly string[]): readonly string[] => ['network', 'set', 'shop', ...flags]

/** Changes the network without a word of warning, and gives what was said. */
async function change(
  cluster: Cluster,
  host: string,
  ...flags: readonly string[]
): Promise<string> {
  const { stdout, stderr, exitCode } = await cluster.run(host, ...set(...flags), '--wait')
  assert.equal(`${exitCode} ${stderr}`, '0 ', `network set ${flags.join(' ')}: ${stdout}`)
  return stdout
}

/** Starts counting datagrams to every address of a container. */
function count(cluster: Cluster, from: Container, to: Container): Promise<Stop[]> {
  return Promise.all(to.addresses.map((address) => startCounting(cluster.lab, from, address)))
}

async function noneLost(stops: readonly Stop[], leastSent = LEAST_SENT): Promise<void> {
  for (const stop of stops) {
    const { sent, lost } = await stop()
    assert.ok(sent > leastSent, `${sent} sent`)
    assert.equal(lost, 0, `of ${sent}`)
  }
}

/** Sends echo requests of so many bytes with IPv4's header, unfragmented; told to stop, how many got lost. */
function pinging(
  { lab }: Cluster,
  from: Container,
  to: Container,
  bytes: number,
): () => Promise<number> {
  const child = lab.spawnIn(from, [
    ...['ping', '-n', '-q', '-i', '0.005', '-M', 'do', '-s', String(bytes - 28)],
    to.addresses[0] ?? '',
  ])
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return async () => {
    const gone = once(child, 'close')
    await lab.runIn(from, ['pkill', '-INT', '-x', '-n', 'ping'])
    await gone
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? []
    assert.ok(Number(sent) > LEAST_SENT / 10, text)
    return Number(sent) - Number(received)
  }
}

/** Number and MAC of the interface: other ones would be another interface. */
async function interfaceOf(cluster: Cluster, container: Container): Promise<string> {
  const { stdout } = await cluster.lab.runIn(container, ['ip', '-j', 'link', 'show', 'eth0'])
  const [{ ifindex, address } = {}] = JSON.parse(stdout) as { ifindex?: number; address?: string }[]
  return `${ifindex} ${address}`
}

async function untilMtu(cluster: Cluster, container: Container, mtu: number): Promise<void> {
  await until(`the MTU is ${mtu}`, async () => {
    const { stdout } = await cluster.lab.runIn(container, ['ip', '-j', 'link', 'show', 'eth0'])
    return (JSON.parse(stdout) as { mtu: number }[])[0]?.mtu === mtu
  })
}

async function routesOf(
  cluster: Cluster,
  container: Container,
  family: '-4' | '-6' = '-4',
): Promise<string> {
  return (await cluster.lab.runIn(container, ['ip', family, 'route'])).stdout
}

async function subnetsOn(cluster: Cluster, host: string): Promise<readonly string[]> {
  const { spec } = await cluster.json<{ spec: { subnets: string[] } }>(
    host,
    ...['network', 'get', 'shop'],
  )
  return spec.subnets
}

async function carrierOn(cluster: Cluster, host: string): Promise<string> {
  const { spec, status } = await cluster.json<{
    spec: { carrier: string }
    status: { alsoAccepts?: string }
  }>(host, ...['network', 'get', 'shop'])
  return status.alsoAccepts === undefined ? spec.carrier : `${spec.carrier}+${status.alsoAccepts}`
}
