/**
 * Links on the wire: struct ifinfomsg and IFLA attributes. linux/if_link.h, linux/if.h
 */
import { NetworkError } from '../../lib/errors.ts'
import type { AddrGenMode, Link, LinkBirth, LinkChange, NewLink, SuperPackets } from '../kernel.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import { AF_INET6, absent, macText, macValue, RTM } from './protocol.ts'
import { readVxlan } from './vxlan.ts'

export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  IFALIAS: 20,
  AF_SPEC: 26,
  GROUP: 27,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
  LINK_NETNSID: 37,
  GSO_MAX_SIZE: 41,
  GRO_MAX_SIZE: 58,
  TSO_MAX_SIZE: 59,
  GSO_IPV4_MAX_SIZE: 63,
  GRO_IPV4_MAX_SIZE: 64,
} as const
export const IFLA_INFO = { KIND: 1, DATA: 2 } as const
const IFLA_INET6_ADDR_GEN_MODE = 8
const RTEXT_FILTER_SKIP_STATS = 1 << 3
const IFF = { UP: 0x1, LOOPBACK: 0x8, NOARP: 0x80, LOWER_UP: 0x10000 } as const
const HEADER_BYTES = 16
/** IFNAMSIZ less the closing zero. linux/if.h */
const NAME_BYTES = 15

const ADDR_GEN_MODES: readonly AddrGenMode[] = ['eui64', 'none', 'stable-privacy', 'random']

export function readLink(body: Uint8Array): Link | undefined {
  if (body.length < HEADER_BYTES) return undefined
  const header = viewOf(body)
  const attributes = new Attributes(body.subarray(HEADER_BYTES))
  const name = attributes.string(IFLA.IFNAME)
  // Answers of AF_BRIDGE and other families carry no whole link.
  if (header.getUint8(0) !== 0 || name === undefined) return undefined
  const flags = header.getUint32(8, true)
  const info = attributes.nested(IFLA.LINKINFO)
  const kind = info.string(IFLA_INFO.KIND)
  const gsoMaxBytes = attributes.u32(IFLA.GSO_MAX_SIZE) ?? 65536
  const groMaxBytes = attributes.u32(IFLA.GRO_MAX_SIZE) ?? 65536
  const peer = attributes.u32(IFLA.LINK)
  const mode = attributes.nested(IFLA.AF_SPEC).nested(AF_INET6).u8(IFLA_INET6_ADDR_GEN_MODE)
  return {
    index: header.getInt32(4, true),
    name,
    kind,
    mac: macText(attributes.bytes(IFLA.ADDRESS)),
    mtuBytes: attributes.u32(IFLA.MTU) ?? 0,
    up: (flags & IFF.UP) !== 0,
    running: (flags & IFF.LOWER_UP) !== 0,
    loopback: (flags & IFF.LOOPBACK) !== 0,
    arp: (flags & IFF.NOARP) === 0,
    group: attributes.u32(IFLA.GROUP) ?? 0,
    alias: attributes.string(IFLA.IFALIAS),
    master: attributes.u32(IFLA.MASTER),
    peer: peer === 0 ? undefined : peer,
    peerNetnsId: attributes.i32(IFLA.LINK_NETNSID),
    addrGenMode: mode === undefined ? undefined : ADDR_GEN_MODES[mode],
    gsoMaxBytes,
    groMaxBytes,
    // Before 6.3 the plain ones count for both families.
    gsoIpv4MaxBytes: attributes.u32(IFLA.GSO_IPV4_MAX_SIZE) ?? gsoMaxBytes,
    groIpv4MaxBytes: attributes.u32(IFLA.GRO_IPV4_MAX_SIZE) ?? groMaxBytes,
    tsoMaxBytes: attributes.u32(IFLA.TSO_MAX_SIZE) ?? 0,
    vxlan: kind === 'vxlan' ? readVxlan(info.nested(IFLA_INFO.DATA)) : undefined,
  }
}

export function getLink(device: number | string): Request {
  const message = header(typeof device === 'number' ? device : 0)
  if (typeof device === 'string') message.attrString(IFLA.IFNAME, device)
  message.attrU32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)
  return {
    operation: `get link ${shown(device)}`,
    type: RTM.GETLINK,
    flags: 0,
    body: message.finish(),
    accept: absent('ENODEV'),
  }
}

export function listLinks(kind: string | undefined): Request {
  const message = header(0).attrU32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)
  if (kind !== undefined) {
    message.nested(IFLA.LINKINFO, () => message.attrString(IFLA_INFO.KIND, kind))
  }
  return { operation: 'list links', type: RTM.GETLINK, flags: NLM_F.DUMP, body: message.finish() }
}

/**
 * Makes a device, and asks to be told of it (the kernel does since Linux 6.2). Alias, state and IPv6 mode are left
 * to a change afterwards, as the kernel takes them only then. `data` writes what is the kind's own; `lower` is the device below.
 */
export function createLink(
  kind: string,
  link: NewLink,
  data?: (message: Writer) => void,
  lower?: number,
): Request {
  const message = header(0)
  writeBirth(message, link)
  if (lower !== undefined) message.attrU32(IFLA.LINK, lower)
  if (link.master !== undefined) message.attrU32(IFLA.MASTER, link.master)
  message.nested(IFLA.LINKINFO, () => {
    message.attrString(IFLA_INFO.KIND, kind)
    if (data !== undefined) message.nested(IFLA_INFO.DATA, () => data(message))
  })
  return {
    operation: `create ${kind} ${shown(link.name)}`,
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL | NLM_F.ECHO,
    body: message.finish(),
  }
}

/** What a device can be given when it is made; also used for the other end of a veth. */
export function writeBirth(message: Writer, link: LinkBirth): void {
  if (link.mac !== undefined) message.attr(IFLA.ADDRESS, macValue(link.mac))
  writeName(message, link.name)
  if (link.mtuBytes !== undefined) message.attrU32(IFLA.MTU, link.mtuBytes)
  if (link.group !== undefined) message.attrU32(IFLA.GROUP, link.group)
  if (link.queues !== undefined) {
    message.attrU32(IFLA.NUM_TX_QUEUES, link.queues)
    message.attrU32(IFLA.NUM_RX_QUEUES, link.queues)
  }
  writeSuperPackets(message, link)
}

/** What `createLink` left out; undefined when that is nothing. */
export function changeAfterBirth(link: NewLink): LinkChange | undefined {
  const { alias, addrGenMode, arp, up } = link
  if (alias === undefined && addrGenMode === undefined && arp === undefined && up !== true) {
    return undefined
  }
  return {
    ...(alias === undefined ? {} : { alias }),
    ...(addrGenMode === undefined ? {} : { addrGenMode }),
    ...(arp === undefined ? {} : { arp }),
    ...(up === true ? { up } : {}),
  }
}

/**
 * The messages that change a device. In one message the kernel sets it up before it hears of the IPv6 mode,
 * and would already have made the link-local address that the mode forbids.
 */
export function changeLink(device: number | string, change: LinkChange): readonly Request[] {
  const { up, ...rest } = change
  if (up !== true || change.addrGenMode === undefined || change.netns !== undefined) {
    return [setLink(device, change)]
  }
  return [setLink(device, rest), setLink(device, { up })]
}

/** One message. A device that is named by text cannot be renamed in it. */
export function setLink(device: number | string, change: LinkChange): Request {
  const byName = typeof device === 'string'
  if (byName && change.name !== undefined) {
    throw new NetworkError(
      'invalid',
      `Cannot rename link "${device}": needs its index, not its name`,
    )
  }
  const message = header(byName ? 0 : device, change)
  if (change.mac !== undefined) message.attr(IFLA.ADDRESS, macValue(change.mac))
  if (byName) message.attrString(IFLA.IFNAME, device)
  if (change.name !== undefined) writeName(message, change.name)
  if (change.mtuBytes !== undefined) message.attrU32(IFLA.MTU, change.mtuBytes)
  if (change.master !== undefined) message.attrU32(IFLA.MASTER, change.master)
  if (change.alias !== undefined) writeAlias(message, change.alias)
  const mode = change.addrGenMode
  if (mode !== undefined) {
    message.nested(IFLA.AF_SPEC, () =>
      message.nested(AF_INET6, () =>
        message.attrU8(IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_MODES.indexOf(mode)),
      ),
    )
  }
  if (change.group !== undefined) message.attrU32(IFLA.GROUP, change.group)
  if (change.netns !== undefined) message.attrU32(IFLA.NET_NS_FD, change.netns.fd)
  writeSuperPackets(message, change)
  return {
    operation: `change link ${shown(device)}`,
    type: RTM.SETLINK,
    flags: 0,
    body: message.finish(),
  }
}

export function removeLink(device: number | string): Request {
  const message = header(typeof device === 'number' ? device : 0)
  if (typeof device === 'string') message.attrString(IFLA.IFNAME, device)
  return {
    operation: `remove link ${shown(device)}`,
    type: RTM.DELLINK,
    flags: 0,
    body: message.finish(),
    accept: absent('ENODEV'),
  }
}

export function removeGroup(group: number): Request {
  if (group === 0) {
    throw new NetworkError(
      'invalid',
      'Cannot remove link group 0: every device is in it by default',
    )
  }
  return {
    operation: `remove link group ${group}`,
    type: RTM.DELLINK,
    flags: 0,
    body: header(0).attrU32(IFLA.GROUP, group).finish(),
    accept: absent('ENODEV'),
  }
}

/** struct ifinfomsg; the flags are those that `change` speaks of. */
function header(index: number, change: LinkChange = {}): Writer {
  let flags = 0
  let mask = 0
  if (change.up !== undefined) {
    mask |= IFF.UP
    if (change.up) flags |= IFF.UP
  }
  if (change.arp !== undefined) {
    mask |= IFF.NOARP
    if (!change.arp) flags |= IFF.NOARP
  }
  return new Writer().u32(0).i32(index).u32(flags).u32(mask)
}

/** The kernel checks the rest, but would take a name that is cut off. */
function writeName(message: Writer, name: string): void {
  if (name === '' || Buffer.byteLength(name) > NAME_BYTES || name.includes('\0')) {
    throw new NetworkError(
      'invalid',
      `Cannot name a link ${JSON.stringify(name)}: needs 1 to ${NAME_BYTES} bytes`,
      { details: { name } },
    )
  }
  message.attrString(IFLA.IFNAME, name)
}

/** An empty alias takes it away; the kernel wants it without closing zero. */
function writeAlias(message: Writer, alias: string): void {
  message.attr(IFLA.IFALIAS, Buffer.from(alias))
}

function writeSuperPackets(message: Writer, sizes: SuperPackets): void {
  if (sizes.gsoMaxBytes !== undefined) message.attrU32(IFLA.GSO_MAX_SIZE, sizes.gsoMaxBytes)
  if (sizes.groMaxBytes !== undefined) message.attrU32(IFLA.GRO_MAX_SIZE, sizes.groMaxBytes)
  if (sizes.gsoIpv4MaxBytes !== undefined) {
    message.attrU32(IFLA.GSO_IPV4_MAX_SIZE, sizes.gsoIpv4MaxBytes)
  }
  if (sizes.groIpv4MaxBytes !== undefined) {
    message.attrU32(IFLA.GRO_IPV4_MAX_SIZE, sizes.groIpv4MaxBytes)
  }
}

function shown(device: number | string): string {
  return typeof device === 'number' ? `${device}` : JSON.stringify(device)
}
