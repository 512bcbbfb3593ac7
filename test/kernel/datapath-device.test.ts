/**
 * The slow path on receipt: VXLAN with an outer checksum is left to the kernel's vxlan device, and the program
 * behind it checks as strictly as the fast path.
 */

import { expect, test } from 'bun:test'
import { familyOf, type IP } from '../../src/net/ip.ts'
import { FABRIC } from './datapath/fabric.ts'
import * as pk from './datapath/packet.ts'
import { openFrameSocket, openSocket, streamBytes } from './datapath/sockets.ts'
import { Pair, VNI } from './datapath/wire.ts'

for (const outer of [4, 6] as const) {
  test(`through the vxlan device over IPv${outer}: owners, networks and endpoints are checked`, () => {
    using pair = new Pair({ outer, carrier: 'vxlan' })
    const [first, second] = pair.hosts
    const [from, to] = outer === 4 ? [first.ip4, second.ip4] : [first.ip6, second.ip6]
    using tunnel = openSocket(first.ns, 'udp', from).bind(from, 4790)
    tunnel.connect(to, 4789)
    const send = (source: IP, destination: IP, vni = VNI) => {
      const packet = pk.udpPacket({ source, destination }, Uint8Array.of(1, 2, 3))
      const type = familyOf(source) === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6
      tunnel.send(pk.vxlan(vni, pk.ether(FABRIC, pair.a.mac, type, packet)))
    }
    for (const [a, c] of [
      [pair.a.ip4, pair.c.ip4],
      [pair.a.ip6, pair.c.ip6],
    ] as const) {
      using receiver = openSocket(pair.c.ns, 'udp', c).bind(c, 53)
      send(a, c)
      expect(receiver.receive(new Uint8Array(100))).toEqual(Uint8Array.of(1, 2, 3))
    }
    expect(second.traffic('device-in').packets).toBe(2)

    const reasonOf = (act: () => void) => {
      const before = second.drops()
      act()
      const after = second.drops()
      return Object.keys(after).filter((r) => r !== 'ignored' && after[r] !== before[r])
    }
    expect(reasonOf(() => send(pair.c.ip4, pair.c.ip4))).toEqual(['wrong-host'])
    expect(reasonOf(() => send(pk.ip('10.80.9.9'), pair.c.ip4))).toEqual(['wrong-host'])
    expect(reasonOf(() => send(pair.a.ip4, pk.ip('10.80.9.9')))).toEqual(['no-endpoint'])
    expect(reasonOf(() => send(pair.a.ip4, pair.b.ip4))).toEqual(['no-endpoint'])
    expect(reasonOf(() => send(pair.a.ip4, pair.c.ip4, VNI + 1))).toEqual(['no-network'])
    const tagged = pk.ether(FABRIC, pair.a.mac, pk.ETH.VLAN, new Uint8Array(46))
    expect(reasonOf(() => tunnel.send(pk.vxlan(VNI, tagged)))).toEqual(['tagged'])
    const lldp = pk.ether(FABRIC, pair.a.mac, 0x88cc, new Uint8Array(46))
    expect(reasonOf(() => tunnel.send(pk.vxlan(VNI, lldp)))).toEqual(['not-ip'])
  }, 30_000)
}

test('frames cut inside the IP header, which a test run does not take, are dropped', () => {
  using pair = new Pair({ outer: 4, carrier: 'vxlan' })
  using raw = openFrameSocket(pair.a.ns, 'eth0')
  const malformed = () => pair.hosts[0].drops()['malformed'] ?? 0
  for (const [type, packet] of [
    [pk.ETH.IPV4, pk.udpPacket({ source: pair.a.ip4, destination: pair.c.ip4 })],
    [pk.ETH.IPV6, pk.udpPacket({ source: pair.a.ip6, destination: pair.c.ip6 })],
  ] as const) {
    const header = type === pk.ETH.IPV4 ? 20 : 40
    for (let length = 0; length < header; length++) {
      const before = malformed()
      raw.send(pk.ether(FABRIC, pair.a.mac, type, packet.slice(0, length)))
      expect({ type, length, dropped: malformed() - before }).toEqual({ type, length, dropped: 1 })
    }
  }
}, 30_000)

test('a tag that the kernel has taken out of the frame is seen all the same', () => {
  using pair = new Pair({ outer: 4, carrier: 'vxlan' })
  using raw = openFrameSocket(pair.a.ns, 'eth0')
  const packet = pk.udpPacket({ source: pair.a.ip4, destination: pair.c.ip4 })
  raw.send(pk.ether(FABRIC, pair.a.mac, pk.ETH.VLAN, pk.concat(Uint8Array.of(0, 5, 8, 0), packet)))
  expect(pair.hosts[0].drops()['tagged']).toBe(1)
}, 30_000)

test('a tunnel inside containers, which cannot be widened in place, leaves by the vxlan device', () => {
  using pair = new Pair({ outer: 4, carrier: 'vxlan' })
  const ends = [
    { own: pair.a, other: pair.c, address: pk.ip('172.16.0.1') },
    { own: pair.c, other: pair.a, address: pk.ip('172.16.0.2') },
  ] as const
  for (const { own, other, address } of ends) {
    own.ns.run(
      `ip link add nested type vxlan id 5 local ${own.ip4} remote ${other.ip4} dstport 8472`,
      'ip link set nested up',
      `ip addr add ${address}/24 dev nested`,
    )
  }
  const [from, to] = ends.map(({ own, address }) => ({ ns: own.ns, address }))
  if (from === undefined || to === undefined) throw new Error('two ends')
  expect(streamBytes(from, to, 8 << 20)).toBe(8 << 20)
  expect(pair.hosts[0].traffic('device-out').packets).toBeGreaterThan(0)
}, 30_000)
