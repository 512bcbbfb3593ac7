/** Pairs for a container engine with the real dataplane and real packets: whatever the engine does with its end. */

import { expect, test } from 'bun:test'
import type { Kind } from '../../src/hoststate/state.ts'
import { networkOf } from '../../src/plan/testing.ts'
import { askDatagram, askStream } from './gateway/ask.ts'
import { HOST, OUTSIDE, Scene, until } from './gateway/scene.ts'

const blue = networkOf('blue', 100, ['10.80.0.0/16', 'fd80::/48'], 'vxlan')
const KINDS: readonly Kind[] = ['veth', 'device', 'block', 'program']
const ADDRESSES = { 4: '10.80.255.1', 6: 'fd80::ffff:0:0:1' } as const
const FAMILIES = [4, 6] as const

type Plugged = ReturnType<Scene['plug']>

/** What the engine does to its end when a container starts. */
function start(scene: Scene, { ns, endpoint }: Plugged, ifname = 'eth0'): void {
  scene.host.run(`ip link set ${endpoint.ifname} netns ${ns.name}`)
  ns.run(
    `ip link set ${endpoint.ifname} name ${ifname}`,
    ...endpoint.addresses.map((address) =>
      address.includes(':')
        ? `ip addr add ${address}/48 dev ${ifname} nodad`
        : `ip addr add ${address}/16 dev ${ifname}`,
    ),
    `ip link set ${ifname} up`,
    'ip route add default via 10.80.0.1',
    'ip -6 route add default via fd80::1',
  )
}

/** And when it stops. */
function stop(scene: Scene, { ns, endpoint }: Plugged, ifname = 'eth0'): void {
  ns.run(
    `ip link set ${ifname} down`,
    `ip link set ${ifname} name ${endpoint.ifname}`,
    `ip link set ${endpoint.ifname} netns ${scene.host.name}`,
  )
}

interface Shown {
  readonly ifname: string
  readonly address: string
  readonly mtu: number
  readonly flags: readonly string[]
}

function linksOf(ns: { run(command: string): string }): readonly Shown[] {
  const all: readonly Shown[] = JSON.parse(ns.run('ip -j link show'))
  return all.filter(({ ifname }) => /^ck(e?web|e?db)$|^eth/.test(ifname))
}

const names = (ns: { run(command: string): string }) =>
  linksOf(ns)
    .map(({ ifname }) => ifname)
    .sort()

/** Nothing was repaired, unasked or asked. */
async function expectNoDrift(scene: Scene): Promise<void> {
  expect(await scene.audit(KINDS)).toEqual({ repaired: {}, failures: [] })
  expect(await scene.repairs()).toEqual({})
}

async function begin(scene: Scene): Promise<Plugged> {
  const web = scene.plug('web', blue, [ADDRESSES[4], ADDRESSES[6]])
  scene.container('cli', blue, ['10.80.255.9', 'fd80::ffff:0:0:9'])
  await scene.update([blue])
  return web
}

/** The container reaches another one, the host and the outside. */
function expectReach(scene: Scene, { ns }: Plugged): void {
  const [cli] = scene.containers
  if (cli === undefined) throw new Error('there is no other container')
  for (const family of FAMILIES) {
    const client = { ns, address: ADDRESSES[family], port: 4000 }
    const near = {
      ns: cli.ns,
      address: cli.endpoint.addresses[family === 4 ? 0 : 1] ?? '',
      port: 80,
    }
    const seen = ADDRESSES[family]
    for (const ask of [askStream, askDatagram]) {
      expect(ask(client, near)).toEqual({ seen, answered: true })
      const host = { ns: scene.host, address: HOST[family], port: 53 }
      expect(ask(client, host)).toEqual({ seen, answered: true })
      const far = { ns: scene.outside, address: OUTSIDE[family], port: 53 }
      expect(ask(client, far)).toEqual({ seen: HOST[family], answered: true })
    }
  }
}

test('both ends are born on the host, the engine’s one down and ready', async () => {
  await using scene = new Scene()
  const { endpoint } = await begin(scene)
  const theirs = linksOf(scene.host).find(({ ifname }) => ifname === endpoint.ifname)
  expect(theirs?.address).toBe(endpoint.mac)
  expect(theirs?.mtu).toBe(1450)
  expect(theirs?.flags).not.toContain('UP')
  await expectNoDrift(scene)
  scene.plugged[0]?.ns[Symbol.dispose]()
  scene.plugged.length = 0
  await scene.update([blue])
  await until('both ends are gone', () => names(scene.host).join() === 'eth0')
  await expectNoDrift(scene)
}, 60_000)

test('a container starts, stops and starts again, and nothing of it is drift', async () => {
  await using scene = new Scene()
  const web = await begin(scene)
  for (const ifname of ['eth0', 'eth1']) {
    start(scene, web, ifname)
    expectReach(scene, web)
    await expectNoDrift(scene)
    expect(names(scene.host)).toEqual(['ckweb', 'eth0'])
    stop(scene, web, ifname)
    await expectNoDrift(scene)
    expect(names(scene.host)).toEqual(['ckeweb', 'ckweb', 'eth0'])
  }
}, 60_000)

test('an endpoint is detached while its end is in a container', async () => {
  await using scene = new Scene()
  const web = await begin(scene)
  start(scene, web)
  using _box = web.ns
  scene.plugged.length = 0
  await scene.update([blue])
  await until('both ends are gone', () => names(scene.host).join() === 'eth0')
  expect(names(web.ns)).toEqual([])
  await expectNoDrift(scene)
}, 60_000)

test('a pair that goes with its container is not made again, and nothing is repaired', async () => {
  await using scene = new Scene()
  const web = await begin(scene)
  const db = scene.plug('db', blue, ['10.80.255.2', 'fd80::ffff:0:0:2'])
  await scene.update([blue])
  start(scene, web)
  start(scene, db)
  scene.plugged.splice(scene.plugged.indexOf(web), 1)
  web.ns[Symbol.dispose]()
  await until('its end on the host is gone', () => !names(scene.host).includes('ckweb'))
  await expectNoDrift(scene)
  // Its record changes, and stays for a while: an orphan.
  const box = scene.plug('web', blue, [ADDRESSES[4], ADDRESSES[6]])
  await scene.update([{ ...blue, name: 'azure' }])
  await expectNoDrift(scene)
  expect(names(scene.host)).toEqual(['ckdb', 'eth0'])
  // What it had is nobody's: another endpoint may have it.
  box.ns[Symbol.dispose]()
  scene.plugged.splice(scene.plugged.indexOf(box), 1)
  await scene.update([blue])
  await expectNoDrift(scene)
  const again = scene.plug('web', blue, [ADDRESSES[4], ADDRESSES[6]])
  await scene.update([blue])
  start(scene, again)
  expectReach(scene, again)
  await expectNoDrift(scene)
}, 60_000)

test('after a crash of the daemon what stands is kept, and what went meanwhile is not made', async () => {
  await using scene = new Scene()
  const web = await begin(scene)
  const db = scene.plug('db', blue, ['10.80.255.2', 'fd80::ffff:0:0:2'])
  await scene.update([blue])
  start(scene, web)
  start(scene, db)
  await scene.kill()
  db.ns[Symbol.dispose]()
  await until('its end on the host is gone', () => !names(scene.host).includes('ckdb'))
  const earlier = [web, db].map(({ ns, endpoint }) => ({
    ns,
    endpoint: { ...endpoint, run: 'earlier' },
  }))
  scene.plugged.splice(0, 2, ...earlier)
  await scene.update([blue])
  expect(names(scene.host)).toEqual(['ckweb', 'eth0'])
  expectReach(scene, web)
  await expectNoDrift(scene)
  scene.plugged.pop()
  await scene.update([blue])
  stop(scene, web)
  await expectNoDrift(scene)
}, 60_000)
