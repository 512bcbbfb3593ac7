/**
 * Packets for a container whose rate is limited: they wait at the host's end of its pair, whichever way they
 * came; those of other containers pass it by.
 */

import { expect, test } from 'bun:test'
import * as maps from '../../src/hoststate/maps.ts'
import { exchangeDatagrams, exchangeSegments, streamBytes } from './datapath/sockets.ts'
import { type Container, type Host, Pair, VNI } from './datapath/wire.ts'

const MIB = 1 << 20

/** Bytes that left by the queue at the root of the host's end. */
function queued(host: Host, { device }: Container): number {
  const [root] = JSON.parse(host.ns.run(`tc -s -j qdisc show dev ${device} root`))
  return root.kind === 'tbf' ? root.bytes : 0
}

function shape(host: Host, container: Container, burstBytes: number): void {
  const { device, mac } = container
  host.ns.run(
    `tc qdisc add dev ${device} root tbf rate 2gbit burst ${burstBytes} limit ${burstBytes + 2 * MIB}`,
  )
  const at = { kind: 'local', ifindex: host.ns.ifindex(device), shaped: true } as const
  for (const address of [container.ip4, container.ip6]) {
    host.put(maps.endpoints, { vni: VNI, address, mac, at })
  }
}

// With room for whole super-packets, and with so little that the queue cuts them.
for (const burstBytes of [4 * MIB, 16_384]) {
  for (const carrier of ['vxlan', 'direct'] as const) {
    test(`what goes to a limited container waits at its device: ${carrier}, bursts of ${burstBytes}`, () => {
      using pair = new Pair({ outer: 4, carrier })
      const [first] = pair.hosts
      shape(first, pair.b, burstBytes)
      for (const family of ['ip4', 'ip6'] as const) {
        const target = { ns: pair.b.ns, address: pair.b[family] }
        for (const from of [pair.a, pair.c]) {
          const source = { ns: from.ns, address: from[family] }
          const before = queued(first, pair.b)
          expect(streamBytes(source, target, 8 * MIB)).toBe(8 * MIB)
          expect(queued(first, pair.b) - before).toBeGreaterThan(8 * MIB)
          expect(exchangeDatagrams(source, target, 1300, 3)).toBe(3)
          expect(exchangeDatagrams(source, target, 9000, 3)).toBe(3)
          const segments = { segment: 1000, count: 10, gro: false }
          expect(exchangeSegments(source, target, segments).bytes).toBe(10_000)
        }
        const before = queued(first, pair.b)
        const away = { ns: pair.a.ns, address: pair.a[family] }
        expect(streamBytes({ ns: pair.c.ns, address: pair.c[family] }, away, MIB)).toBe(MIB)
        // The last packets of the streams before may still have come.
        expect(queued(first, pair.b) - before).toBeLessThan(10_000)
      }
    }, 60_000)
  }
}
