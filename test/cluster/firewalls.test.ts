/**
 * A host's networks beside its firewalls: what should pass passes, again within a second after a firewall was
 * loaded anew or emptied, and is closed meanwhile; the administrator's own denial wins.
 */

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { DockerEngine } from '../../src/lab/docker-engine.ts'
import { ip } from '../../src/net/testing.ts'
import { Firewalld } from '../firewalls.ts'
import { exchangeSegments, openSocket, type Place } from '../kernel/datapath/sockets.ts'
import {
  addressOf,
  createNetwork,
  endpointNames,
  knows,
  sharedCluster,
  shell,
  until,
} from './harness.ts'

/** How soon traffic passes again after a firewall changed. */
const AGAIN_MS = 1_000
const PUBLISHED = 8080
const SERVED = 80
const OUTSIDE = 5_005

const withTwoHosts = sharedCluster({ hosts: 2 })
let web: Container
let far: Container

withTwoHosts('a network with a published container here and one there', async (cluster) => {
  await createNetwork(cluster, 'shop', ['--subnet', '10.81.0.0/16', '--subnet', 'fd81::/48'])
  web = await cluster.attach('shop', 'h1', 'web', '--publish', `${PUBLISHED}:${SERVED}/udp`)
  far = await cluster.attach('shop', 'h2', 'far')
  await knows(cluster, 'h1', 'far')
  await knows(cluster, 'h2', 'web')
  await assertAllPasses(cluster)
})

/** Where datagrams are sent to, and where they are to arrive. */
interface Way {
  readonly name: string
  readonly from: Place
  readonly to: string
  readonly port: number
  readonly at: Place
  readonly address: string
  readonly served: number
}

/** True when one of several datagrams arrives. */
async function arrives({ from, to, port, at, address, served }: Way): Promise<boolean> {
  using receiver = openSocket(at, 'udp', ip(address)).bind(ip(address), served)
  using sender = openSocket(from, 'udp', ip(to))
  sender.connect(ip(to), port)
  const buffer = new Uint8Array(64)
  for (let i = 0; i < 10; i++) {
    sender.send(Buffer.from('hello')) // a firewall's refusal is told by the next call
    if (receiver.receive(buffer, false) !== undefined) return true
    await pause(5)
  }
  return false
}

/** Out by masquerade, in by the published port, and across from the other host's container. */
async function whatPasses({ lab }: Cluster): Promise<string> {
  const [outside, inWeb, inFar] = [{ path: lab.netns('h2') }, { path: web.pin }, { path: far.pin }]
  const ways = ([4, 6] as const).flatMap((family, i): readonly Way[] => {
    const [h1, h2] = [addressOf(lab, 'h1', family), addressOf(lab, 'h2', family)]
    const address = web.addresses[i] ?? ''
    const served = { at: inWeb, address, served: SERVED }
    return [
      {
        ...{ name: `out${family}`, from: inWeb, to: h2, port: OUTSIDE },
        ...{ at: outside, address: h2, served: OUTSIDE },
      },
      { name: `in${family}`, from: outside, to: h1, port: PUBLISHED, ...served },
      { name: `across${family}`, from: inFar, to: address, port: SERVED, ...served },
    ]
  })
  const passing: string[] = []
  for (const way of ways) if (await arrives(way)) passing.push(way.name)
  return passing.join(' ')
}

const EVERYTHING = 'out4 in4 across4 out6 in6 across6'
/** What passes when the administrator denies the published port in IPv4. */
const DENIED = 'out4 across4 out6 in6 across6'
/** Between containers no firewall of the host stands, as the programs deliver before it. */
const ACROSS = 'across4 across6'

async function assertAllPasses(cluster: Cluster): Promise<void> {
  let passing = ''
  const everything = async (): Promise<boolean> => {
    passing = await whatPasses(cluster)
    return passing === EVERYTHING
  }
  await until('everything passes', everything, AGAIN_MS).catch(async (error: unknown) => {
    const rules = await shell(cluster, 'h1', 'nft list ruleset 2> /dev/null')
    throw new Error(`only "${passing}" passes: ${rules}`, { cause: error })
  })
}

/** Does it while the daemon sleeps, shows what passes then, and lets the daemon put it right. */
async function whileAsleep(cluster: Cluster, command: string, passing: string): Promise<void> {
  cluster.daemon('h1').kill('SIGSTOP')
  try {
    await shell(cluster, 'h1', command)
    assert.equal(await whatPasses(cluster), passing, `${command}, before it is noticed`)
  } finally {
    cluster.daemon('h1').kill('SIGCONT')
  }
  await assertAllPasses(cluster)
}

/** Segmented datagrams come in by the vxlan device, through the host's own input chains (R2). */
function assertSlowPathPasses(): void {
  for (const [i, address] of web.addresses.entries()) {
    const [from, to] = [
      { ns: { path: far.pin }, address: ip(far.addresses[i] ?? '') },
      { ns: { path: web.pin }, address: ip(address) },
    ]
    const { bytes } = exchangeSegments(from, to, { segment: 1_200, count: 20, gro: false })
    assert.equal(bytes, 24_000, `UDP_SEGMENT to ${address}`)
  }
}

/** Lines of ours outside our table. */
async function added(cluster: Cluster): Promise<readonly string[]> {
  const text = await shell(cluster, 'h1', 'nft list ruleset 2> /dev/null')
  return text.split('\n').filter((line) => line.includes('comment "carrick"'))
}

withTwoHosts('dockerd runs, and drops what it does not know', async (cluster) => {
  const engine = await DockerEngine.start(cluster.lab, 'h1')
  // It closes only what it has opened itself; on most machines that is so.
  await shell(cluster, 'h1', 'iptables -P FORWARD DROP; ip6tables -P FORWARD DROP')
  await assertAllPasses(cluster)
  assert.equal((await added(cluster)).length, 2)
  await whileAsleep(cluster, 'iptables -F; ip6tables -F', ACROSS)
  await engine.stop()
  await engine.launch()
  await assertAllPasses(cluster)

  // What the administrator denies, by the port that the client sees.
  const denied = `-p udp -m conntrack --ctorigdstport ${PUBLISHED} -j DROP`
  await shell(cluster, 'h1', `iptables -I DOCKER-USER ${denied}`)
  assert.equal(await whatPasses(cluster), DENIED)
  await shell(cluster, 'h1', `iptables -D DOCKER-USER ${denied}; iptables -A FORWARD ${denied}`)
  await until(
    'ours stands behind it',
    async () => {
      return (await whatPasses(cluster)) === DENIED
    },
    AGAIN_MS,
  )
  await engine.stop()
  await whileAsleep(cluster, 'nft flush ruleset', ACROSS)
  assert.deepEqual(await added(cluster), [])
})

withTwoHosts('ufw is on', async (cluster) => {
  await shell(cluster, 'h1', 'ufw --force enable')
  await assertAllPasses(cluster)
  assertSlowPathPasses()
  await shell(cluster, 'h1', 'ufw reload')
  await assertAllPasses(cluster)
  await shell(cluster, 'h1', `ufw route deny proto udp from any to any port ${SERVED}`)
  await until('the denial wins', async () => {
    return (await whatPasses(cluster)) === `out4 across4 out6 across6`
  })
  await shell(cluster, 'h1', `ufw route delete deny proto udp from any to any port ${SERVED}`)
  await assertAllPasses(cluster)
  await whileAsleep(cluster, 'iptables -F FORWARD; ip6tables -F FORWARD', ACROSS)
  await shell(cluster, 'h1', 'ufw disable; nft flush ruleset')
  await assertAllPasses(cluster)
})

withTwoHosts('firewalld is on, and is loaded anew', async (cluster) => {
  {
    await using _firewalld = await Firewalld.start(cluster.lab, 'h1')
    await assertAllPasses(cluster)
    assertSlowPathPasses()
    // Published ports are let in by firewalld itself.
    await whileAsleep(cluster, 'firewall-cmd --reload', `in4 across4 in6 across6`)
  }
  await assertAllPasses(cluster)
})

withTwoHosts('with the last network our rules go from the chains of others', async (cluster) => {
  const own = 'iptables -P FORWARD DROP; iptables -P INPUT DROP; iptables -A INPUT -p tcp -j ACCEPT'
  await shell(cluster, 'h1', own)
  await until('they stand', async () => (await added(cluster)).length === 2)
  await cluster.carrick('h1', 'detach', 'web')
  await cluster.carrick('h2', 'detach', 'far')
  await until('h1 knows it', async () => (await endpointNames(cluster, 'h1')).length === 0)
  await cluster.carrick('h1', 'network', 'rm', 'shop')
  await until('they are gone', async () => (await added(cluster)).length === 0)
  assert.match(await shell(cluster, 'h1', 'iptables -S'), /-A INPUT -p tcp -j ACCEPT/)
  await shell(cluster, 'h1', 'nft flush ruleset')
})
