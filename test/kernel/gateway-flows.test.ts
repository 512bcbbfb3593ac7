/** Connections between networks by the host, and what must not become one: equal tuples, forged packets. */

import { expect, test } from 'bun:test'
import { FABRIC_MAC } from '../../src/hoststate/state.ts'
import { familyOf, type IP } from '../../src/net/ip.ts'
import { ip } from '../../src/net/testing.ts'
import { publishedOf } from '../../src/plan/testing.ts'
import * as pk from './datapath/packet.ts'
import { openFrameSocket } from './datapath/sockets.ts'
import { askDatagram, askStream, bound, impatient } from './gateway/ask.ts'
import { type Container, HOST, OUTSIDE, Scene } from './gateway/scene.ts'
import {
  ANY,
  blocksOf,
  blue,
  containersOf,
  FAMILIES,
  GATEWAY,
  OWN,
  red,
  SECOND,
  SOURCE,
  twin,
} from './gateway/twins.ts'

/** Ports of both equal containers, of the same number inside. */
async function published(scene: Scene) {
  const containers = containersOf(scene)
  const { self } = scene
  const ports = (['tcp', 'udp'] as const).flatMap((protocol) => [
    publishedOf(`a${protocol}`, blue, self, 'a', { protocol, hostPort: 8080, containerPort: 80 }),
    publishedOf(`b${protocol}`, twin, self, 'b', { protocol, hostPort: 8081, containerPort: 80 }),
  ])
  await scene.update([blue, twin, red], blocksOf(scene), ports)
  return containers
}

test('ports of equal containers lead each to its own, from outside, the host, and the containers', async () => {
  await using scene = new Scene()
  scene.host.run('sysctl -qw net.ipv4.conf.all.rp_filter=1')
  const { a, a2, b } = await published(scene)
  for (const family of FAMILIES) {
    const [mine, other, own] = [SOURCE[family], OUTSIDE[family], OWN[family]]
    for (const ask of [askDatagram, askStream]) {
      for (const { server, port } of [
        { server: a, port: 8080 },
        { server: b, port: 8081 },
      ]) {
        const at = { ns: server.ns, address: mine, port: 80 }
        const to = { address: HOST[family], port }
        const from = (ns: Container['ns'], address: string) => ({ ns, address, port: 4100, to })
        expect(ask(from(scene.outside, other), at)).toEqual({ seen: other, answered: true })
        expect(ask(from(scene.host, ANY[family]), at)).toEqual({
          seen: HOST[family],
          answered: true,
        })
        // From the same network, from the other one, from itself: the host is seen, as it must be to be answered.
        for (const client of [from(a2.ns, SECOND[family]), from(a.ns, mine), from(b.ns, mine)]) {
          expect(ask(client, at)).toEqual({ seen: own, answered: true })
          const byGateway = { ...client, port: 4101, to: { address: GATEWAY[family], port } }
          expect(ask(byGateway, at)).toEqual({ seen: own, answered: true })
        }
      }
    }
  }
  expect(scene.leaked()).toBe(0)
}, 60_000)

test('nobody answers in the name of an equal container', async () => {
  await using scene = new Scene()
  const { a, b } = await published(scene)
  for (const family of FAMILIES) {
    for (const { server, forger, port, client } of [
      { server: a, forger: b, port: 8080, client: 4200 },
      { server: b, forger: a, port: 8081, client: 4201 },
    ]) {
      using listening = bound('udp', { ns: server.ns, address: SOURCE[family], port: 80 })
      using asking = bound('udp', { ns: scene.outside, address: OUTSIDE[family], port: client })
      asking.sendTo(new TextEncoder().encode('question'), ip(HOST[family]), port)
      const heard = listening.receiveFrom()
      expect(heard?.from).toBe(`${OUTSIDE[family]} ${client}`)
      using forging = bound('udp', { ns: forger.ns, address: SOURCE[family], port: 80 })
      forging.sendTo(new TextEncoder().encode('forged'), ip(OUTSIDE[family]), client)
      expect(impatient(asking).receiveFrom()).toBeUndefined()
      listening.sendTo(new TextEncoder().encode('answer'), ip(OUTSIDE[family]), client)
      const answer = asking.receiveFrom()
      expect(new TextDecoder().decode(answer?.bytes)).toBe('answer')
      expect(answer?.from).toBe(`${HOST[family]} ${port}`)
    }
  }
}, 60_000)

/** The packet with other TCP flags, and the sum that belongs to them. */
function withFlags(packet: pk.Bytes, source: IP, destination: IP, flags: number): pk.Bytes {
  const at = familyOf(source) === 4 ? 20 : 40
  const segment = packet.slice(at)
  segment.set([flags], 13)
  segment.set([0, 0], 16)
  const pseudo = pk.pseudoHeader(source, destination, pk.PROTO.TCP, segment.length)
  new DataView(segment.buffer).setUint16(16, pk.checksum(pseudo, segment))
  packet.set(segment, at)
  return packet
}

/** TCP flags that begin no connection. linux/tcp.h */
const FLAGS = { RST: 0x04, 'SYN, ACK': 0x12, FIN: 0x01, none: 0 } as const

test('what belongs to no connection neither leaves with a private address nor reaches the host', async () => {
  await using scene = new Scene()
  const { a, b } = await published(scene)
  scene.host.run(
    "nft 'table inet ckt { counter in { }; chain in { type filter hook input priority 0; iifgroup 51716 counter name in; }; }'",
  )
  for (const { ns, endpoint } of [a, b]) {
    using frames = openFrameSocket(ns, 'eth0')
    for (const family of FAMILIES) {
      for (const flags of Object.values(FLAGS)) {
        for (const to of [OUTSIDE[family], GATEWAY[family]]) {
          const [source, destination] = [ip(SOURCE[family]), ip(to)]
          const segment = withFlags(
            pk.tcpPacket({ source, destination }),
            source,
            destination,
            flags,
          )
          const type = family === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6
          frames.send(pk.ether(FABRIC_MAC, endpoint.mac, type, segment))
        }
      }
    }
  }
  // What comes after them has passed: so would they have.
  for (const { ns } of [a, b]) {
    const server = { ns: scene.outside, address: OUTSIDE[4], port: 53 }
    const client = { ns, address: SOURCE[4], port: 4300 }
    expect(askDatagram(client, server)).toEqual({ seen: HOST[4], answered: true })
  }
  expect(scene.leaked()).toBe(0)
  expect(scene.host.run('nft list counter inet ckt in')).toContain('packets 0')
}, 60_000)

test('an error of the host about a packet goes to the container that sent it', async () => {
  await using scene = new Scene()
  const { a, b } = await published(scene)
  const count = `nft 'table inet ckt { counter errors { }; chain in { type filter hook prerouting priority 0;
    icmp type time-exceeded counter name errors; icmpv6 type time-exceeded counter name errors; }; }'`
  for (const { ns } of [a, b]) ns.run(count)
  const errors = ({ ns }: Container): number =>
    Number(/packets (\d+)/.exec(ns.run('nft list counter inet ckt errors'))?.[1])
  for (const [sender, other] of [
    [a, b],
    [b, a],
  ] as const) {
    using frames = openFrameSocket(sender.ns, 'eth0')
    const before = [errors(sender), errors(other)] as const
    for (const family of FAMILIES) {
      for (const to of [OUTSIDE[family], HOST[family]]) {
        const [source, destination] = [ip(SOURCE[family]), ip(to)]
        const header = { source, destination, hops: 1, protocol: pk.PROTO.UDP }
        const datagram = pk.udp(source, destination, 40_000, 8081, new Uint8Array(18))
        const packet = pk.ipPacket(header, datagram)
        const type = family === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6
        frames.send(pk.ether(FABRIC_MAC, sender.endpoint.mac, type, packet))
      }
    }
    const server = { ns: scene.outside, address: OUTSIDE[6], port: 53 }
    const client = { ns: sender.ns, address: SOURCE[6], port: 4400 }
    expect(askDatagram(client, server).answered).toBe(true)
    expect(errors(other)).toBe(before[1])
    // One for each family: a published port of a container is not reached in so few hops, and not told so.
    expect(errors(sender)).toBe(before[0] + 2)
  }
}, 60_000)
