/** Builds packets byte by byte for the datapath's tests, and reads back what the programs made of them. */

import { familyOf, type IP, ipBytes, ipFromBytes, parseIP } from '../../../src/net/ip.ts'
import { type Mac, macBytes, macFromBytes, parseMac } from '../../../src/net/mac.ts'

export type Bytes = Uint8Array<ArrayBuffer>

export const ETH = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, IPV6: 0x86dd } as const
export const PROTO = { ICMP: 1, TCP: 6, UDP: 17, FRAGMENT6: 44, ICMPV6: 58, HOP_BY_HOP: 0 } as const

/** The address a test writes down. */
export function ip(text: string): IP {
  const parsed = parseIP(text)
  if (parsed === undefined) throw new Error(`not an address: ${text}`)
  return parsed
}

export function mac(text: string): Mac {
  const parsed = parseMac(text)
  if (parsed === undefined) throw new Error(`not a MAC: ${text}`)
  return parsed
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Big-endian fields: `[width in bytes, value]`. */
function fields(...list: readonly (readonly [1 | 2 | 4, number])[]): Bytes {
  const all = new Uint8Array(list.reduce((sum, [width]) => sum + width, 0))
  const view = new DataView(all.buffer)
  let at = 0
  for (const [width, value] of list) {
    if (width === 1) view.setUint8(at, value)
    else if (width === 2) view.setUint16(at, value)
    else view.setUint32(at, value)
    at += width
  }
  return all
}

export function get16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

/** The internet checksum (RFC 1071); 0 over bytes that contain a right one. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const bytes = concat(...parts)
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += get16(bytes, at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

export function ether(to: Mac, from: Mac, type: number, payload: Uint8Array): Bytes {
  return concat(macBytes(to), macBytes(from), fields([2, type]), payload)
}

export interface IPHeader {
  readonly source: IP
  readonly destination: IP
  readonly protocol: number
  /** DSCP and ECN. */
  readonly tos?: number
  readonly hops?: number
  /** IPv4: flags and offset as on the wire. */
  readonly fragment?: number
  /** IPv4: options, a multiple of 4 bytes. */
  readonly options?: Uint8Array
  /** A length other than the true one. */
  readonly length?: number
}

/** A whole IP packet of the addresses' family. */
export function ipPacket(header: IPHeader, payload: Uint8Array): Bytes {
  return familyOf(header.source) === 4 ? ipv4(header, payload) : ipv6(header, payload)
}

function ipv4(h: IPHeader, payload: Uint8Array): Bytes {
  const options = h.options ?? new Uint8Array()
  const words = 5 + options.length / 4
  const length = h.length ?? words * 4 + payload.length
  const head = concat(
    fields([1, 0x40 | words], [1, h.tos ?? 0], [2, length], [2, 0x1234], [2, h.fragment ?? 0x4000]),
    fields([1, h.hops ?? 64], [1, h.protocol], [2, 0]),
    ipBytes(h.source),
    ipBytes(h.destination),
    options,
  )
  head.set(fields([2, checksum(head)]), 10)
  return concat(head, payload)
}

function ipv6(h: IPHeader, payload: Uint8Array): Bytes {
  const first = 0x60000000 | ((h.tos ?? 0) << 20)
  return concat(
    fields([4, first], [2, h.length ?? payload.length], [1, h.protocol], [1, h.hops ?? 64]),
    ipBytes(h.source),
    ipBytes(h.destination),
    payload,
  )
}

/** What transport checksums cover besides the segment. RFC 8200 §8.1, RFC 768 */
export function pseudoHeader(source: IP, destination: IP, protocol: number, length: number): Bytes {
  return concat(ipBytes(source), ipBytes(destination), fields([4, length], [4, protocol]))
}

export function udpPacket(
  h: Omit<IPHeader, 'protocol'>,
  payload: Uint8Array = new Uint8Array(18),
): Bytes {
  return ipPacket({ ...h, protocol: PROTO.UDP }, udp(h.source, h.destination, 40000, 53, payload))
}

export function udp(
  source: IP,
  destination: IP,
  from: number,
  to: number,
  payload: Uint8Array,
): Bytes {
  const segment = concat(fields([2, from], [2, to], [2, payload.length + 8], [2, 0]), payload)
  const sum = checksum(pseudoHeader(source, destination, PROTO.UDP, segment.length), segment)
  segment.set(fields([2, sum]), 6)
  return segment
}

export function tcpPacket(
  h: Omit<IPHeader, 'protocol'>,
  payload: Uint8Array = new Uint8Array(),
): Bytes {
  const segment = concat(
    fields([2, 40000], [2, 80], [4, 1], [4, 1], [2, 0x5010], [2, 1000], [2, 0], [2, 0]),
    payload,
  )
  const pseudo = pseudoHeader(h.source, h.destination, PROTO.TCP, segment.length)
  segment.set(fields([2, checksum(pseudo, segment)]), 16)
  return ipPacket({ ...h, protocol: PROTO.TCP }, segment)
}

/** An ICMP or ICMPv6 message, by the family. */
export function icmpPacket(
  h: Omit<IPHeader, 'protocol'>,
  type: number,
  code: number,
  rest: Uint8Array,
): Bytes {
  const message = concat(fields([1, type], [1, code], [2, 0]), rest)
  const six = familyOf(h.source) === 6
  const pseudo = six
    ? pseudoHeader(h.source, h.destination, PROTO.ICMPV6, message.length)
    : new Uint8Array()
  message.set(fields([2, checksum(pseudo, message)]), 2)
  return ipPacket({ ...h, protocol: six ? PROTO.ICMPV6 : PROTO.ICMP }, message)
}

export function arp(
  operation: number,
  sender: { readonly mac: Mac; readonly ip: IP },
  target: { readonly mac: Mac; readonly ip: IP },
): Bytes {
  return concat(
    fields([2, 1], [2, ETH.IPV4], [1, 6], [1, 4], [2, operation]),
    macBytes(sender.mac),
    ipBytes(sender.ip),
    macBytes(target.mac),
    ipBytes(target.ip),
  )
}

/** A neighbour solicitation (135) or advertisement (136) with its option. */
export function neighbourMessage(
  type: 135 | 136,
  source: IP,
  destination: IP,
  target: IP,
  option: Mac | undefined,
): Bytes {
  const link =
    option === undefined
      ? new Uint8Array()
      : concat(fields([1, type - 134], [1, 1]), macBytes(option))
  const rest = concat(fields([4, 0]), ipBytes(target), link)
  return icmpPacket({ source, destination, hops: 255 }, type, 0, rest)
}

export function vxlan(vni: number, frame: Uint8Array, flags = 0x08000000): Bytes {
  return concat(fields([4, flags], [4, vni * 256]), frame)
}

/** An Ethernet frame as a test reads it. */
export interface ReadFrame {
  readonly to: Mac
  readonly from: Mac
  readonly type: number
  readonly payload: Uint8Array
}

export function readFrame(bytes: Uint8Array): ReadFrame {
  return {
    to: macFromBytes(bytes.slice(0, 6)),
    from: macFromBytes(bytes.slice(6, 12)),
    type: get16(bytes, 12),
    payload: bytes.slice(14),
  }
}

/** An IP packet as a test reads it; throws when lengths or the header's checksum are wrong. */
export interface ReadIP {
  readonly source: IP
  readonly destination: IP
  readonly protocol: number
  readonly tos: number
  readonly hops: number
  readonly header: Uint8Array
  readonly payload: Uint8Array
}

export function readIP(bytes: Uint8Array): ReadIP {
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4) {
    const header = bytes.slice(0, ((bytes[0] ?? 0) & 15) * 4)
    if (checksum(header) !== 0) throw new Error('wrong IPv4 header checksum')
    if (get16(bytes, 2) !== bytes.length)
      throw new Error(`IPv4 length ${get16(bytes, 2)}, not ${bytes.length}`)
    return {
      source: ipFromBytes(bytes.slice(12, 16)),
      destination: ipFromBytes(bytes.slice(16, 20)),
      protocol: bytes[9] ?? 0,
      tos: bytes[1] ?? 0,
      hops: bytes[8] ?? 0,
      header,
      payload: bytes.slice(header.length),
    }
  }
  if (version !== 6) throw new Error(`IP version ${version}`)
  if (get16(bytes, 4) + 40 !== bytes.length)
    throw new Error(`IPv6 length ${get16(bytes, 4)}, not ${bytes.length - 40}`)
  return {
    source: ipFromBytes(bytes.slice(8, 24)),
    destination: ipFromBytes(bytes.slice(24, 40)),
    protocol: bytes[6] ?? 0,
    tos: (get16(bytes, 0) >> 4) & 0xff,
    hops: bytes[7] ?? 0,
    header: bytes.slice(0, 40),
    payload: bytes.slice(40),
  }
}

/** True when the ICMP or ICMPv6 message's checksum is right. */
export function icmpSumRight(packet: ReadIP): boolean {
  if (packet.protocol === PROTO.ICMP) return checksum(packet.payload) === 0
  const { source, destination, protocol, payload } = packet
  return checksum(pseudoHeader(source, destination, protocol, payload.length), payload) === 0
}
