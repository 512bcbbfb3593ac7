/**
 * Messages about tracked connections. All numbers are big-endian, headers apart.
 * linux/netfilter/nfnetlink_conntrack.h, linux/netfilter/nfnetlink.h
 */
import { type Family, familyOf, type IP, ipBytes, parseIP } from '../../net/ip.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import { type Connection, type ConnectionFilter, familyMeant, type Tuple } from './conntrack.ts'

const NFNL_SUBSYS_CTNETLINK = 1
const IPCTNL_MSG_CT_GET = 1
const IPCTNL_MSG_CT_DELETE = 2
/** struct nfgenmsg */
const HEADER_BYTES = 4
const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 }

/** enum ctattr_type */
const CTA = {
  TUPLE_ORIG: 1,
  TUPLE_REPLY: 2,
  MARK: 8,
  ID: 12,
  ZONE: 18,
  MARK_MASK: 21,
  FILTER: 25,
} as const
/** enum ctattr_tuple, ctattr_ip, ctattr_l4proto */
const CTA_TUPLE = { IP: 1, PROTO: 2, ZONE: 3 } as const
const CTA_IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const
const CTA_PROTO = { NUM: 1, SRC_PORT: 2, DST_PORT: 3 } as const
/** enum ctattr_filter */
const CTA_FILTER = { ORIG_FLAGS: 1, REPLY_FLAGS: 2 } as const
/** Parts of a tuple that a filter compares (5.8). net/netfilter/nf_conntrack_netlink.c CTA_FILTER_F_* */
const COMPARE = { source: 1, destination: 2, protocol: 8, sourcePort: 16, destinationPort: 32 }

export function listConnections(filter: ConnectionFilter): Request {
  const family = familyMeant(filter)
  const { original, reply, mark } = filter
  const message = header(family)
  if (mark !== undefined) {
    message.attrU32BE(CTA.MARK, mark.value).attrU32BE(CTA.MARK_MASK, mark.mask)
  }
  const { protocol } = filter
  if (family !== undefined && (protocol ?? original ?? reply) !== undefined) {
    const flags = [flagsOf(original ?? {}, protocol), flagsOf(reply ?? {}, protocol)] as const
    writeTuple(message, CTA.TUPLE_ORIG, original ?? {}, protocol)
    writeTuple(message, CTA.TUPLE_REPLY, reply ?? {}, protocol)
    message.nested(CTA.FILTER, () =>
      message.attrU32(CTA_FILTER.ORIG_FLAGS, flags[0]).attrU32(CTA_FILTER.REPLY_FLAGS, flags[1]),
    )
  }
  return {
    operation: 'list tracked connections',
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
    flags: NLM_F.DUMP,
    list: true,
    body: message.finish(),
  }
}

export function removeConnection({ family, name, zone, id }: Connection): Request {
  const message = header(family).attr(CTA.TUPLE_ORIG | NESTED, name)
  // A zone of one direction only stands inside the tuple.
  if (zone !== 0 && !new Attributes(name).has(CTA_TUPLE.ZONE)) message.attrU16BE(CTA.ZONE, zone)
  return {
    operation: 'remove a tracked connection',
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: 0,
    body: message.attrU32BE(CTA.ID, id).finish(),
    accept: (errno) => errno === 'ENOENT',
  }
}

const NESTED = 0x8000

/** Undefined for what is no connection of an IP family. */
export function readConnection(body: Uint8Array): Connection | undefined {
  const family = body[0] === AF[4] ? 4 : body[0] === AF[6] ? 6 : undefined
  if (family === undefined || body.length < HEADER_BYTES) return undefined
  const attributes = new Attributes(body.subarray(HEADER_BYTES))
  const name = attributes.bytes(CTA.TUPLE_ORIG)
  const original = readTuple(attributes.nested(CTA.TUPLE_ORIG), family)
  const reply = readTuple(attributes.nested(CTA.TUPLE_REPLY), family)
  if (name === undefined || original === undefined || reply === undefined) return undefined
  return {
    family,
    protocol: original.protocol,
    original: original.tuple,
    reply: reply.tuple,
    mark: attributes.u32BE(CTA.MARK) ?? 0,
    zone: attributes.u16BE(CTA.ZONE) ?? original.zone ?? reply.zone ?? 0,
    id: attributes.u32BE(CTA.ID) ?? 0,
    name: new Uint8Array(name),
  }
}

function header(family: Family | undefined): Writer {
  return new Writer()
    .u8(family === undefined ? 0 : AF[family])
    .u8(0)
    .u16(0)
}

/** Only what a flag names is compared. */
function writeTuple(
  message: Writer,
  type: number,
  tuple: Partial<Tuple>,
  protocol: number | undefined,
): void {
  message.nested(type, () => {
    message.nested(CTA_TUPLE.IP, () => {
      for (const end of ['source', 'destination'] as const) {
        const address = tuple[end]
        if (address !== undefined) message.attr(CTA_IP[familyOf(address)][end], ipBytes(address))
      }
    })
    if (protocol === undefined) return
    message.nested(CTA_TUPLE.PROTO, () => {
      message.attrU8(CTA_PROTO.NUM, protocol)
      if (tuple.sourcePort !== undefined) message.attrU16BE(CTA_PROTO.SRC_PORT, tuple.sourcePort)
      if (tuple.destinationPort !== undefined) {
        message.attrU16BE(CTA_PROTO.DST_PORT, tuple.destinationPort)
      }
    })
  })
}

/**
 * The kernel compares ports only together with the protocol's number. Of IPv6 addresses it takes the equal ones
 * for different (seen in 6.18, ctnetlink_filter_match_tuple()), so it is not asked to compare them.
 */
function flagsOf(tuple: Partial<Tuple>, protocol: number | undefined): number {
  let flags = protocol === undefined ? 0 : COMPARE.protocol
  for (const end of ['source', 'destination'] as const) {
    const address = tuple[end]
    if (address !== undefined && familyOf(address) === 4) flags |= COMPARE[end]
  }
  for (const port of ['sourcePort', 'destinationPort'] as const) {
    if (protocol !== undefined && tuple[port] !== undefined) flags |= COMPARE[port]
  }
  return flags
}

function readTuple(
  tuple: Attributes,
  family: Family,
):
  | { readonly tuple: Tuple; readonly protocol: number; readonly zone: number | undefined }
  | undefined {
  const addresses = tuple.nested(CTA_TUPLE.IP)
  const ports = tuple.nested(CTA_TUPLE.PROTO)
  const source = addressOf(addresses.ip(CTA_IP[family].source))
  const destination = addressOf(addresses.ip(CTA_IP[family].destination))
  const protocol = ports.u8(CTA_PROTO.NUM)
  if (source === undefined || destination === undefined || protocol === undefined) return undefined
  return {
    tuple: {
      source,
      destination,
      sourcePort: ports.u16BE(CTA_PROTO.SRC_PORT),
      destinationPort: ports.u16BE(CTA_PROTO.DST_PORT),
    },
    protocol,
    zone: tuple.u16BE(CTA_TUPLE.ZONE),
  }
}

function addressOf(text: string | undefined): IP | undefined {
  return text === undefined ? undefined : parseIP(text)
}
