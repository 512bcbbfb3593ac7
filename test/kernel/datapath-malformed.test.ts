/** Packets that are cut off at every length, or whose lengths contradict each other: never past the checks. */

import { afterAll, describe, expect, test } from 'bun:test'
import * as maps from '../../src/hoststate/maps.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import * as fx from './datapath/fabric.ts'
import * as pk from './datapath/packet.ts'

const fabric = new fx.Fabric()
afterAll(() => fabric[Symbol.dispose]())
fabric.put(maps.config, { ...fx.CONFIG, direct: true })
const prefix = parsePrefix('10.80.0.0/16')
if (prefix !== undefined) fabric.put(maps.directPrefixes, { prefix, vni: fx.VNI })

const { A, B, C, FABRIC } = fx
const TO = pk.mac('00:00:00:00:00:00')
/** The shortest frame a test run takes; shorter ones are sent for real in datapath-device.test.ts. */
function shortest(frame: Uint8Array): number {
  const type = pk.get16(frame, 12)
  return type === pk.ETH.IPV4 ? 34 : type === pk.ETH.IPV6 ? 54 : 14
}

const out4 = pk.ether(
  FABRIC,
  A.mac,
  pk.ETH.IPV4,
  pk.tcpPacket({ source: A.ip4, destination: C.ip4 }),
)
const out6 = pk.ether(
  FABRIC,
  A.mac,
  pk.ETH.IPV6,
  pk.tcpPacket({ source: A.ip6, destination: C.ip6 }),
)
const arp = pk.ether(
  pk.mac('ff:ff:ff:ff:ff:ff'),
  A.mac,
  pk.ETH.ARP,
  pk.arp(1, { mac: A.mac, ip: A.ip4 }, { mac: TO, ip: B.ip4 }),
)
const solicitation = pk.ether(
  pk.mac('33:33:ff:00:00:20'),
  A.mac,
  pk.ETH.IPV6,
  pk.neighbourMessage(135, A.ip6, pk.ip('ff02::1:ff00:20'), B.ip6, A.mac),
)
const echo = pk.ether(
  FABRIC,
  A.mac,
  pk.ETH.IPV4,
  pk.icmpPacket({ source: A.ip4, destination: fx.GATEWAY.ip4 }, 8, 0, new Uint8Array(20)),
)

function cut(frame: Uint8Array): pk.Bytes[] {
  const from = shortest(frame)
  return Array.from({ length: frame.length - from }, (_, i) => frame.slice(0, from + i))
}

describe('from a container', () => {
  for (const [what, frame] of [
    ['TCP over IPv4', out4],
    ['TCP over IPv6', out6],
    ['ARP', arp],
    ['a neighbour solicitation', solicitation],
    ['an echo request', echo],
  ] as const) {
    test(`${what}, cut at every length, is dropped`, () => {
      for (const bytes of cut(frame)) {
        const verdict = fabric.verdict('from_container', bytes)
        expect({ length: bytes.length, verdict }).toMatchObject({
          verdict: expect.stringMatching(/^(malformed|ignored)$/),
        })
      }
      expect(fabric.verdict('from_container', frame)).toBe('redirected')
    })
  }

  for (const [what, at, value] of [
    ['version 5', 14, 0x55],
    ['version 0', 14, 0x05],
    ['a header of 16 bytes', 14, 0x44],
    ['a header longer than the packet', 14, 0x4f],
    ['a total length below its header', 17, 19],
    ['a total length above the packet', 16, 0xff],
  ] as const) {
    test(`IPv4 with ${what}`, () => {
      const frame = out4.slice()
      if (what.startsWith('a total length below')) frame[16] = 0
      frame[at] = value
      expect(fabric.verdict('from_container', frame)).toBe('malformed')
    })
  }

  for (const [what, at, value] of [
    ['version 4', 14, 0x40],
    ['a payload longer than the packet', 18, 0xff],
  ] as const) {
    test(`IPv6 with ${what}`, () => {
      const frame = out6.slice()
      frame[at] = value
      expect(fabric.verdict('from_container', frame)).toBe('malformed')
    })
  }

  test('IPv4 options and fragments, IPv6 extension headers go through the same checks', () => {
    const send = (packet: pk.Bytes, from = A.mac) =>
      fabric.verdict(
        'from_container',
        pk.ether(
          FABRIC,
          from,
          packet[0] === undefined || packet[0] >> 4 === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6,
          packet,
        ),
      )
    for (const [source, want] of [
      [A, 'redirected'],
      [B, 'spoofed'],
    ] as const) {
      for (const to of [B, C]) {
        const four = {
          source: source.ip4,
          destination: to === source ? C.ip4 : to.ip4,
          protocol: 17,
        }
        const six = { source: source.ip6, destination: to === source ? C.ip6 : to.ip6 }
        expect(
          send(pk.ipPacket({ ...four, options: new Uint8Array(40) }, new Uint8Array(30))),
        ).toBe(want)
        expect(send(pk.ipPacket({ ...four, fragment: 0x2000 }, new Uint8Array(64)))).toBe(want)
        expect(send(pk.ipPacket({ ...four, fragment: 0x2008 }, new Uint8Array(64)))).toBe(want)
        expect(send(pk.ipPacket({ ...four, fragment: 0x0008 }, new Uint8Array(3)))).toBe(want)
        for (const protocol of [0, 43, 44, 60, 59, 50]) {
          const body = Uint8Array.from({ length: 24 }, (_, i) => (i === 0 ? pk.PROTO.UDP : 0))
          expect(send(pk.ipPacket({ ...six, protocol }, body))).toBe(want)
        }
      }
    }
  })

  test('an ICMPv6 message hidden behind an extension header is no neighbour message', () => {
    const message = pk.neighbourMessage(135, A.ip6, B.ip6, B.ip6, A.mac).slice(40)
    const hidden = pk.concat(Uint8Array.of(pk.PROTO.ICMPV6, 0, 0, 0, 0, 0, 0, 0), message)
    const header = { source: A.ip6, destination: pk.ip('ff02::1:ff00:20'), protocol: 0, hops: 255 }
    const frame = pk.ether(
      pk.mac('33:33:ff:00:00:20'),
      A.mac,
      pk.ETH.IPV6,
      pk.ipPacket(header, hidden),
    )
    expect(fabric.verdict('from_container', frame)).toBe('ignored')
  })
})

describe('from the underlay', () => {
  const wrap = (inner: Uint8Array) => {
    const body = pk.vxlan(fx.VNI, inner)
    const udp = pk.udp(fx.HOST1, fx.HERE.ip4, 50_000, maps.VXLAN_PORT, body)
    udp.fill(0, 6, 8)
    const header = { source: fx.HOST1, destination: fx.HERE.ip4, protocol: pk.PROTO.UDP }
    return pk.ether(TO, fx.PEER_MAC, pk.ETH.IPV4, pk.ipPacket(header, udp))
  }
  const inner4 = pk.ether(
    FABRIC,
    C.mac,
    pk.ETH.IPV4,
    pk.tcpPacket({ source: C.ip4, destination: A.ip4 }),
  )
  const inner6 = pk.ether(
    FABRIC,
    C.mac,
    pk.ETH.IPV6,
    pk.tcpPacket({ source: C.ip6, destination: A.ip6 }),
  )

  test('an inner packet, cut at every length, is dropped', () => {
    for (const inner of [inner4, inner6]) {
      for (let length = 0; length < inner.length; length++) {
        const verdict = fabric.verdict('from_underlay', wrap(inner.slice(0, length)))
        expect({ length, verdict }).toEqual({ length, verdict: 'malformed' })
      }
      expect(fabric.verdict('from_underlay', wrap(inner))).toBe('redirected')
    }
  })

  test("a frame cut inside the outer headers is the kernel's to refuse", () => {
    const whole = wrap(inner4)
    for (let length = shortest(whole); length < 50; length++) {
      expect({ length, verdict: fabric.verdict('from_underlay', whole.slice(0, length)) }).toEqual({
        length,
        verdict: 'not ours',
      })
    }
  })

  test('a bare packet for a direct network, cut at every length, is never delivered', () => {
    const bare = pk.ether(
      TO,
      fx.PEER_MAC,
      pk.ETH.IPV4,
      pk.tcpPacket({ source: C.ip4, destination: A.ip4 }),
    )
    for (const bytes of cut(bare)) {
      expect(fabric.verdict('from_underlay', bytes)).toBe('malformed')
    }
    expect(fabric.verdict('from_underlay', bare)).toBe('redirected')
  })

  test('a packet without tunnel metadata never passes the vxlan device', () => {
    expect(fabric.verdict('from_vxlan_device', inner4)).toBe('no-network')
  })
})
