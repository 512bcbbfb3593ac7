/** Valid packets with random bytes changed: whatever the programs let through still belongs to its sender. */

import { afterAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import * as maps from '../../src/hoststate/maps.ts'
import { ipFromBytes } from '../../src/net/ip.ts'
import { macFromBytes } from '../../src/net/mac.ts'
import * as fx from './datapath/fabric.ts'
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
