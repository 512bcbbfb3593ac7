/** Packets from other hosts, shown to `from_underlay`: owners, networks, exact stripping, what is not ours. */

import { afterAll, describe, expect, test } from 'bun:test'
import * as maps from '../../src/hoststate/maps.ts'
import { familyOf, type IP } from '../../src/net/ip.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import * as fx from './datapath/fabric.ts'
import * as pk from './datapath/packet.ts'

const fabric = new fx.Fabric()
afterAll(() => fabric[Symbol.dispose]())

const { A, B, C, D, FABRIC } = fx
/** The loopback device's own MAC: anything else would be another host's packet. */
const TO = pk.mac('00:00:00:00:00:00')

function etherOf(to: typeof TO, from: typeof TO, packet: Uint8Array): pk.Bytes {
  return pk.ether(to, from, (packet[0] ?? 0) >> 4 === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6, packet)
}

interface Outer {
  readonly source: IP
  readonly destination?: IP
  readonly vni?: number
  readonly flags?: number
  readonly port?: number
  readonly tos?: number
  readonly fragment?: number
  readonly checksum?: boolean
}

/** The inner frame as another host would send it. */
function wrap(outer: Outer, inner: Uint8Array): pk.Bytes {
  const { source, tos = 0, fragment = 0x4000, port = maps.VXLAN_PORT } = outer
  const destination = outer.destination ?? (familyOf(source) === 4 ? fx.HERE.ip4 : fx.HERE.ip6)
  const body = pk.vxlan(outer.vni ?? fx.VNI, inner, outer.flags)
  const udp = pk.udp(source, destination, 50_000, port, body)
  if (!outer.checksum) udp.fill(0, 6, 8)
  const header = { source, destination, protocol: pk.PROTO.UDP, tos, fragment }
  return etherOf(TO, fx.PEER_MAC, pk.ipPacket(header, udp))
}

const show = (bytes: Uint8Array, more = {}) => fabric.verdict('from_underlay', bytes, more)

for (const { outer, host, from } of [
  { outer: 4, host: fx.HOST1, from: C },
  { outer: 6, host: fx.HOST2, from: D },
]) {
  for (const family of [4, 6] as const) {
    const of = (end: { ip4: IP; ip6: IP }) => (family === 4 ? end.ip4 : end.ip6)
    const packet = (more = {}) => pk.tcpPacket({ source: of(from), destination: of(A), ...more })
    const inner = (more = {}) => etherOf(FABRIC, from.mac, packet(more))

    describe(`IPv${family} in IPv${outer}`, () => {
      test('is delivered under the MACs of endpoint and fabric', () => {
        const before = fabric.traffic('vxlan-in').packets
        const { verdict, bytes } = fabric.run('from_underlay', {
          bytes: wrap({ source: host }, inner()),
        })
        expect(verdict).toBe(fx.VERDICT.REDIRECT)
        expect(bytes).toEqual(etherOf(A.mac, FABRIC, packet()))
        expect(fabric.traffic('vxlan-in').packets).toBe(before + 1)
      })

      for (const { what, bytes, want } of [
        {
          what: 'from a stranger',
          bytes: wrap(
            { source: familyOf(host) === 4 ? pk.ip('198.51.100.9') : pk.ip('2001:db8:51::9') },
            inner(),
          ),
          want: 'wrong-host',
        },
        {
          what: 'with the source of an endpoint of another host',
          bytes: wrap({ source: host }, inner({ source: of(from === C ? D : C) })),
          want: 'wrong-host',
        },
        {
          what: 'with the source of an endpoint here',
          bytes: wrap({ source: host }, inner({ source: of(B) })),
          want: 'wrong-host',
        },
        {
          what: 'with a source that nobody has',
          bytes: wrap({ source: host }, inner({ source: of(fx.ABSENT) })),
          want: 'wrong-host',
        },
        {
          what: 'for an absent endpoint',
          bytes: wrap({ source: host }, inner({ destination: of(fx.ABSENT) })),
          want: 'no-endpoint',
        },
        {
          what: 'for an endpoint of a third host',
          bytes: wrap({ source: host }, inner({ destination: of(from === C ? D : C) })),
          want: 'no-endpoint',
        },
        {
          what: 'of a network that is not here',
          bytes: wrap({ source: host, vni: 99 }, inner()),
          want: 'no-network',
        },
        {
          what: 'carrying ARP',
          bytes: wrap({ source: host }, pk.ether(FABRIC, from.mac, pk.ETH.ARP, new Uint8Array(46))),
          want: 'ignored',
        },
        {
          what: 'carrying a tag',
          bytes: wrap(
            { source: host },
            pk.ether(FABRIC, from.mac, pk.ETH.VLAN, new Uint8Array(46)),
          ),
          want: 'tagged',
        },
        {
          what: 'carrying something else',
          bytes: wrap({ source: host }, pk.ether(FABRIC, from.mac, 0x88cc, new Uint8Array(46))),
          want: 'not-ip',
        },
        {
          what: 'to another address',
          bytes: wrap({ source: host, destination: of(fx.OUTSIDE) }, inner()),
          want: 'not ours',
        },
        {
          what: 'to another port',
          bytes: wrap({ source: host, port: 4790 }, inner()),
          want: 'not ours',
        },
        {
          what: 'with unknown flags',
          bytes: wrap({ source: host, flags: 0x08000001 }, inner()),
          want: 'not ours',
        },
        {
          what: 'with an outer checksum',
          bytes: wrap({ source: host, checksum: true }, inner()),
          want: 'not ours',
        },
      ].filter(({ what }) => what !== 'to another address' || familyOf(host) === family)) {
        test(`${what}: ${want}`, () => expect(show(bytes)).toBe(want))
      }

      test('a super-packet that is not TCP is left to the vxlan device', () => {
        const more = { gsoBytes: 1000, gsoSegments: 2 }
        const udp = pk.udpPacket({ source: of(from), destination: of(A) }, new Uint8Array(2000))
        expect(show(wrap({ source: host }, etherOf(FABRIC, from.mac, udp)), more)).toBe('not ours')
      })

      for (const { ends, way, want } of [
        { ends: 0, way: 0, want: 0 },
        { ends: 2, way: 2, want: 2 },
        { ends: 2, way: 3, want: 3 },
        { ends: 1, way: 3, want: 3 },
        { ends: 2, way: 1, want: 1 },
        { ends: 3, way: 1, want: 3 },
        { ends: 0, way: 3, want: undefined },
      ]) {
        test(`ECN ${ends} inside and ${way} outside gives ${want ?? 'a drop'}`, () => {
          const bytes = wrap({ source: host, tos: way }, inner({ tos: 0xb8 | ends }))
          const result = fabric.run('from_underlay', { bytes })
          if (want === undefined) expect(show(bytes)).toBe('congested')
          else expect(result.bytes).toEqual(etherOf(A.mac, FABRIC, packet({ tos: 0xb8 | want })))
        })
      }

      test('without the newer kernel flags, the other family is left to the vxlan device', () => {
        fabric.put(maps.config, { ...fx.CONFIG, crossFamilyStrip: false })
        try {
          expect(show(wrap({ source: host }, inner()))).toBe(
            outer === family ? 'redirected' : 'not ours',
          )
        } finally {
          fabric.put(maps.config, fx.CONFIG)
        }
      })

      test('a fragment inside is delivered as it is', () => {
        const fragment = pk.ipPacket(
          {
            source: of(from),
            destination: of(A),
            protocol: family === 4 ? 17 : 44,
            fragment: 0x2001,
          },
          new Uint8Array(64),
        )
        const bytes = wrap({ source: host }, etherOf(FABRIC, from.mac, fragment))
        expect(fabric.run('from_underlay', { bytes }).bytes).toEqual(
          etherOf(A.mac, FABRIC, fragment),
        )
      })
    })
  }
}

test('fragments outside, options outside: left to the kernel', () => {
  const inner = etherOf(FABRIC, C.mac, pk.tcpPacket({ source: C.ip4, destination: A.ip4 }))
  expect(show(wrap({ source: fx.HOST1, fragment: 0x2000 }, inner))).toBe('not ours')
  expect(show(wrap({ source: fx.HOST1, fragment: 0x0010 }, inner))).toBe('not ours')
  const udp = pk.udp(fx.HOST1, fx.HERE.ip4, 1, maps.VXLAN_PORT, pk.vxlan(fx.VNI, inner))
  const header = { source: fx.HOST1, destination: fx.HERE.ip4, protocol: 17 }
  const options = pk.ipPacket({ ...header, options: new Uint8Array(4) }, udp)
  expect(show(etherOf(TO, fx.PEER_MAC, options))).toBe('not ours')
})

test("another host's packet on a shared wire is not ours", () => {
  const inner = etherOf(FABRIC, C.mac, pk.tcpPacket({ source: C.ip4, destination: A.ip4 }))
  const bytes = wrap({ source: fx.HOST1 }, inner)
  bytes.set([2, 0, 0, 0, 0, 9])
  expect(show(bytes)).toBe('not ours')
})

describe('direct', () => {
  const direct = new fx.Fabric()
  afterAll(() => direct[Symbol.dispose]())
  direct.put(maps.config, { ...fx.CONFIG, direct: true })
  for (const text of ['10.80.0.0/16', 'fd80::/48']) {
    const prefix = parsePrefix(text)
    if (prefix !== undefined) direct.put(maps.directPrefixes, { prefix, vni: fx.VNI })
  }
  const look = (bytes: Uint8Array) => direct.verdict('from_underlay', bytes)

  for (const family of [4, 6] as const) {
    const of = (end: { ip4: IP; ip6: IP }) => (family === 4 ? end.ip4 : end.ip6)
    const packet = pk.udpPacket({ source: of(C), destination: of(A) })

    test(`IPv${family}: a bare packet of a peer is delivered`, () => {
      const { verdict, bytes } = direct.run('from_underlay', {
        bytes: etherOf(TO, fx.PEER_MAC, packet),
      })
      expect(verdict).toBe(fx.VERDICT.REDIRECT)
      expect(bytes).toEqual(etherOf(A.mac, FABRIC, packet))
    })

    test(`IPv${family}: strangers, absent endpoints and the host's own packets`, () => {
      const from = (source: IP, destination: IP, mac = fx.PEER_MAC) =>
        look(etherOf(TO, mac, pk.udpPacket({ source, destination })))
      expect(from(of(C), of(A), pk.mac('02:00:00:00:00:99'))).toBe('wrong-host')
      expect(from(of(fx.OUTSIDE), of(A))).toBe('wrong-host')
      expect(from(of(B), of(A))).toBe('wrong-host')
      expect(from(of(C), of(fx.ABSENT))).toBe('no-endpoint')
      expect(from(of(C), of(D))).toBe('no-endpoint')
      expect(from(of(C), of(fx.HERE))).toBe('not ours')
    })
  }
})
