/** A container's packets, shown to `from_container`: local delivery, encapsulation, spoofs, sizes. */

import { afterAll, describe, expect, test } from 'bun:test'
import * as maps from '../../src/hoststate/maps.ts'
import { familyOf, type IP } from '../../src/net/ip.ts'
import * as fx from './datapath/fabric.ts'
import * as pk from './datapath/packet.ts'

const fabric = new fx.Fabric()
afterAll(() => fabric[Symbol.dispose]())

const { A, B, C, D, FABRIC } = fx
type Family = 4 | 6

function frame(packet: Uint8Array, from = A.mac, to = FABRIC): pk.Bytes {
  return pk.ether(to, from, (packet[0] ?? 0) >> 4 === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6, packet)
}

function of(family: Family, host: { ip4: IP; ip6: IP }): IP {
  return family === 4 ? host.ip4 : host.ip6
}

for (const family of [4, 6] as const) {
  const source = of(family, A)
  const send = (bytes: Uint8Array) => fabric.verdict('from_container', bytes)

  describe(`IPv${family}`, () => {
    test('a neighbour here gets the frame under its own MAC, from the fabric', () => {
      const packet = pk.udpPacket({ source, destination: of(family, B) })
      const before = fabric.traffic('local')
      const { verdict, bytes } = fabric.run('from_container', { bytes: frame(packet) })
      expect(verdict).toBe(fx.VERDICT.REDIRECT)
      expect(bytes).toEqual(pk.ether(B.mac, FABRIC, pk.get16(frame(packet), 12), packet))
      expect(fabric.traffic('local').packets).toBe(before.packets + 1)
    })

    test('a second address of the endpoint may be used', () => {
      const second = family === 4 ? A.second4 : A.second6
      expect(send(frame(pk.udpPacket({ source: second, destination: of(family, B) })))).toBe(
        'redirected',
      )
    })

    for (const { what, bytes } of [
      { what: 'MAC', bytes: frame(pk.udpPacket({ source, destination: of(family, B) }), B.mac) },
      {
        what: 'address of a neighbour',
        bytes: frame(pk.udpPacket({ source: of(family, B), destination: of(family, C) })),
      },
      {
        what: 'address from outside',
        bytes: frame(pk.udpPacket({ source: of(family, fx.OUTSIDE), destination: of(family, B) })),
      },
      {
        what: 'gateway address',
        bytes: frame(pk.udpPacket({ source: of(family, fx.GATEWAY), destination: of(family, B) })),
      },
      {
        what: 'unspecified address',
        bytes: frame(
          pk.udpPacket({
            source: pk.ip(family === 4 ? '0.0.0.0' : '::'),
            destination: of(family, B),
          }),
        ),
      },
    ]) {
      test(`a foreign ${what} is spoofed`, () => expect(send(bytes)).toBe('spoofed'))
    }

    for (const { what, outer, to, overhead } of [
      { what: 'IPv4', outer: 4, to: C, overhead: 50 },
      { what: 'IPv6', outer: 6, to: D, overhead: 70 },
    ] as const) {
      test(`an endpoint behind an ${what} underlay gets exact VXLAN`, () => {
        const inner = frame(pk.tcpPacket({ source, destination: of(family, to), tos: 0xb9 }))
        const { verdict, bytes } = fabric.run('from_container', { bytes: inner })
        expect(verdict).toBe(fx.VERDICT.REDIRECT)
        expect(bytes.length).toBe(inner.length + overhead)
        const packet = pk.readIP(bytes.slice(14))
        expect(packet).toMatchObject({
          source: of(outer, fx.HERE),
          destination: outer === 4 ? fx.HOST1 : fx.HOST2,
          protocol: pk.PROTO.UDP,
          tos: 0xb9, // DSCP and ECN of the inner packet
          hops: 64,
        })
        if (outer === 4) expect(pk.get16(packet.header, 6)).toBe(0x4000) // do not fragment
        const udp = packet.payload
        expect(pk.get16(udp, 0)).toBeGreaterThanOrEqual(0xc000)
        expect(pk.get16(udp, 2)).toBe(maps.VXLAN_PORT)
        expect(pk.get16(udp, 4)).toBe(udp.length)
        expect(pk.get16(udp, 6)).toBe(0)
        expect(udp.slice(8)).toEqual(pk.vxlan(fx.VNI, inner))
      })
    }

    test('two flows to one host differ in their source port, one flow keeps it', () => {
      const port = (payload: number, host: IP) => {
        const packet = pk.udpPacket({ source, destination: host }, new Uint8Array(payload))
        const { bytes } = fabric.run('from_container', { bytes: frame(packet) })
        return pk.get16(pk.readIP(bytes.slice(14)).payload, 0)
      }
      expect(port(10, of(family, C))).toBe(port(200, of(family, C)))
      expect(port(10, of(family, C))).not.toBe(port(10, of(family, D)))
    })

    test('a super-packet that cannot be widened goes by the vxlan device', () => {
      const packet = pk.tcpPacket({ source, destination: of(family, C) }, new Uint8Array(3000))
      const before = fabric.traffic('device-out').packets
      const shown = { bytes: frame(packet), gsoBytes: 1000, gsoSegments: 3 }
      expect(fabric.run('from_container', shown).verdict).toBe(fx.VERDICT.REDIRECT)
      expect(fabric.traffic('device-out').packets).toBe(before + 1)
    })

    test('what the path cannot carry comes back as an ICMP error with the size that fits', () => {
      for (const { size, want } of [
        { size: 1450, want: 'redirected' },
        { size: 1451, want: 'too-big, answered' },
      ]) {
        const head = family === 4 ? 28 : 48
        const packet = pk.udpPacket(
          { source, destination: of(family, C) },
          new Uint8Array(size - head),
        )
        expect(fabric.verdict('from_container', frame(packet))).toBe(want)
      }
      const packet = pk.udpPacket({ source, destination: of(family, C) }, new Uint8Array(1450))
      const answer = pk.readFrame(fabric.run('from_container', { bytes: frame(packet) }).bytes)
      expect(answer).toMatchObject({ to: A.mac, from: FABRIC })
      const error = pk.readIP(answer.payload)
      expect(error).toMatchObject({ source: of(family, fx.GATEWAY), destination: source })
      expect(pk.icmpSumRight(error)).toBe(true)
      const [type, code] = error.payload
      expect([type, code]).toEqual(family === 4 ? [3, 4] : [2, 0])
      expect(pk.get16(error.payload, 6)).toBe(1450)
      expect(error.payload.slice(8)).toEqual(packet.slice(0, 128))
    })

    test('super-packets are judged by the size of their segments', () => {
      const headers = family === 4 ? 40 : 60
      for (const { segment, want } of [
        { segment: 1450 - headers, want: 'redirected' },
        { segment: 1451 - headers, want: 'too-big, answered' },
      ]) {
        const packet = pk.tcpPacket({ source, destination: of(family, C) }, new Uint8Array(3200))
        const more = { gsoBytes: segment, gsoSegments: 3 }
        expect(fabric.verdict('from_container', frame(packet), more)).toBe(want)
      }
    })

    test('direct sends the packet as it is', () => {
      fabric.putDevice('direct')
      try {
        const packet = pk.udpPacket({ source, destination: of(family, C) })
        const { verdict, bytes } = fabric.run('from_container', { bytes: frame(packet) })
        expect(verdict).toBe(fx.VERDICT.REDIRECT)
        expect(bytes.slice(14)).toEqual(packet)
        // An IPv6 packet to an IPv4 next hop carries MACs already; else the kernel writes them.
        if (family === 6) {
          expect(pk.readFrame(bytes)).toMatchObject({ to: fx.PEER_MAC, from: fx.DEVICE_MAC })
        }
      } finally {
        fabric.putDevice('vxlan')
      }
    })

    test('auto goes direct on a link and by VXLAN behind a router, direct only on a link, local nowhere', () => {
      const length = (carrier: maps.CarrierName, onLink: boolean) => {
        const [host] = fx.HOSTS
        if (host === undefined) throw new Error('no host')
        fabric.put(maps.hosts, { ...host, onLink })
        fabric.putDevice(carrier)
        const packet = frame(pk.udpPacket({ source, destination: of(family, C) }))
        const run = fabric.run('from_container', { bytes: packet })
        return run.verdict === fx.VERDICT.REDIRECT ? run.bytes.length - packet.length : undefined
      }
      try {
        expect(length('auto', true)).toBe(0)
        expect(length('auto', false)).toBe(50)
        expect(length('direct', true)).toBe(0)
        expect(length('direct', false)).toBeUndefined()
        expect(length('local', true)).toBeUndefined()
        expect(
          fabric.verdict(
            'from_container',
            frame(pk.udpPacket({ source, destination: of(family, C) })),
          ),
        ).toBe('no-carrier')
      } finally {
        for (const host of fx.HOSTS) fabric.put(maps.hosts, host)
        fabric.putDevice('vxlan')
      }
    })

    test('an endpoint whose host is not known passes nothing', () => {
      const address = pk.ip(family === 4 ? '10.80.3.1' : 'fd80:0:0:3::1')
      fabric.endpoint(address, C.mac, { kind: 'remote', host: 77 })
      expect(send(frame(pk.udpPacket({ source, destination: address })))).toBe('no-carrier')
    })

    test('absent and outside destinations are told as unreachable', () => {
      for (const { to, want, icmp4, icmp6 } of [
        { to: fx.ABSENT, want: 'no-endpoint, answered', icmp4: [3, 1], icmp6: [1, 3] },
        { to: fx.OUTSIDE, want: 'no-route, answered', icmp4: [3, 0], icmp6: [1, 0] },
      ]) {
        for (const packet of [
          pk.udpPacket({ source, destination: of(family, to) }),
          pk.tcpPacket({ source, destination: of(family, to) }, new Uint8Array(1001)),
        ]) {
          expect(send(frame(packet))).toBe(want)
          const answer = pk.readIP(
            fabric.run('from_container', { bytes: frame(packet) }).bytes.slice(14),
          )
          expect(pk.icmpSumRight(answer)).toBe(true)
          expect([answer.payload[0], answer.payload[1]]).toEqual(family === 4 ? icmp4 : icmp6)
          expect(answer.payload.slice(8)).toEqual(packet.slice(0, 128))
        }
      }
    })

    test('an error is never answered with an error', () => {
      const error = pk.icmpPacket(
        { source, destination: of(family, fx.ABSENT) },
        family === 4 ? 3 : 1,
        3,
        new Uint8Array(40),
      )
      expect(send(frame(error))).toBe('no-endpoint')
    })

    test('errors are rationed', () => {
      const packet = frame(pk.udpPacket({ source, destination: of(family, fx.ABSENT) }))
      const verdicts = Array.from(
        { length: 400 },
        () => fabric.run('from_container', { bytes: packet }).verdict,
      )
      expect(verdicts.filter((v) => v === fx.VERDICT.SHOT).length).toBeGreaterThan(100)
      resetAllowances()
    })

    test('groups and broadcasts are ignored', () => {
      const group = familyOf(source) === 4 ? pk.ip('224.0.0.5') : pk.ip('ff02::5')
      const packet = pk.udpPacket({ source, destination: group })
      expect(send(frame(packet, A.mac, pk.mac('33:33:00:00:00:05')))).toBe('ignored')
      expect(send(frame(packet))).toBe('ignored')
    })
  })
}

test('a frame that carries another protocol, or a tag, is not carried', () => {
  const plain = pk.udpPacket({ source: A.ip4, destination: B.ip4 })
  const tagged = pk.ether(FABRIC, A.mac, pk.ETH.VLAN, pk.concat(Uint8Array.of(0, 5, 8, 0), plain))
  expect(fabric.verdict('from_container', tagged)).toBe('tagged')
  expect(fabric.verdict('from_container', pk.ether(FABRIC, A.mac, 0x88cc, plain))).toBe('not-ip')
})

test('a device that is not in the map passes nothing', () => {
  using empty = new fx.Fabric()
  empty.object.map('devices').delete(maps.devices.keyOf({ ifindex: fx.LO } as maps.DeviceEntry))
  const packet = frame(pk.udpPacket({ source: A.ip4, destination: B.ip4 }))
  expect(empty.verdict('from_container', packet)).toBe('no-network')
})

function resetAllowances(): void {
  const map = fabric.object.map('allowances')
  for (const { key } of [...map.entries()]) map.delete(key)
}
