/**
 * Real packets between namespaces: every combination of inner and outer family and carrier, with and without
 * offloads, datagrams of every size, segmentation offload both ways, and a narrow hop between the hosts.
 */

import { describe, expect, test } from 'bun:test'
import { exchangeDatagrams, exchangeSegments, streamBytes } from './datapath/sockets.ts'
import { type Container, Pair, run } from './datapath/wire.ts'

type Inner = 4 | 6
const MIB = 1 << 20
const OVERLAY = ['vxlan-out', 'vxlan-in'] as const
const BARE = ['direct-out', 'direct-in'] as const

function end(container: Container, inner: Inner) {
  return { ns: container.ns, address: inner === 4 ? container.ip4 : container.ip6 }
}

function ping(from: Container, to: Container, inner: Inner, more = ''): void {
  from.ns.run(`ping -n -q -c 3 -i 0.05 -W 1 ${more} ${inner === 4 ? to.ip4 : to.ip6}`)
}

/** Everything one path must carry. */
function expectTraffic(from: Container, to: Container, inner: Inner): void {
  const [source, target] = [end(from, inner), end(to, inner)]
  ping(from, to, inner)
  for (const size of [64, 1300, 1390, 9000, 65_507]) {
    expect({ size, whole: exchangeDatagrams(source, target, size, 3) }).toEqual({ size, whole: 3 })
  }
  for (const gro of [false, true]) {
    const bytes = 20 * 1300
    const result = exchangeSegments(source, target, { segment: 1300, count: 20, gro })
    expect({ gro, bytes: result.bytes }).toEqual({ gro, bytes })
  }
  expect(streamBytes(source, target, 32 * MIB)).toBe(32 * MIB)
}

function expectNoDrops(pair: Pair): void {
  for (const host of pair.hosts) expect({ ...host.drops(), ignored: 0 }).toEqual({ ignored: 0 })
}

for (const { outer, carrier } of [
  { outer: 4, carrier: 'vxlan' },
  { outer: 6, carrier: 'vxlan' },
  { outer: 4, carrier: 'direct' },
  { outer: 6, carrier: 'direct' },
] as const) {
  describe(`${carrier} over IPv${outer}`, () => {
    for (const inner of [4, 6] as const) {
      test(`IPv${inner} between hosts, both ways, with and without offloads`, () => {
        using pair = new Pair({ outer, carrier })
        expectTraffic(pair.a, pair.c, inner)
        expectTraffic(pair.c, pair.a, inner)
        for (const ns of [pair.hosts[0].ns, pair.hosts[1].ns]) {
          ns.run('ethtool -K uplink tso off gso off gro on tx off')
        }
        expectTraffic(pair.a, pair.c, inner)
        for (const { ns } of [pair.a, pair.c])
          ns.run('ethtool -K eth0 tso off gso off gro on tx off')
        expectTraffic(pair.c, pair.a, inner)
        expectNoDrops(pair)
        // Datagrams that the sender cut by segmentation offload were left to the vxlan device (R2).
        if (carrier === 'vxlan')
          expect(pair.hosts[1].traffic('device-in').packets).toBeGreaterThan(0)
        const [out, into] = carrier === 'vxlan' ? OVERLAY : BARE
        const sent = pair.hosts[0].traffic(out)
        expect(sent.bytes / sent.packets).toBeGreaterThan(5000) // streams went in super-packets
        expect(pair.hosts[1].traffic(into).packets).toBeGreaterThan(0)
      }, 60_000)
    }
  })
}

test('two containers on one host, both families', () => {
  using pair = new Pair({ outer: 4, carrier: 'vxlan' })
  for (const inner of [4, 6] as const) {
    expectTraffic(pair.a, pair.b, inner)
    // A buffer that is sent by UDP_SEGMENT arrives in one piece where UDP_GRO is asked for.
    const segments = { segment: 1000, count: 30, gro: true }
    expect(exchangeSegments(end(pair.a, inner), end(pair.b, inner), segments)).toEqual({
      bytes: 30_000,
      reads: 1,
    })
    ping(pair.a, { ...pair.a, ip4: '10.80.0.1', ip6: 'fd80::1' } as Container, inner) // the gateway
  }
  expectNoDrops(pair)
}, 60_000)

test('an absent address is unreachable at once', () => {
  using pair = new Pair({ outer: 4, carrier: 'vxlan' })
  for (const [address, want] of [
    ['10.80.9.9', 'Destination Host Unreachable'],
    ['fd80::9:9', 'Address unreachable'],
  ] as const) {
    const said = run(`${pair.a.ns.enter()} ping -n -c 1 -W 1 ${address} || true`)
    expect(said).toContain(want)
  }
}, 20_000)

for (const outer of [4, 6] as const) {
  test(`a hop of 1,400 bytes hurts nobody once the path is known: vxlan over IPv${outer}`, () => {
    using pair = new Pair({ outer, carrier: 'vxlan', routerMtuBytes: 1400 })
    for (const host of pair.hosts) host.setPathMtu(1400)
    for (const inner of [4, 6] as const) {
      const [source, target] = [end(pair.a, inner), end(pair.c, inner)]
      expect(streamBytes(source, target, 8 * MIB)).toBe(8 * MIB)
      expect(exchangeDatagrams(source, target, 1390, 3)).toBe(3)
    }
  }, 60_000)
}
