/**
 * Real packets through a gateway device: between the host and its containers, to containers elsewhere and
 * back, and from containers to a machine outside.
 */

import { expect, test } from 'bun:test'
import { addGateway, Outside, selfOf } from './datapath/live-gateway.ts'
import { exchangeDatagrams, exchangeSegments, streamBytes } from './datapath/sockets.ts'
import { Pair } from './datapath/wire.ts'

const MIB = 1 << 20
/** A buffer that leaves the sender in one piece, as QUIC and DNS servers send it. */
const SEGMENTS = { segment: 1300, count: 20, gro: false }

type Ends = { readonly ip4: string; readonly ip6: string }
const of = <E extends Ends>(inner: 4 | 6, ends: E) =>
  (inner === 4 ? ends.ip4 : ends.ip6) as E['ip4']

/** Two hosts with gateways, and a machine outside of the first one. */
function scene(carrier: 'vxlan' | 'direct', outer: 4 | 6 = 4) {
  const stack = new DisposableStack()
  try {
    const pair = stack.use(new Pair({ outer, carrier }))
    const [first, second] = pair.hosts
    addGateway(first, second, carrier, carrier === 'direct' ? 1500 : 1430)
    addGateway(second, first, carrier, carrier === 'direct' ? 1500 : 1430)
    const outside = stack.use(new Outside(first))
    return { pair, outside, [Symbol.dispose]: () => stack.dispose() }
  } catch (error) {
    stack.dispose()
    throw error
  }
}

for (const { carrier, outer } of [
  { carrier: 'vxlan', outer: 4 },
  { carrier: 'vxlan', outer: 6 },
  { carrier: 'direct', outer: 4 },
] as const) {
  test(`${carrier} over IPv${outer}: the host, its containers, and those of the other host`, () => {
    using all = scene(carrier, outer)
    const { pair } = all
    const [first, second] = pair.hosts
    for (const inner of [4, 6] as const) {
      const host = { ns: first.ns, address: of(inner, selfOf(first)) }
      const other = { ns: second.ns, address: of(inner, selfOf(second)) }
      for (const container of [pair.a, pair.c]) {
        const end = { ns: container.ns, address: of(inner, container) }
        for (const [from, to] of [
          [host, end],
          [end, host],
        ] as const) {
          expect(streamBytes(from, to, 4 * MIB)).toBe(4 * MIB)
          for (const size of [64, 1390, 9000]) expect(exchangeDatagrams(from, to, size, 2)).toBe(2)
          expect(exchangeSegments(from, to, SEGMENTS).bytes).toBe(SEGMENTS.segment * SEGMENTS.count)
        }
      }
      expect(streamBytes(host, other, 4 * MIB)).toBe(4 * MIB)
    }
    for (const host of pair.hosts) {
      const { ignored: _, ...drops } = host.drops()
      expect(drops).toEqual({})
      expect(host.traffic('to-host').packets).toBeGreaterThan(0)
    }
  }, 60_000)
}

for (const filter of [0, 1, 2]) {
  test(`with rp_filter ${filter} a container reaches the outside in both families`, () => {
    using all = scene('vxlan')
    const { pair, outside } = all
    const [first] = pair.hosts
    first.ns.run(`sysctl -qw net.ipv4.conf.all.rp_filter=${filter}`)
    for (const inner of [4, 6] as const) {
      const from = { ns: pair.a.ns, address: of(inner, pair.a) }
      const to = { ns: outside.ns, address: of(inner, outside) }
      expect(streamBytes(from, to, 8 * MIB)).toBe(8 * MIB)
      expect(exchangeDatagrams(from, to, 1300, 3)).toBe(3)
      expect(exchangeSegments(from, to, SEGMENTS).bytes).toBe(SEGMENTS.segment * SEGMENTS.count)
    }
  }, 60_000)
}

test("without the host's table nothing enters a network, and it opens again with it", () => {
  using all = scene('vxlan')
  const { pair } = all
  const [first] = pair.hosts
  const from = { ns: first.ns, address: selfOf(first).ip4 }
  const to = { ns: pair.a.ns, address: pair.a.ip4 }
  const rules = first.ns.run('nft list ruleset')
  first.ns.run('nft flush ruleset')
  expect(exchangeDatagrams(from, to, 100, 1)).toBe(0)
  expect(first.drops()['closed']).toBeGreaterThan(0)
  first.ns.run(`nft '${rules}'`)
  expect(exchangeDatagrams(from, to, 100, 1)).toBe(1)
}, 60_000)

test('the host is told at once what cannot arrive', () => {
  using all = scene('vxlan')
  const { pair } = all
  const [first] = pair.hosts
  for (const [address, want] of [
    ['10.80.9.9', 'Destination Host Unreachable'],
    ['fd80::9:9', 'Address unreachable'],
  ] as const) {
    expect(first.ns.run(`sh -c 'ping -n -c 1 -W 1 ${address} || true'`)).toContain(want)
  }
  // A path narrower than the network: the stack learns its size from the program's error.
  first.setPathMtu(1350)
  for (const inner of [4, 6] as const) {
    const from = { ns: first.ns, address: of(inner, selfOf(first)) }
    const to = { ns: pair.c.ns, address: of(inner, pair.c) }
    expect(streamBytes(from, to, MIB)).toBe(MIB)
    expect(exchangeDatagrams(from, to, 1390, 3)).toBe(3)
  }
}, 60_000)
