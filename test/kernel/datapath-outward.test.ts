/** What a container sends to the host and beyond, and what another host sends to this one itself. */

import { afterAll, describe, expect, test } from 'bun:test'
import * as maps from '../../src/hoststate/maps.ts'
import type { IP } from '../../src/net/ip.ts'
import { parsePrefix } from '../../src/net/prefix.ts'
import * as fx from './datapath/fabric.ts'
import { frame, GATEWAY_DEVICE, Gateway, IN, OTHER, of, SELF } from './datapath/gateway.ts'
import * as pk from './datapath/packet.ts'

const { A, B, C, D, FABRIC, OUTSIDE, ABSENT } = fx
/** The loopback device's own MAC. */
const LO_MAC = pk.mac('00:00:00:00:00:00')

describe('from a container', () => {
  const fabric = new Gateway(GATEWAY_DEVICE)
  afterAll(() => fabric[Symbol.dispose]())
  const send = (bytes: Uint8Array) => fabric.verdict('from_container', bytes)

  for (const family of [4, 6] as const) {
    const source = of(family, A)
    const to = (destination: IP) => frame(pk.udpPacket({ source, destination }))
    const answerTo = (bytes: Uint8Array) =>
      pk.readIP(fabric.run('from_container', { bytes }).bytes.slice(14))

    for (const { what, destination } of [
      { what: 'the outside', destination: of(family, OUTSIDE) },
      { what: "the gateway's address", destination: of(family, fx.GATEWAY) },
      { what: "this host's own address", destination: of(family, SELF) },
      { what: 'an address of the underlay', destination: of(family, fx.HERE) },
    ]) {
      test(`IPv${family}: ${what} is reached by the gateway device, marked as unchecked`, () => {
        const before = fabric.traffic('to-host').packets
        const packet = pk.udpPacket({ source, destination })
        // Whatever MAC the container writes, the stack gets its own; whatever mark came along is gone.
        const bytes = frame(packet, A.mac, C.mac)
        const run = fabric.run('from_container', { bytes, mark: 0xffffffff })
        expect(run.verdict).toBe(fx.VERDICT.REDIRECT)
        expect(run.mark).toBe(IN)
        expect(run.bytes).toEqual(frame(packet, A.mac, FABRIC))
        expect(fabric.traffic('to-host').packets).toBe(before + 1)
      })
    }

    test(`IPv${family}: size is left to the host's stack`, () => {
      const packet = pk.udpPacket(
        { source, destination: of(family, OUTSIDE) },
        new Uint8Array(3000),
      )
      expect(send(frame(packet))).toBe('redirected')
    })

    test(`IPv${family}: the gateway still answers echo itself`, () => {
      const before = fabric.traffic('to-host').packets
      const header = { source, destination: of(family, fx.GATEWAY) }
      const request = pk.icmpPacket(header, family === 4 ? 8 : 128, 0, new Uint8Array(20))
      const { payload } = answerTo(frame(request))
      expect(payload[0]).toBe(family === 4 ? 0 : 129)
      expect(fabric.traffic('to-host').packets).toBe(before)
    })

    for (const { what, address } of [
      { what: 'a neighbour', address: of(family, B) },
      { what: 'this host', address: of(family, SELF) },
      { what: 'the outside', address: of(family, OUTSIDE) },
    ]) {
      test(`IPv${family}: nothing leaves with the address of ${what}`, () => {
        const packet = pk.udpPacket({ source: address, destination: of(family, OUTSIDE) })
        expect(send(frame(packet))).toBe('spoofed')
      })
    }

    test(`IPv${family}: neighbours and endpoints elsewhere are not the host's business`, () => {
      const before = fabric.traffic('to-host').packets
      for (const end of [B, C, D, OTHER]) expect(send(to(of(family, end)))).toBe('redirected')
      expect(send(to(of(family, ABSENT)))).toBe('no-endpoint, answered')
      expect(fabric.traffic('to-host').packets).toBe(before)
    })

    test(`IPv${family}: an internal network has no way out`, () => {
      fabric.open({ gateway: undefined })
      try {
        for (const end of [OUTSIDE, fx.GATEWAY]) {
          expect(send(to(of(family, end)))).toBe('no-route, answered')
        }
        expect(send(to(of(family, SELF)))).toBe('no-route')
      } finally {
        fabric.open({})
      }
    })

    test(`IPv${family}: the resolver is reached from every network, at its port, and no further`, () => {
      const destination = of(family, fx.RESOLVER)
      const header = { source, destination }
      const asks = (protocol: number, port: number) => {
        const ports = new Uint8Array(20)
        new DataView(ports.buffer).setUint16(0, 4000)
        new DataView(ports.buffer).setUint16(2, port)
        return frame(pk.ipPacket({ ...header, protocol }, ports))
      }
      try {
        for (const internal of [false, true]) {
          fabric.open({ internal })
          for (const protocol of [6, 17]) {
            expect(fabric.run('from_container', { bytes: asks(protocol, 53) }).mark).toBe(IN)
            expect(send(asks(protocol, 53))).toBe('redirected')
            expect(send(asks(protocol, 54))).toBe('closed, answered')
          }
          expect(send(asks(132, 53))).toBe('closed, answered')
        }
        expect(send(to(of(family, OUTSIDE)))).toBe('no-route, answered')
        fabric.open({ gateway: undefined })
        expect(send(asks(17, 53))).toBe('no-route, answered')
        fabric.open({})
        fabric.put(maps.config, { ...fx.CONFIG, resolver4: undefined, resolver6: undefined })
        expect(send(asks(17, 53))).toBe(family === 4 ? 'no-route, answered' : 'redirected')
      } finally {
        fabric.open({})
        fabric.put(maps.config, { ...fx.CONFIG, crossFamilyStrip: fabric.crossFamilyStrip })
      }
    })

    test(`IPv${family}: the metadata service is closed until it is opened`, () => {
      const destination = pk.ip(family === 4 ? '169.254.169.254' : 'fd00:ec2::254')
      expect(send(to(destination))).toBe('closed, answered')
      const { payload } = answerTo(to(destination))
      expect([payload[0], payload[1]]).toEqual(family === 4 ? [3, 13] : [1, 1])
      fabric.open({ openMetadata: true })
      try {
        expect(send(to(destination))).toBe('redirected')
        fabric.open({ openMetadata: true, gateway: undefined })
        expect(send(to(destination))).toBe('no-route, answered')
      } finally {
        fabric.open({})
      }
    })
  }

  for (const text of [
    '127.0.0.1',
    '127.255.255.254',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.253',
    '169.254.0.1',
    '::1',
    '::',
    '::7f00:1',
    '::ffff:0:0:1',
  ]) {
    test(`${text} means this host, or nobody: never the gateway`, () => {
      fabric.open({ openMetadata: true })
      const destination = pk.ip(text)
      const source = text.includes(':') ? A.ip6 : A.ip4
      const frameTo = pk.ipPacket({ source, destination, protocol: 17 }, new Uint8Array(20))
      const verdict = send(frame(frameTo))
      fabric.open({})
      expect(verdict).toBe('no-route, answered')
    })
  }

  test('an IPv4 address in the disguise of an IPv6 one is nobody either', () => {
    const bytes = frame(pk.udpPacket({ source: A.ip6, destination: pk.ip('::') }))
    bytes.set([0xff, 0xff, 127, 0, 0, 1], 48)
    expect(send(bytes)).toBe('no-route, answered')
  })

  for (const text of [
    '224.0.0.5',
    '255.255.255.255',
    '240.0.0.1',
    'ff02::5',
    'ff0e::1',
    'fe80::1',
  ]) {
    test(`${text} stays on its link`, () => {
      const source = text.includes(':') ? A.ip6 : A.ip4
      expect(send(frame(pk.udpPacket({ source, destination: pk.ip(text) })))).toBe('ignored')
    })
  }

  test('a network without an address for its gateway does not answer for the unspecified one', () => {
    fabric.open({ gateway6: undefined })
    const header = { source: A.ip6, destination: pk.ip('::') }
    const verdict = send(frame(pk.icmpPacket(header, 128, 0, new Uint8Array(20))))
    fabric.open({})
    expect(verdict).toBe('no-route, answered')
  })

  test('sixteen prefixes count, each of them', () => {
    const prefixes = Array.from({ length: 16 }, (_, i) => parsePrefix(`10.${100 + i}.0.0/16`))
    fabric.open({ prefixes: prefixes.flatMap((prefix) => prefix ?? []) })
    const to = (text: string) =>
      send(frame(pk.udpPacket({ source: A.ip4, destination: pk.ip(text) })))
    const verdicts = [100, 107, 115, 116].map((second) => to(`10.${second}.9.9`))
    fabric.open({})
    const absent = 'no-endpoint, answered'
    expect(verdicts).toEqual([absent, absent, absent, 'redirected'])
  })

  test('without bits for the mark nothing is handed to the host', () => {
    using bare = new Gateway(GATEWAY_DEVICE)
    const value = maps.config.valueOf(fx.CONFIG)
    value.fill(0, 48)
    bare.object.map('config').update(maps.config.keyOf(fx.CONFIG), value)
    const packet = pk.udpPacket({ source: A.ip4, destination: OUTSIDE.ip4 })
    expect(bare.verdict('from_container', frame(packet))).toBe('no-route')
  })
})

describe('from another host', () => {
  const fabric = new Gateway(GATEWAY_DEVICE)
  afterAll(() => fabric[Symbol.dispose]())
  fabric.put(maps.config, { ...fx.CONFIG, direct: true })
  for (const prefix of fx.NETWORK.prefixes) fabric.put(maps.directPrefixes, { prefix, vni: fx.VNI })

  for (const family of [4, 6] as const) {
    const packet = pk.tcpPacket({ source: of(family, C), destination: of(family, SELF) })

    test(`IPv${family} for the host itself, by VXLAN, is left to the vxlan device`, () => {
      const body = pk.vxlan(fx.VNI, frame(packet, C.mac))
      const udp = pk.udp(fx.HOST1, fx.HERE.ip4, 50_000, maps.VXLAN_PORT, body)
      udp.fill(0, 6, 8)
      const header = { source: fx.HOST1, destination: fx.HERE.ip4, protocol: pk.PROTO.UDP }
      const bytes = frame(pk.ipPacket(header, udp), fx.PEER_MAC, LO_MAC)
      expect(fabric.verdict('from_underlay', bytes)).toBe('not ours')
    })

    test(`IPv${family} for the host itself, bare, goes to the gateway device`, () => {
      const bytes = frame(packet, fx.PEER_MAC, LO_MAC)
      const run = fabric.run('from_underlay', { bytes, mark: 1 })
      expect(run.verdict).toBe(fx.VERDICT.REDIRECT)
      expect(run.mark).toBe(IN)
      expect(run.bytes).toEqual(frame(packet, fx.PEER_MAC, FABRIC))
    })

    test(`IPv${family} for the host itself, from a stranger or under a foreign address`, () => {
      const from = (source: IP, mac: typeof A.mac) => {
        const shown = pk.udpPacket({ source, destination: of(family, SELF) })
        return fabric.verdict('from_underlay', frame(shown, mac, LO_MAC))
      }
      expect(from(of(family, C), pk.mac('02:00:00:00:00:99'))).toBe('wrong-host')
      expect(from(of(family, B), fx.PEER_MAC)).toBe('wrong-host')
      // Nobody of the network: the host's own rules decide.
      expect(from(of(family, OUTSIDE), fx.PEER_MAC)).toBe('not ours')
    })

    test(`IPv${family} from another host itself reaches a container`, () => {
      const shown = pk.udpPacket({ source: of(family, OTHER), destination: of(family, A) })
      expect(fabric.verdict('from_underlay', frame(shown, fx.PEER_MAC, LO_MAC))).toBe('redirected')
    })
  }
})
