/** What the host's own stack sends into a gateway device: marks, sources, sizes, and errors that come back. */

import { afterAll, describe, expect, test } from 'bun:test'
import { gateways } from '../../src/hoststate/gateway-maps.ts'
import * as maps from '../../src/hoststate/maps.ts'
import * as fx from './datapath/fabric.ts'
import {
  type Family,
  frame,
  Gateway,
  IN,
  INDEX_MARK,
  MARKS,
  OTHER,
  of,
  SELF,
} from './datapath/gateway.ts'
import * as pk from './datapath/packet.ts'

const { A, B, C, D, FABRIC, OUTSIDE, ABSENT } = fx
const CONTAINER_DEVICE = 4001

describe('from the host', () => {
  // Test runs come in by the loopback device, so here that is the gateway device, and A is elsewhere.
  const fabric = new Gateway(fx.LO)
  afterAll(() => fabric[Symbol.dispose]())
  fabric.object.map('devices').delete(maps.devices.keyOf({ ifindex: fx.LO } as maps.DeviceEntry))
  const gateway = {
    ...({ ifindex: fx.LO, vni: fx.VNI, carrier: 'vxlan', mtuBytes: 1450 } as const),
    around: fx.NETWORK.prefixes,
  }
  fabric.put(gateways, gateway)
  for (const address of [A.ip4, A.ip6, A.second4, A.second6]) {
    fabric.endpoint(address, A.mac, { kind: 'local', ifindex: CONTAINER_DEVICE })
  }
  const OTHERS = 0x1234 // bits of the mark that are somebody else's
  const passed = MARKS.passed + INDEX_MARK + OTHERS
  const send = (packet: Uint8Array, mark = passed, more = {}) =>
    fabric.verdict('to_network', frame(packet, FABRIC), { mark, ...more })

  for (const family of [4, 6] as const) {
    const [self, container] = [of(family, SELF), of(family, A)]

    for (const { what, source } of [
      { what: 'its own address', source: self },
      { what: 'the outside', source: of(family, OUTSIDE) },
      { what: "the gateway's address", source: of(family, fx.GATEWAY) },
    ]) {
      test(`IPv${family}: a container here gets a packet from ${what}`, () => {
        const packet = pk.tcpPacket({ source, destination: container })
        const before = fabric.traffic('from-host').packets
        const run = fabric.run('to_network', { bytes: frame(packet, FABRIC), mark: passed })
        expect(run.verdict).toBe(fx.VERDICT.REDIRECT)
        expect(run.bytes).toEqual(frame(packet, FABRIC, A.mac))
        expect(run.mark).toBe(OTHERS)
        expect(fabric.traffic('from-host').packets).toBe(before + 1)
      })
    }

    test(`IPv${family}: what the host's table did not let pass is closed, and told nobody`, () => {
      const packet = pk.tcpPacket({ source: self, destination: container })
      for (const mark of [0, MARKS.unchecked, INDEX_MARK, OTHERS, MARKS.mask - MARKS.passed]) {
        expect(send(packet, mark)).toBe('closed')
      }
    })

    test(`IPv${family}: a container elsewhere gets it by VXLAN, from the host's own address only`, () => {
      const packet = pk.tcpPacket({ source: self, destination: of(family, C) })
      const run = fabric.run('to_network', { bytes: frame(packet, FABRIC), mark: passed })
      expect(run.verdict).toBe(fx.VERDICT.REDIRECT)
      expect(run.mark).toBe(OTHERS)
      const outer = pk.readIP(run.bytes.slice(14))
      expect(outer).toMatchObject({ source: fx.HERE.ip4, destination: fx.HOST1 })
      // A vxlan device with the fabric's MAC would take a frame from that MAC for a loop.
      const inner = frame(packet, pk.mac('0a:ca:bb:1e:00:fe'))
      expect(outer.payload.slice(8)).toEqual(pk.vxlan(fx.VNI, inner))
      for (const source of [OUTSIDE, fx.GATEWAY, ABSENT]) {
        const foreign = pk.tcpPacket({ source: of(family, source), destination: of(family, C) })
        expect(send(foreign)).toBe('no-route, answered')
      }
    })

    test(`IPv${family}: another host itself gets it from this one itself`, () => {
      expect(send(pk.udpPacket({ source: self, destination: of(family, OTHER) }))).toBe(
        'redirected',
      )
    })

    test(`IPv${family}: the addresses of endpoints are not the host's to use`, () => {
      for (const source of [A, B, C, OTHER]) {
        for (const destination of [A, D]) {
          const ends = { source: of(family, source), destination: of(family, destination) }
          expect(send(pk.udpPacket(ends))).toBe('spoofed')
        }
      }
    })

    test(`IPv${family}: nor those that an endpoint has outside of all prefixes, of its link alone`, () => {
      const source = pk.ip(family === 4 ? '169.254.9.9' : 'fe80::9')
      const packet = pk.udpPacket({ source, destination: of(family, A) })
      fabric.endpoint(source, B.mac, { kind: 'local', ifindex: CONTAINER_DEVICE + 1 })
      const taken = send(packet)
      const key = maps.endpoints.keyOf({ vni: fx.VNI, address: source } as maps.EndpointEntry)
      fabric.object.map('endpoints').delete(key)
      expect(taken).toBe('spoofed')
      expect(send(packet)).toBe('redirected')
    })

    test(`IPv${family}: loopback never enters a network`, () => {
      for (const destination of [A, C]) {
        const source = pk.ip(family === 4 ? '127.0.0.1' : '::1')
        expect(send(pk.udpPacket({ source, destination: of(family, destination) }))).toBe('spoofed')
      }
    })

    test(`IPv${family}: the carrier's limits hold`, () => {
      const packet = pk.udpPacket({ source: self, destination: of(family, C) })
      fabric.put(gateways, { ...gateway, carrier: 'local' })
      const local = send(packet)
      fabric.put(gateways, gateway)
      expect(local).toBe('no-carrier')
    })

    for (const { what, destination, want, four, six } of [
      { what: 'absent', destination: ABSENT, want: 'no-endpoint, answered', four: 1, six: 3 },
      { what: 'itself', destination: SELF, want: 'no-endpoint, answered', four: 1, six: 3 },
      { what: 'outside', destination: OUTSIDE, want: 'no-endpoint, answered', four: 1, six: 3 },
    ]) {
      test(`IPv${family}: a destination that is ${what} is told to be unreachable`, () => {
        const packet = pk.udpPacket({ source: self, destination: of(family, destination) })
        expect(send(packet)).toBe(want)
        const run = fabric.run('to_network', { bytes: frame(packet, FABRIC), mark: passed })
        expectError(run, packet, family, [family === 4 ? 3 : 1, family === 4 ? four : six])
      })
    }

    for (const { what, destination, limit } of [
      { what: 'the network', destination: A, limit: 1450 },
      { what: 'the path', destination: C, limit: 1350 },
    ]) {
      test(`IPv${family}: what is too big for ${what} comes back with the size that fits`, () => {
        const [host] = fx.HOSTS
        if (host === undefined) throw new Error('no host')
        fabric.put(maps.hosts, { ...host, pathMtuBytes: 1400 })
        const head = family === 4 ? 28 : 48
        const sized = (size: number) =>
          pk.udpPacket(
            { source: self, destination: of(family, destination) },
            new Uint8Array(size - head),
          )
        expect(send(sized(limit))).toBe('redirected')
        expect(send(sized(limit + 1))).toBe('too-big, answered')
        const packet = sized(limit + 1)
        const run = fabric.run('to_network', { bytes: frame(packet, FABRIC), mark: passed })
        const error = expectError(run, packet, family, family === 4 ? [3, 4] : [2, 0])
        expect(pk.get16(error.payload, 6)).toBe(limit)
        fabric.put(maps.hosts, host)
      })
    }

    test(`IPv${family}: groups, and frames cut at any length`, () => {
      const group = pk.ip(family === 4 ? '224.0.0.251' : 'ff02::16')
      expect(send(pk.udpPacket({ source: self, destination: group }), 0)).toBe('ignored')
      const whole = pk.tcpPacket({ source: self, destination: container })
      for (let length = family === 4 ? 20 : 40; length < whole.length; length++) {
        expect(send(whole.slice(0, length))).toBe('malformed')
      }
    })

    function expectError(
      run: { readonly bytes: Uint8Array; readonly mark: number; readonly verdict: number },
      packet: Uint8Array,
      family: Family,
      what: readonly number[],
    ): pk.ReadIP {
      expect(run.verdict).toBe(fx.VERDICT.REDIRECT)
      expect(run.mark).toBe(IN) // it enters the host's stack like a container's packet
      const answer = pk.readFrame(run.bytes)
      expect(answer).toMatchObject({ to: FABRIC, from: FABRIC })
      const error = pk.readIP(answer.payload)
      const told = pk.readIP(packet)
      // In the name of the destination: an address of the host's own would be taken for a forgery.
      expect(error).toMatchObject({ source: told.destination, destination: told.source })
      expect(error.destination).toBe(of(family, SELF))
      expect(pk.icmpSumRight(error)).toBe(true)
      expect([error.payload[0] ?? -1, error.payload[1] ?? -1]).toEqual([...what])
      expect(error.payload.slice(8)).toEqual(packet.slice(0, 128))
      return error
    }
  }

  test('other protocols, tags and unknown devices', () => {
    const plain = pk.udpPacket({ source: SELF.ip4, destination: A.ip4 })
    const tagged = pk.concat(Uint8Array.of(0, 5, 8, 0), plain)
    const arp = pk.arp(1, { mac: FABRIC, ip: SELF.ip4 }, { mac: A.mac, ip: A.ip4 })
    const show = (type: number, body: Uint8Array) =>
      fabric.verdict('to_network', pk.ether(FABRIC, FABRIC, type, body), { mark: passed })
    expect(show(pk.ETH.VLAN, tagged)).toBe('not-ip')
    expect(show(pk.ETH.ARP, arp)).toBe('not-ip')
    fabric.object.map('gateways').delete(gateways.keyOf(gateway))
    const unknown = send(plain)
    fabric.put(gateways, gateway)
    expect(unknown).toBe('no-network')
  })
})
