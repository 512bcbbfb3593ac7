/**
 * What Podman and netavark write on a plug-in's standard input, and what they read. Keys are as netavark's
 * documentation of its plug-in API and its types have them; Podman's `labels` and `created`, and what else is not
 * known, go back as they came.
 */

import { NetworkError } from '../../lib/errors.ts'
import { interfaceNameProblem } from '../../model/names.ts'
import type { IP } from '../../net/ip.ts'
import { isUnicastMac, type Mac, parseMac } from '../../net/mac.ts'
import { type Prefix, parsePrefix } from '../../net/prefix.ts'
import { Fields, isJsonObject, type JsonObject } from '../cni/fields.ts'

/** A network of Podman's. */
export interface PodmanNetwork {
  readonly name: string
  readonly id: string
  readonly internal: boolean
  readonly ipv6: boolean
  /** False: containers ask the host's resolvers, and nobody has names there. */
  readonly dns: boolean
  readonly subnets: readonly PodmanSubnet[]
  readonly routes: readonly PodmanRoute[]
  /** Name of a link that the network shall use; empty for none. */
  readonly link: string
  readonly dnsServers: readonly string[]
  readonly options: Readonly<Record<string, string>>
  readonly ipam: Readonly<Record<string, string>>
  /** As it came. */
  readonly object: JsonObject
}

export interface PodmanSubnet {
  readonly prefix: Prefix
  readonly gateway: IP | undefined
  /** True when addresses shall be of a part of it only. */
  readonly isRange: boolean
}

export interface PodmanRoute {
  readonly to: Prefix
  readonly via: IP | undefined
  readonly metric: number | undefined
}

/** One container that is to be in a network, or no longer. */
export interface PodmanContainer {
  readonly id: string
  readonly name: string
  readonly network: PodmanNetwork
  readonly ifname: string
  readonly aliases: readonly string[]
  readonly addresses: readonly string[]
  readonly mac: Mac | undefined
  readonly options: Readonly<Record<string, string>>
  readonly ports: readonly PodmanPort[]
}

export interface PodmanPort {
  readonly hostAddress: string
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: string
  readonly count: number
}

/** What `setup` answers. */
export interface StatusBlock {
  readonly dns_search_domains: readonly string[]
  readonly dns_server_ips: readonly IP[]
  readonly interfaces: Readonly<
    Record<
      string,
      {
        readonly mac_address: Mac
        readonly subnets: readonly { readonly ipnet: string; readonly gateway?: IP }[]
      }
    >
  >
}

const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** The object on standard input. Throws `invalid`. */
export function parseInput(stdin: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(stdin)
  } catch {
    throw new NetworkError('invalid', 'Cannot read standard input: it is not JSON')
  }
  if (isJsonObject(value)) return value
  throw new NetworkError('invalid', 'Cannot read standard input: it is no JSON object')
}

/** Throws `invalid`. */
export function readNetwork(object: JsonObject, way = ''): PodmanNetwork {
  const fields = new Fields(object, way)
  return {
    name: needed(fields, 'name'),
    id: fields.text('id') ?? '',
    internal: fields.flag('internal') ?? false,
    ipv6: fields.flag('ipv6_enabled') ?? false,
    dns: fields.flag('dns_enabled') ?? false,
    subnets: fields.objects('subnets').map((subnet) => ({
      prefix: prefixIn(subnet, 'subnet'),
      gateway: subnet.address('gateway'),
      isRange: subnet.value('lease_range') !== undefined,
    })),
    routes: fields.objects('routes').map((route) => ({
      to: prefixIn(route, 'destination'),
      via: route.address('gateway'),
      metric: route.integer('metric', 0, 0xffff_ffff),
    })),
    link: fields.text('network_interface') ?? '',
    dnsServers: fields.texts('network_dns_servers'),
    options: fields.textsByKey('options'),
    ipam: fields.textsByKey('ipam_options'),
    object,
  }
}

/** Throws `invalid`. */
export function readContainer(object: JsonObject): PodmanContainer {
  const fields = new Fields(object)
  const network = fields.value('network')
  if (!isJsonObject(network)) {
    throw new NetworkError('invalid', 'Cannot read network: an object is needed')
  }
  const own = fields.object('network_options')
  const id = needed(fields, 'container_id')
  if (!CONTAINER_ID.test(id)) {
    throw new NetworkError('invalid', `Cannot take container_id "${id}": letters, digits and _ . -`)
  }
  const ifname = needed(own, 'interface_name')
  const problem = interfaceNameProblem(ifname)
  if (problem !== undefined) {
    throw new NetworkError('invalid', `Cannot take interface_name "${ifname}": ${problem}`)
  }
  return {
    ...{ id, ifname },
    name: fields.text('container_name') ?? '',
    network: readNetwork(network, 'network'),
    aliases: own.texts('aliases'),
    addresses: own.texts('static_ips'),
    mac: macIn(own, 'static_mac'),
    options: own.textsByKey('options'),
    ports: fields.objects('port_mappings').map((port) => ({
      hostAddress: port.text('host_ip') ?? '',
      hostPort: port.integer('host_port', 0, 65_535) ?? 0,
      containerPort: port.integer('container_port', 1, 65_535) ?? 0,
      protocol: port.text('protocol') ?? 'tcp',
      count: Math.max(1, port.integer('range', 0, 65_535) ?? 1),
    })),
  }
}

function needed(fields: Fields, key: string): string {
  const text = fields.text(key)
  if (text !== undefined) return text
  throw new NetworkError('invalid', `Cannot read ${fields.wayTo(key)}: text is needed`)
}

function prefixIn(fields: Fields, key: string): Prefix {
  const text = needed(fields, key)
  const prefix = parsePrefix(text)
  if (prefix !== undefined) return prefix
  throw new NetworkError(
    'invalid',
    `Cannot take ${fields.wayTo(key)} "${text}": a prefix like 10.80.0.0/16 is needed`,
  )
}

function macIn(fields: Fields, key: string): Mac | undefined {
  const text = fields.text(key)
  if (text === undefined) return undefined
  const mac = parseMac(text)
  if (mac !== undefined && isUnicastMac(mac)) return mac
  throw new NetworkError(
    'invalid',
    `Cannot take ${fields.wayTo(key)} "${text}": it is no MAC address of a device`,
  )
}
