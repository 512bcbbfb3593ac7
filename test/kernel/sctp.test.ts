/**
 * SCTP to a published port, as raw packets, since this kernel may have no SCTP sockets: the port is changed
 * both ways, and the checksum (CRC-32C over the whole packet, RFC 9260 §6.8) with it.
 */
import { afterAll, test } from 'bun:test'
import assert from 'node:assert/strict'
import { inside, openHome, openNetns } from '../../src/kernel/netns.ts'
import * as sys from '../../src/kernel/syscall.ts'
import { familyOf, type IP } from '../../src/net/ip.ts'
import { IPPROTO } from '../../src/net/protocol.ts'
import { type Place, Socket } from './datapath/sockets.ts'
import { TestNamespaces } from './namespaces.ts'
import {
  CLIENT,
  CLIENT6,
  CONTAINER,
  CONTAINER6,
  HOST,
  HOST6,
  port,
  publishingHostBetween,
} from './publishing-host.ts'

const namespaces = new TestNamespaces()
afterAll(() => namespaces[Symbol.dispose]())

/** RFC 9260 §3.2 chunk types */
const INIT = 1
const INIT_ACK = 2
const IPV4_HEADER_BYTES = 20
const AF_INET = 2
const AF_INET6 = 10

/** A socket that sends and gets whole SCTP packets; those of IPv4 come with their IP header. */
function openRaw(place: Place, address: IP): Socket {
  using home = openHome()
  using there = openNetns(place.path)
  const family = familyOf(address)
  const type = family === 4 ? AF_INET : AF_INET6
  const fd = inside(there.fd, home.fd, () => sys.socket(type, sys.SOCK_RAW, IPPROTO.sctp))
  return new Socket(fd, family).bind(address, 0)
}

/** An SCTP packet with one chunk that opens an association, or agrees to. RFC 9260 §3.3.2 */
function packet(sourcePort: number, destinationPort: number, type: number, tag: number): Buffer {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt16BE(sourcePort, 0)
  bytes.writeUInt16BE(destinationPort, 2)
  bytes.writeUInt32BE(tag, 4)
  bytes.writeUInt8(type, 12)
  bytes.writeUInt16BE(20, 14)
  bytes.writeUInt32BE(0xca11, 16)
  bytes.writeUInt32BE(65_536, 20)
  bytes.writeUInt16BE(1, 24)
  bytes.writeUInt16BE(1, 26)
  bytes.writeUInt32LE(crc32c(bytes), 8)
  return bytes
}

/** Ports of a packet that arrived; fails when its checksum is wrong. */
function portsIn(received: Uint8Array | undefined, family: 4 | 6): readonly [number, number] {
  assert.ok(received, 'nothing arrived')
  const bytes = Buffer.from(received.subarray(family === 4 ? IPV4_HEADER_BYTES : 0))
  const checksum = bytes.readUInt32LE(8)
  bytes.writeUInt32LE(0, 8)
  assert.equal(checksum, crc32c(bytes), 'the checksum')
  return [bytes.readUInt16BE(0), bytes.readUInt16BE(2)]
}

/** RFC 9260 appendix A, bit by bit. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78
  }
  return ~crc >>> 0
}

for (const { family, from, to, target } of [
  { family: 4 as const, from: CLIENT, to: HOST, target: CONTAINER },
  { family: 6 as const, from: CLIENT6, to: HOST6, target: CONTAINER6 },
]) {
  test(`IPv${family}: an association is opened through a published port`, () => {
    const { client, container, resource, view } = publishingHostBetween(namespaces)
    resource.put(port({ protocol: 'sctp', hostPort: 3868, containerPort: 3900, address: target }))
    using asking = openRaw(client, from)
    using answering = openRaw(container, target)
    const buffer = new Uint8Array(2_048)
    asking.connect(to, 0)
    asking.send(packet(5_000, 3868, INIT, 0))
    assert.deepEqual(portsIn(answering.receive(buffer), family), [5_000, 3900])
    answering.connect(from, 0) // the client's address is kept
    answering.send(packet(3900, 5_000, INIT_ACK, 0xca11))
    assert.deepEqual(portsIn(asking.receive(buffer), family), [3868, 5_000])
    const [connection] = view.conntrack.list({ family, protocol: IPPROTO.sctp })
    assert.equal(connection?.reply.source, target)
  })
}
