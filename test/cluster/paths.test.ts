/**
 * Ways between hosts with faults: what passes is found, containers are held to it, and it is told. Each fault
 * is on what the first host sends.
 */

import { expect } from 'bun:test'
import assert from 'node:assert/strict'
import type { Cluster, Container } from '../../src/lab/cluster.ts'
import { exchangeDatagrams, streamBytes } from '../kernel/datapath/sockets.ts'
import { compileFault } from './faults/faults.ts'
import { clusterTest, createNetwork, knows, shell, until } from './harness.ts'
import { endsOf } from './traffic.ts'

const FAST = { args: ['--probe-period-ms', '2s'] } as const
const STREAM_BYTES = 2_000_000
/** A bad way is searched step by step, with pauses, and twice before anything is believed. */
const FIND_MS = 40_000

interface Path {
  readonly host: string
  readonly carrier: string
  readonly mtuBytes: number
  readonly problems: readonly string[]
}

clusterTest(
  'good ways are found good, and nothing is said of them',
  { daemon: FAST },
  async (cluster) => {
    await pair(cluster, 'vxlan')
    await createNetwork(cluster, 'lan', ['--subnet', '10.81.0.0/16', '--carrier', 'direct'])
    for (const host of ['h1', 'h2']) {
      await until(
        `${host} has probed both ways`,
        async () => (await paths(cluster, host)).length === 2,
      )
      for (const path of await paths(cluster, host)) {
        expect(path).toMatchObject({ mtuBytes: 1500, problems: [] })
      }
      expect(await warnings(cluster, host)).toEqual([])
    }
    // What one host found is told to the others.
    await until(
      'h2 knows what h1 found',
      async () => (await paths(cluster, 'h1', 'h2')).length === 2,
    )
    const text = await cluster.carrick('h2', 'host', 'get', 'h1')
    expect(text).toMatch(/PATH TO +CARRIER +MTU +EXPECTED +PROBLEMS +PROBED/)
    expect(text).toMatch(/^h2 +vxlan +1500 +1500 +- /m)
  },
)

clusterTest('a smaller way is found to the byte, and used', { daemon: FAST }, async (cluster) => {
  const [a, b] = await pair(cluster, 'vxlan')
  assert.ok(streams(a, b), 'before')
  cluster.lab.setFault('h1', compileFault({ kind: 'small-path', bytes: 1432 }))
  await untilPath(cluster, { mtuBytes: 1432, problems: ['smaller-path'] })
  await until('streams pass again', () => streams(a, b))
  assert.ok(datagrams(a, b, 9000), 'datagrams in pieces fit')
  assert.match((await warnings(cluster, 'h1')).join('\n'), /larger than 1432 bytes vanish .* to h2/)
  // The other direction is sound, and stays so.
  expect(await warnings(cluster, 'h2')).toEqual([])
  cluster.lab.setFault('h1', undefined)
  await untilPath(cluster, { mtuBytes: 1500, problems: [] })
  expect(await warnings(cluster, 'h1')).toEqual([])
})

clusterTest('what was found outlives the daemon', { daemon: FAST }, async (cluster) => {
  const [a, b] = await pair(cluster, 'vxlan')
  cluster.lab.setFault('h1', compileFault({ kind: 'small-path', bytes: 1400 }))
  await untilPath(cluster, { mtuBytes: 1400, problems: ['smaller-path'] })
  await until('the status is published', async () => {
    const [path] = await paths(cluster, 'h1', 'h2')
    return path?.mtuBytes === 1400
  })
  await cluster.killDaemon('h1')
  assert.ok(streams(a, b), 'without the daemon')
  cluster.startDaemon('h1', FAST)
  await cluster.settled('h1')
  assert.ok(streams(a, b), 'with the next one')
  expect(await paths(cluster, 'h1')).toMatchObject([{ mtuBytes: 1400 }])
})

clusterTest('a link that drops pieces of packets is told', { daemon: FAST }, async (cluster) => {
  const [a, b] = await pair(cluster, 'direct')
  assert.ok(datagrams(a, b, 4000), 'before')
  cluster.lab.setFault('h1', compileFault({ kind: 'drop-fragments' }))
  await untilPath(cluster, { mtuBytes: 1500, problems: ['fragments-dropped'] })
  assert.match(
    (await warnings(cluster, 'h1')).join('\n'),
    /in pieces vanish on the way to h2 \(direct\)/,
  )
  assert.ok(streams(a, b), 'streams never needed pieces')
  cluster.lab.setFault('h1', undefined)
  await untilPath(cluster, { problems: [] })
})

clusterTest('a card that sums up wrong is not asked to', { daemon: FAST }, async (cluster) => {
  const [a, b] = await pair(cluster, 'vxlan')
  cluster.lab.setFault('h1', compileFault({ kind: 'corrupt-offloaded' }))
  await untilPath(cluster, { mtuBytes: 1500, problems: ['checksums-corrupted'] })
  await until('streams pass again', () => streams(a, b))
  assert.match(await features(cluster, a), /^tx-checksumming: off$/m)
  assert.match(
    (await warnings(cluster, 'h1')).join('\n'),
    /arrive wrong on the way to h2 \(vxlan\)/,
  )
  // So does the host for what it sends into the network.
  const gateway = await shell(cluster, 'h1', 'ethtool -k "$(ls /sys/class/net | grep ^ckg)"')
  assert.match(gateway, /^tx-checksumming: off$/m)
  // A container that comes now is told at once.
  const late = await cluster.attach('blue', 'h1', 'late')
  await knows(cluster, 'h2', 'late')
  assert.match(await features(cluster, late), /^tx-checksumming: off$/m)
  assert.match(await features(cluster, b, 'h2'), /^tx-checksumming: on$/m)
  cluster.lab.setFault('h1', undefined)
  await untilPath(cluster, { problems: [] })
  await until('the card is asked again', async () => {
    return /^tx-checksumming: on$/m.test(await features(cluster, a))
  })
})

clusterTest(
  'a host that is away says nothing about the way to it',
  { daemon: FAST },
  async (cluster) => {
    await pair(cluster, 'vxlan')
    await untilPath(cluster, { mtuBytes: 1500, problems: [] })
    cluster.lab.cut('h2')
    await untilPath(cluster, { mtuBytes: 1500, problems: ['no-answer'] })
    expect((await warnings(cluster, 'h1')).filter((text) => /h2/.test(text))).toEqual([])
    cluster.lab.heal('h2')
    await untilPath(cluster, { mtuBytes: 1500, problems: [] })
  },
)

/** A network, and a container of it on each of two hosts. */
async function pair(cluster: Cluster, carrier: string): Promise<readonly [Container, Container]> {
  await createNetwork(cluster, 'blue', ['--subnet', '10.80.0.0/16', '--carrier', carrier])
  const a = await cluster.attach('blue', 'h1', 'a')
  const b = await cluster.attach('blue', 'h2', 'b')
  await knows(cluster, 'h1', 'a', 'b')
  await knows(cluster, 'h2', 'a', 'b')
  return [a, b]
}

/** What a host found, as a host tells it. */
async function paths(cluster: Cluster, of: string, asked = of): Promise<readonly Path[]> {
  const host = await cluster.json<{ status: { paths: Path[] } }>(asked, 'host', 'get', of)
  return host.status.paths
}

/** Waits until the first host's only way is as told. */
async function untilPath(cluster: Cluster, want: Partial<Path>): Promise<void> {
  let last: readonly Path[] = []
  try {
    await until(
      'the way is found',
      async () => {
        last = await paths(cluster, 'h1')
        const [path] = last
        return (
          path !== undefined &&
          (want.mtuBytes === undefined || path.mtuBytes === want.mtuBytes) &&
          path.problems.join() === want.problems?.join()
        )
      },
      FIND_MS,
    )
  } catch (cause) {
    throw new Error(`wanted ${JSON.stringify(want)}, found ${JSON.stringify(last)}`, { cause })
  }
}

async function warnings(cluster: Cluster, host: string): Promise<readonly string[]> {
  const status = await cluster.json<{ status: { warnings: string[] } }>(host, 'status')
  return status.status.warnings
}

function streams(a: Container, b: Container): boolean {
  return endsOf(a, b).every(([from, to]) => streamBytes(from, to, STREAM_BYTES) === STREAM_BYTES)
}

function datagrams(a: Container, b: Container, size: number): boolean {
  return endsOf(a, b).every(([from, to]) => exchangeDatagrams(from, to, size, 2) === 2)
}

/** What ethtool says of a container's interface. */
function features(cluster: Cluster, { name }: Container, host = 'h1'): Promise<string> {
  return shell(cluster, host, `nsenter --net=/run/netns/${name} ethtool -k eth0`)
}
