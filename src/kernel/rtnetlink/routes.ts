/** Routes on the wire: struct rtmsg and RTA attributes. linux/rtnetlink.h */
import { bitsOf, type Family } from '../../net/ip.ts'
import type { NewRoute, Route, RouteAnswer, RouteKey, RouteType, Scope } from '../kernel.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import {
  absent,
  familyFrom,
  familyNumber,
  type IPValue,
  ipValue,
  nameOf,
  prefixText,
  prefixValue,
  RTM,
  scopeFrom,
  scopeNumber,
} from './protocol.ts'

const RTA = {
  DST: 1,
  SRC: 2,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  TABLE: 15,
  MARK: 16,
  VIA: 18,
} as const
const RTAX = { MTU: 2, ADVMSS: 8 } as const
const RTNH_F_ONLINK = 4
const RTM_F_CLONED = 0x200
const RT_TABLE_MAIN = 254
const RTPROT_STATIC = 4
const TYPES: Readonly<Record<string, number>> = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
}
const HEADER_BYTES = 12

/** The route, or undefined for a cached copy, a foreign family or a malformed message. */
export function readRoute(body: Uint8Array): Route | undefined {
  if (body.length < HEADER_BYTES) return undefined
  const header = viewOf(body)
  const family = familyFrom(header.getUint8(0))
  const flags = header.getUint32(8, true)
  if (family === undefined || (flags & RTM_F_CLONED) !== 0) return undefined
  return routeOf(header, family, new Attributes(body.subarray(HEADER_BYTES)))
}

/** What a lookup found, without the device's own MTU; undefined when the way is closed. */
export function readRouteAnswer(
  body: Uint8Array,
): (Omit<RouteAnswer, 'pathMtuBytes'> & { readonly mtuBytes: number | undefined }) | undefined {
  if (body.length < HEADER_BYTES) return undefined
  const header = viewOf(body)
  const family = familyFrom(header.getUint8(0))
  if (family === undefined) return undefined
  const route = routeOf(header, family, new Attributes(body.subarray(HEADER_BYTES)))
  const closed = ['blackhole', 'unreachable', 'prohibit', 'throw'].includes(`${route.type}`)
  if (closed || route.device === undefined) return undefined
  const { type, device, gateway, preferredSource, mtuBytes } = route
  return { type, device, gateway, preferredSource, mtuBytes }
}

function routeOf(header: DataView, family: Family, attributes: Attributes): Route {
  return {
    family,
    destination: prefixText(attributes.ip(RTA.DST), family, header.getUint8(1)),
    table: attributes.u32(RTA.TABLE) ?? header.getUint8(4),
    type: nameOf(TYPES, header.getUint8(7)) as RouteType,
    protocol: header.getUint8(5),
    scope: scopeFrom(header.getUint8(6)),
    metric: attributes.u32(RTA.PRIORITY) ?? 0,
    device: attributes.u32(RTA.OIF),
    gateway: gatewayOf(attributes),
    preferredSource: attributes.ip(RTA.PREFSRC),
    onlink: (header.getUint32(8, true) & RTNH_F_ONLINK) !== 0,
    mtuBytes: attributes.nested(RTA.METRICS).u32(RTAX.MTU),
    advmssBytes: attributes.nested(RTA.METRICS).u32(RTAX.ADVMSS),
    hops: [...readHops(attributes.bytes(RTA.MULTIPATH) ?? new Uint8Array(0))],
  }
}

/** struct rtnexthop, one behind the other, each with attributes of its own. */
function* readHops(bytes: Uint8Array): Generator<Route['hops'][number]> {
  const view = viewOf(bytes)
  let at = 0
  while (at + 8 <= bytes.length) {
    const length = view.getUint16(at, true)
    if (length < 8 || at + length > bytes.length) return
    const attributes = new Attributes(bytes.subarray(at + 8, at + length))
    yield { device: view.getInt32(at + 4, true), gateway: gatewayOf(attributes) }
    at += (length + 3) & ~3
  }
}

/** A gateway of the other family stands in VIA, behind two bytes of its family's number. */
function gatewayOf(attributes: Attributes): string | undefined {
  const via = attributes.bytes(RTA.VIA)
  if (via === undefined) return attributes.ip(RTA.GATEWAY)
  return new Attributes(new Writer().attr(RTA.GATEWAY, via.subarray(2)).finish()).ip(RTA.GATEWAY)
}

export function listRoutes(
  family: Family,
  filter: { readonly table?: number; readonly protocol?: number },
): Request {
  const message = routeHeader(family, 0, { protocol: filter.protocol ?? 0 })
  if (filter.table !== undefined) message.attrU32(RTA.TABLE, filter.table)
  return {
    operation: 'list routes',
    type: RTM.GETROUTE,
    flags: NLM_F.DUMP,
    body: message.finish(),
    // No such table, or no IPv6 at all.
    accept: absent('ENOENT', 'EAFNOSUPPORT', 'EOPNOTSUPP'),
  }
}

export function putRoute(route: NewRoute): Request {
  const destination = prefixValue(route.destination)
  const type = route.type ?? 'unicast'
  const message = routeHeader(destination.family, destination.length, {
    protocol: route.protocol ?? RTPROT_STATIC,
    type: typeNumber(type),
    scope: scopeNumber(route.scope ?? defaultScope(route, destination.family, type)),
    flags: route.onlink === true ? RTNH_F_ONLINK : 0,
  })
  writeKey(message, destination, route)
  if (route.gateway !== undefined) writeGateway(message, destination.family, route.gateway)
  if (route.preferredSource !== undefined) {
    message.attr(RTA.PREFSRC, ipValue(route.preferredSource).bytes)
  }
  writeMetrics(message, route)
  return {
    operation: `put route ${describe(route)}`,
    type: RTM.NEWROUTE,
    flags: NLM_F.CREATE | NLM_F.REPLACE,
    body: message.finish(),
  }
}

function writeMetrics(message: Writer, { mtuBytes, advmssBytes }: NewRoute): void {
  if (mtuBytes === undefined && advmssBytes === undefined) return
  message.nested(RTA.METRICS, () => {
    if (mtuBytes !== undefined) message.attrU32(RTAX.MTU, mtuBytes)
    if (advmssBytes !== undefined) message.attrU32(RTAX.ADVMSS, advmssBytes)
  })
}

export function removeRoute(route: RouteKey): Request {
  const destination = prefixValue(route.destination)
  const message = routeHeader(destination.family, destination.length, {
    protocol: route.protocol ?? 0,
    scope: scopeNumber('nowhere'),
  })
  writeKey(message, destination, route)
  return {
    operation: `remove route ${describe(route)}`,
    type: RTM.DELROUTE,
    flags: 0,
    body: message.finish(),
    accept: absent('ESRCH', 'ENODEV', 'ENETUNREACH', 'ENOENT'),
  }
}

export function lookupRoute(
  destination: string,
  from: { readonly mark?: number; readonly source?: string; readonly device?: number },
): Request {
  const { family, bytes } = ipValue(destination)
  const source = from.source === undefined ? undefined : ipValue(from.source)
  const message = new Writer()
    .u8(familyNumber(family))
    .u8(bitsOf(family))
    .u8(source === undefined ? 0 : bitsOf(family))
    .u8(0)
    .u32(0)
    .u32(0)
    .attr(RTA.DST, bytes)
  if (source !== undefined) message.attr(RTA.SRC, source.bytes)
  if (from.device !== undefined) message.attrU32(RTA.OIF, from.device)
  if (from.mark !== undefined) message.attrU32(RTA.MARK, from.mark)
  return {
    operation: `look up the route to ${destination}`,
    type: RTM.GETROUTE,
    flags: 0,
    body: message.finish(),
    // No route; unreachable; prohibited; blackhole.
    accept: absent('ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL', 'EAGAIN'),
  }
}

/** struct rtmsg; the table stands in its attribute, which has room for large numbers. */
function routeHeader(
  family: Family,
  length: number,
  fields: { protocol?: number; scope?: number; type?: number; flags?: number },
): Writer {
  return new Writer()
    .u8(familyNumber(family))
    .u8(length)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(fields.protocol ?? 0)
    .u8(fields.scope ?? 0)
    .u8(fields.type ?? 0)
    .u32(fields.flags ?? 0)
}

function writeKey(message: Writer, destination: IPValue & { length: number }, route: RouteKey) {
  if (destination.length > 0) message.attr(RTA.DST, destination.bytes)
  message.attrU32(RTA.TABLE, route.table ?? RT_TABLE_MAIN)
  if (route.metric !== undefined) message.attrU32(RTA.PRIORITY, route.metric)
  if (route.device !== undefined) message.attrU32(RTA.OIF, route.device)
}

function writeGateway(message: Writer, family: Family, text: string): void {
  const gateway = ipValue(text)
  if (gateway.family === family) message.attr(RTA.GATEWAY, gateway.bytes)
  else
    message.attr(
      RTA.VIA,
      Buffer.concat([Buffer.from([familyNumber(gateway.family), 0]), gateway.bytes]),
    )
}

/** As iproute2 chooses: how far away the destination is. IPv6 has no scopes. */
function defaultScope(route: NewRoute, family: Family, type: RouteType): Scope {
  if (family === 6) return 'global'
  if (type === 'local') return 'host'
  return type === 'unicast' && route.gateway === undefined ? 'link' : 'global'
}

function typeNumber(type: RouteType): number {
  return typeof type === 'number' ? type : (TYPES[type] ?? 1)
}

function describe(route: RouteKey): string {
  const device = route.device === undefined ? '' : ` by device ${route.device}`
  return `${route.destination} in table ${route.table ?? RT_TABLE_MAIN}${device}`
}
