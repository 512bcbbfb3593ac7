/**
 * What runtimes ask for of an attachment, each in all the shapes they send it in. Keys are read in any case:
 * containerd and Nomad capitalise theirs. CNI conventions, "Dynamic plugin-specific fields".
 */

import type { Bandwidth, RateLimit } from '../../model/endpoint.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import { isUnicastMac, type Mac, parseMac } from '../../net/mac.ts'
import { type Prefix, parsePrefix, prefixContains } from '../../net/prefix.ts'
import type { TransportProtocol } from '../../net/protocol.ts'
import { CNI_CODE, cniError } from './errors.ts'
import { Fields, isJsonObject, noSense, readTexts, wrongType } from './fields.ts'
import { type CniDns, isEmptyDns } from './result.ts'
import { parseAddressWithLength } from './result-read.ts'

export interface RequestedAddress {
  readonly address: IP
  /** Where one was given; otherwise the pool's. */
  readonly length?: number
}

export interface AddressRange {
  readonly subnet: Prefix
  readonly first?: IP
  readonly last?: IP
  readonly gateway?: IP
}

export interface PortMapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: TransportProtocol
  /** Absent: every address of the host. */
  readonly hostIp?: IP
}

const PROTOCOLS: readonly TransportProtocol[] = ['tcp', 'udp', 'sctp']
/** More than all ports of two protocols are no mapping of a container. */
const MOST_PORTS = 131_072
/** What containerd sends for "no limit"; CRI-O sends eight times as much. */
const BOUNDLESS_BURST = 0xffff_ffff
const MOST_BITS = Number.MAX_SAFE_INTEGER

/** Entries without a port of the host ask for nothing; equal ones are one. */
export function readPortMappings(fields: Fields): readonly PortMapping[] {
  const entries = fields.objects('portMappings')
  if (entries.length > MOST_PORTS) {
    throw noSense(fields.wayTo('portMappings'), `${entries.length} entries`, 'fewer are needed')
  }
  const mappings = new Map<string, PortMapping>()
  for (const entry of entries) {
    const hostPort = entry.integer('hostPort', 0, 65_535) ?? 0
    if (hostPort === 0) continue
    const containerPort = entry.integer('containerPort', 1, 65_535)
    if (containerPort === undefined) throw wrongType(entry.wayTo('containerPort'), 'a whole number')
    const protocol = readProtocol(entry)
    const hostIp = entry.address('hostIP')
    mappings.set(`${hostIp ?? ''} ${hostPort} ${containerPort} ${protocol}`, {
      hostPort,
      containerPort,
      protocol,
      ...(hostIp === undefined ? {} : { hostIp }),
    })
  }
  return [...mappings.values()]
}

function readProtocol(entry: Fields): TransportProtocol {
  const text = entry.text('protocol') ?? 'tcp'
  const protocol = PROTOCOLS.find((known) => known === text.toLowerCase())
  if (protocol !== undefined) return protocol
  throw cniError(
    CNI_CODE.UNSUPPORTED_FIELD,
    `Cannot take ${entry.wayTo('protocol')} "${text}": it is not one of ${PROTOCOLS.join(', ')}`,
  )
}

/** Addresses as text, each `a` or `a/n`; `way` says where they stand. */
export function readAddresses(texts: readonly string[], way: string): readonly RequestedAddress[] {
  return texts.map((text) => {
    const parsed = parseAddressWithLength(text)
    if (parsed === undefined) {
      throw noSense(way, text, 'an IP address is needed, with the length of its prefix or without')
    }
    return parsed
  })
}

/** One that a device may carry. */
export function readMac(text: string, way: string): Mac {
  const mac = parseMac(text)
  if (mac === undefined) throw noSense(way, text, 'a MAC address like 0a:00:00:00:00:50 is needed')
  if (!isUnicastMac(mac)) throw noSense(way, text, 'a device can carry no group address')
  return mac
}

/** A list, or a map from names of networks to lists (podman, CRI-O), of which only ours counts. */
export function readAliases(fields: Fields, network: string): readonly string[] {
  const value = fields.value('aliases') ?? []
  const way = fields.wayTo('aliases')
  if (Array.isArray(value)) return [...new Set(readTexts(value, way))]
  if (!isJsonObject(value)) throw wrongType(way, 'a list, or lists by network,')
  const own = (Object.hasOwn(value, network) ? value[network] : undefined) ?? []
  if (!Array.isArray(own)) throw wrongType(`${way}.${network}`, 'a list')
  return [...new Set(readTexts(own, `${way}.${network}`))]
}

/** The capability `dns`, whose keys are not those of the result; undefined when nothing is said in it. */
export function readDnsCapability(fields: Fields): CniDns | undefined {
  const dns = fields.object('dns')
  return saysSomething(
    {
      nameservers: dns.texts('servers'),
      search: dns.texts('searches'),
      options: dns.texts('options'),
    },
    dns.wayTo('servers'),
  )
}

/** Undefined for an empty one; podman fails on nameservers that are no addresses, so we do, and say which. */
export function saysSomething(dns: CniDns, way: string): CniDns | undefined {
  for (const server of dns.nameservers) {
    if (parseIP(server) === undefined) throw noSense(way, server, 'an IP address is needed')
  }
  return isEmptyDns(dns) ? undefined : dns
}

/** Ingress is towards the container. */
export function readBandwidth(fields: Fields): Bandwidth {
  const bandwidth = fields.object('bandwidth')
  const toContainer = readRate(bandwidth, 'ingress')
  const fromContainer = readRate(bandwidth, 'egress')
  return {
    ...(toContainer === undefined ? {} : { toContainer }),
    ...(fromContainer === undefined ? {} : { fromContainer }),
  }
}

/** A rate of 0 is none; a burst alone limits nothing. */
function readRate(fields: Fields, direction: 'ingress' | 'egress'): RateLimit | undefined {
  const bitsPerSecond = fields.integer(`${direction}Rate`, 0, MOST_BITS) ?? 0
  const burstBits = fields.integer(`${direction}Burst`, 0, MOST_BITS) ?? 0
  if (bitsPerSecond === 0) return undefined
  return burstBits === 0 || burstBits >= BOUNDLESS_BURST
    ? { bitsPerSecond }
    : { bitsPerSecond, burstBits }
}

/** Lists of ranges under `key`: the outer list has one address of each. */
export function readRangeSets(fields: Fields, key: string): readonly (readonly AddressRange[])[] {
  const way = fields.wayTo(key)
  return fields.list(key).map((set, index) => {
    if (!Array.isArray(set)) throw wrongType(`${way}[${index}]`, 'a list of ranges')
    return set.map((range, inner) => {
      const place = `${way}[${index}][${inner}]`
      if (!isJsonObject(range)) throw wrongType(place, 'an object')
      return readRange(new Fields(range, place))
    })
  })
}

/** One object with `subnet`, `rangeStart`, `rangeEnd`, `gateway`; the last three must be within the first. */
export function readRange(fields: Fields): AddressRange {
  const text = fields.text('subnet') ?? ''
  const subnet = parsePrefix(text)
  if (subnet === undefined) {
    throw noSense(
      fields.wayTo('subnet'),
      text,
      'a prefix like 10.80.0.0/16 is needed, without host bits',
    )
  }
  const within = (key: string): IP | undefined => {
    const address = fields.address(key)
    if (address === undefined || prefixContains(subnet, address)) return address
    throw noSense(fields.wayTo(key), address, `an address of ${subnet} is needed`)
  }
  const [first, last, gateway] = [within('rangeStart'), within('rangeEnd'), within('gateway')]
  return {
    subnet,
    ...(first === undefined ? {} : { first }),
    ...(last === undefined ? {} : { last }),
    ...(gateway === undefined ? {} : { gateway }),
  }
}
