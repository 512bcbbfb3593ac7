/** The host's gateways with the real dataplane and real packets, judged by what arrives where. */

import { expect, test } from 'bun:test'
import type { Network } from '../../src/model/network.ts'
import { askDatagram, askStream } from './gateway/ask.ts'
import { HOST, OUTSIDE, Scene, until } from './gateway/scene.ts'
import {
  ANY,
  BESIDE,
  BESIDE_GATEWAY,
  blue,
  FAMILIES,
  GATEWAY,
  OWN,
  SOURCE,
  twins,
} from './gateway/twins.ts'

for (const filter of [0, 1, 2]) {
  test(`with rp_filter ${filter} equal containers of equal networks reach the outside, each by itself`, async () => {
    await using scene = new Scene()
    scene.host.run(`sysctl -qw net.ipv4.conf.all.rp_filter=${filter}`)
    const { a, b, c } = await twins(scene)
    for (const family of FAMILIES) {
      const server = { ns: scene.outside, address: OUTSIDE[family], port: 53 }
      for (const ask of [askDatagram, askStream]) {
        // Twice each, the same addresses and ports: the connections of the other are still remembered.
        for (const { ns } of [a, b, a, b]) {
          const client = { ns, address: SOURCE[family], port: 4000 }
          expect(ask(client, server)).toEqual({ seen: HOST[family], answered: true })
        }
        const client = { ns: c.ns, address: BESIDE[family], port: 4000 }
        expect(ask(client, server)).toEqual({ seen: HOST[family], answered: true })
      }
    }
    expect(scene.leaked()).toBe(0)
  }, 60_000)
}

test('equal containers ask the host at once, from equal ports, and each is answered', async () => {
  await using scene = new Scene()
  const { a, b } = await twins(scene)
  for (const family of FAMILIES) {
    for (const ask of [askDatagram, askStream]) {
      for (const { ns } of [a, b, a, b]) {
        for (const address of [GATEWAY[family], HOST[family]]) {
          const server = { ns: scene.host, address, port: 53 }
          const client = { ns, address: SOURCE[family], port: 4001 }
          expect(ask(client, server)).toEqual({ seen: SOURCE[family], answered: true })
        }
      }
    }
  }
}, 60_000)

test('the host asks a container: of a plain network by its route, of an equal one by its device', async () => {
  await using scene = new Scene()
  const { a, b } = await twins(scene)
  for (const family of FAMILIES) {
    const own = OWN[family]
    const client = { ns: scene.host, address: ANY[family], port: 4002 }
    for (const ask of [askDatagram, askStream]) {
      const plain = { ns: a.ns, address: SOURCE[family], port: 80 }
      expect(ask(client, plain)).toEqual({ seen: own, answered: true })
      const equal = { ns: b.ns, address: SOURCE[family], port: 80 }
      const byDevice = { ...client, device: 'ckg101' }
      expect(ask(byDevice, equal)).toEqual({ seen: own, answered: true })
    }
  }
}, 60_000)

test('nothing crosses: no other network, no address of the host in one, no loopback', async () => {
  await using scene = new Scene()
  const { a, c } = await twins(scene)
  const nobody = { seen: undefined, answered: false }
  for (const family of FAMILIES) {
    const [mine, other] = [BESIDE[family], BESIDE_GATEWAY[family]]
    for (const ask of [askDatagram, askStream]) {
      const from = { ns: a.ns, address: SOURCE[family], port: 4003 }
      expect(ask(from, { ns: c.ns, address: mine, port: 80 }, false)).toEqual(nobody)
      expect(ask(from, { ns: scene.host, address: other, port: 80 }, false)).toEqual(nobody)
      // A server of the host that listens everywhere.
      const anywhere = { ns: scene.host, address: ANY[family], port: 81 }
      const to = { address: other, port: 81 }
      expect(ask({ ...from, to }, anywhere, false)).toEqual(nobody)
    }
  }
  const server = { ns: scene.host, address: '127.0.0.1', port: 82 }
  for (const ns of [a.ns, scene.host]) ns.run('sysctl -qw net.ipv4.conf.all.route_localnet=1')
  a.ns.run(
    'ip addr del 127.0.0.1/8 dev lo',
    'ip route add 127.0.0.1/32 via 10.80.0.1 dev eth0 onlink',
  )
  const loopback = { ns: a.ns, address: SOURCE[4], port: 4004 }
  expect(askDatagram(loopback, server, false)).toEqual(nobody)
}, 60_000)

test('an internal network has no way out, and one that becomes internal loses it', async () => {
  await using scene = new Scene()
  const quiet: Network = { ...blue, internal: true }
  const a = scene.container('a', blue, [SOURCE[4], SOURCE[6]])
  await scene.update([quiet])
  const closed = (patient: boolean) => {
    const server = { ns: scene.outside, address: OUTSIDE[4], port: 53 }
    return askDatagram({ ns: a.ns, address: SOURCE[4], port: 4005 }, server, patient).answered
  }
  expect(closed(false)).toBe(false)
  expect(scene.host.run('ip link')).not.toContain('ckg')
  await scene.update([blue])
  expect(closed(true)).toBe(true)
  await scene.update([quiet])
  expect(closed(false)).toBe(false)
  await until('the gateway is gone', () => !scene.host.run('ip link').includes('ckg'))
  expect(scene.host.run('nft list ruleset')).not.toContain('ckg100')
  expect(scene.host.run('ip route')).not.toContain('10.80.0.0')
}, 60_000)
