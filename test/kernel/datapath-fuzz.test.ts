/** Valid packets with random bytes changed: whatever the programs let through still belongs to its sender. */

import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { gateways } from '../../src/hoststate/gateway-maps.ts'
import * as maps from '../../src/hoststate/maps.ts'
import { type IP, ipFromBytes } from '../../src/net/ip.ts'
import { macFromBytes } from '../../src/net/mac.ts'
import { prefixContains } from '../../src/net/prefix.ts'
import * as fx from './datapath/fabric.ts'
import { GATEWAY_DEVICE, Gateway, IN, MARKS, SELF } from './datapath/gateway.ts'
import * as pk from './datapath/packet.ts'

const fabric = new fx.Fabric()
afterAll(() => fabric[Symbol.dispose]())
const { A, B, C, FABRIC } = fx
const TO = pk.mac('00:00:00:00:00:00')

const OWN: readonly string[] = [A.ip4, A.second4, A.ip6, A.second6]
const BROADCAST = pk.mac('ff:ff:ff:ff:ff:ff')

const fromContainer = [
  pk.ether(FABRIC, A.mac, pk.ETH.IPV4, pk.tcpPacket({ source: A.ip4, destination: C.ip4 })),
  pk.ether(FABRIC, A.mac, pk.ETH.IPV6, pk.tcpPacket({ source: A.ip6, destination: C.ip6 })),
  pk.ether(FABRIC, A.mac, pk.ETH.IPV4, pk.udpPacket({ source: A.second4, destination: B.ip4 })),
  pk.ether(
    BROADCAST,
    A.mac,
    pk.ETH.ARP,
    pk.arp(1, { mac: A.mac, ip: A.ip4 }, { mac: TO, ip: B.ip4 }),
  ),
  pk.ether(FABRIC, A.mac, pk.ETH.IPV6, pk.neighbourMessage(135, A.ip6, B.ip6, B.ip6, A.mac)),
]

/** Up to four changed bytes among the first 100, where all headers are, and a new length. */
const damage = fc.record({
  which: fc.nat(10),
  changes: fc.array(fc.tuple(fc.nat(100), fc.nat(255)), { maxLength: 4 }),
  keep: fc.option(fc.nat(120)),
})

function damaged(
  frames: readonly pk.Bytes[],
  how: { which: number; changes: [number, number][]; keep: number | null },
): pk.Bytes | undefined {
  const frame = frames[how.which % frames.length]?.slice(0, how.keep ?? undefined)
  if (frame === undefined) return undefined
  for (const [at, value] of how.changes) if (at < frame.length) frame[at] = value
  const least = { [pk.ETH.IPV4]: 34, [pk.ETH.IPV6]: 54 }[pk.get16(frame, 12)] ?? 14
  return frame.length < least ? undefined : frame // a test run takes no less
}

/** The source that a frame claims: of IP, or of ARP's sender. */
function sourceOf(frame: Uint8Array): string | undefined {
  const type = pk.get16(frame, 12)
  if (type === pk.ETH.IPV4) return ipFromBytes(frame.slice(26, 30))
  if (type === pk.ETH.IPV6) return ipFromBytes(frame.slice(22, 38))
  return type === pk.ETH.ARP ? ipFromBytes(frame.slice(28, 32)) : undefined
}

test('a container sends nothing under a MAC or address that is not its own', () => {
  let passed = 0
  fc.assert(
    fc.property(damage, (how) => {
      const frame = damaged(fromContainer, how)
      if (frame === undefined) return
      if (fabric.verdict('from_container', frame) !== 'redirected') return
      passed++
      expect<string>(macFromBytes(frame.slice(6, 12))).toBe(A.mac)
      const source = sourceOf(frame) ?? 'nothing'
      if (!source.startsWith('fe8')) expect(OWN).toContain(source) // link-local may ask for neighbours
    }),
    { numRuns: 5000 },
  )
  expect(passed).toBeGreaterThan(100)
}, 60_000)

test('nothing is delivered that its sender does not own, or to a place that is not here', () => {
  const wrap = (inner: Uint8Array) => {
    const udp = pk.udp(fx.HOST1, fx.HERE.ip4, 50_000, maps.VXLAN_PORT, pk.vxlan(fx.VNI, inner))
    udp.fill(0, 6, 8)
    const header = { source: fx.HOST1, destination: fx.HERE.ip4, protocol: pk.PROTO.UDP }
    return pk.ether(TO, fx.PEER_MAC, pk.ETH.IPV4, pk.ipPacket(header, udp))
  }
  const frames = [
    wrap(pk.ether(FABRIC, C.mac, pk.ETH.IPV4, pk.tcpPacket({ source: C.ip4, destination: A.ip4 }))),
    wrap(pk.ether(FABRIC, C.mac, pk.ETH.IPV6, pk.tcpPacket({ source: C.ip6, destination: B.ip6 }))),
  ]
  const here: readonly string[] = [...OWN, B.ip4, B.ip6]
  let passed = 0
  fc.assert(
    fc.property(damage, (how) => {
      const frame = damaged(frames, how)
      if (frame === undefined) return
      const { verdict, bytes } = fabric.run('from_underlay', { bytes: frame })
      if (verdict !== fx.VERDICT.REDIRECT) return
      passed++
      const at = pk.get16(bytes, 12) === pk.ETH.IPV4 ? 30 : 38
      expect([C.ip4, C.ip6] as readonly string[]).toContain(sourceOf(bytes) ?? 'nothing')
      expect(here).toContain(ipFromBytes(bytes.slice(at, at + (at === 30 ? 4 : 16))))
      expect<string>(ipFromBytes(frame.slice(26, 30))).toBe(fx.HOST1)
      expect(pk.get16(frame, 46) * 256 + (frame[48] ?? 0)).toBe(fx.VNI)
      expect<string>(macFromBytes(bytes.slice(6, 12))).toBe(FABRIC)
    }),
    { numRuns: 5000 },
  )
  expect(passed).toBeGreaterThan(100)
}, 60_000)

/** The destination of an IP packet in a frame. */
function destinationOf(frame: Uint8Array): IP {
  const at = pk.get16(frame, 12) === pk.ETH.IPV4 ? 30 : 38
  return ipFromBytes(frame.slice(at, at + (at === 30 ? 4 : 16)))
}

test('what a container sends to the host is its own, marked, and not for a place of its own kind', () => {
  using open = new Gateway(GATEWAY_DEVICE)
  const outwards = [fx.OUTSIDE, SELF, fx.GATEWAY].flatMap(({ ip4, ip6 }) => [
    pk.ether(FABRIC, A.mac, pk.ETH.IPV4, pk.tcpPacket({ source: A.ip4, destination: ip4 })),
    pk.ether(FABRIC, A.mac, pk.ETH.IPV6, pk.tcpPacket({ source: A.second6, destination: ip6 })),
  ])
  const ownPlace = /^(0\.|127\.|169\.254\.|22[4-9]\.|2[3-5]\d\.|::|ff|fe[89ab])/
  let passed = 0
  fc.assert(
    fc.property(damage, (how) => {
      const frame = damaged(outwards, how)
      if (frame === undefined) return
      const before = open.traffic('to-host').packets
      const { verdict, bytes, mark } = open.run('from_container', { bytes: frame, mark: 1 })
      if (open.traffic('to-host').packets === before) {
        expect(mark).toBe(1)
        return
      }
      passed++
      expect({ verdict, mark }).toEqual({ verdict: fx.VERDICT.REDIRECT, mark: IN })
      expect(OWN).toContain(sourceOf(bytes) ?? 'nothing')
      const destination = destinationOf(bytes)
      expect(destination).not.toMatch(ownPlace)
      if (fx.NETWORK.prefixes.some((prefix) => prefixContains(prefix, destination))) {
        expect([SELF, fx.GATEWAY].flatMap(({ ip4, ip6 }) => [ip4, ip6])).toContain(destination)
      }
    }),
    { numRuns: 5000 },
  )
  expect(passed).toBeGreaterThan(100)
}, 60_000)

test('what the host sends into a network was let pass, is from nobody in it, and is for somebody', () => {
  using open = new Gateway(fx.LO)
  open.put(gateways, {
    ...{ ifindex: fx.LO, vni: fx.VNI, carrier: 'vxlan', mtuBytes: 1450 },
    around: fx.NETWORK.prefixes,
  })
  for (const address of [A.ip4, A.ip6, A.second4, A.second6]) {
    open.endpoint(address, A.mac, { kind: 'local', ifindex: 4001 })
  }
  const inwards = [fx.OUTSIDE, SELF].flatMap(({ ip4, ip6 }) => [
    pk.ether(FABRIC, FABRIC, pk.ETH.IPV4, pk.tcpPacket({ source: ip4, destination: A.ip4 })),
    pk.ether(FABRIC, FABRIC, pk.ETH.IPV6, pk.tcpPacket({ source: ip6, destination: B.ip6 })),
  ])
  const here: readonly string[] = [...OWN, B.ip4, B.ip6]
  const taken: readonly string[] = [...here, C.ip4, C.ip6, fx.D.ip4, fx.D.ip6]
  let passed = 0
  fc.assert(
    fc.property(damage, fc.nat(3), (how, bits) => {
      const frame = damaged(inwards, how)
      if (frame === undefined) return
      const before = open.traffic('from-host').packets
      open.run('to_network', { bytes: frame, mark: bits * MARKS.passed })
      if (open.traffic('from-host').packets === before) return
      passed++
      expect(bits & 1).toBe(1)
      expect(taken).not.toContain(sourceOf(frame) ?? 'nothing')
      expect(here).toContain(destinationOf(frame))
    }),
    { numRuns: 5000 },
  )
  expect(passed).toBeGreaterThan(100)
}, 60_000)
