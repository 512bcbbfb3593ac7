/**
 * The datapath's maps: typed entries on one side, the bytes of bpf/maps.h on the other. The plan makes
 * entries, the dataplane writes their bytes, the program reads them once per packet. This is the one place
 * where the layouts stand outside of C; a test compares every table with the object's type information.
 *
 * Keys begin with the network's number (its VNI), so that two networks may use the same addresses.
 */

import { familyOf, type IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { type Prefix, prefixAddress, prefixLength } from '../net/prefix.ts'
import { Fields, type Layout, mappedBits } from './layout.ts'
import { packetMarks } from './marks.ts'
import { PREFIX_BYTES, prefixOf, readPrefix, writePrefix } from './prefix-bytes.ts'
import {
  CONFIG,
  DEVICE,
  DIRECT_PREFIX_KEY,
  ENDPOINT,
  ENDPOINT_KEY,
  HOST,
  NETWORK,
  readU32,
  U32,
  u32,
} from './structs.ts'

/** Number of the layouts below; pins stand under a directory that carries it (R34). */
export const MAPS_SCHEMA = 4

/** UDP port of VXLAN. RFC 7348 §5 */
export const VXLAN_PORT = 4789

/** How a network's packets reach other hosts; numbers as in bpf/maps.h `enum carrier`. */
export const CARRIERS = { local: 0, vxlan: 1, direct: 2, auto: 3 } as const
export type CarrierName = keyof typeof CARRIERS

/** Prefixes one network may have. */
export const MAX_PREFIXES = 16

/** Rows of the array `hosts`; a host index is below this. */
export const MAX_HOSTS = 16_384

/** How one map's entries become bytes and come back. */
export interface MapLayout<Entry> {
  /** Name of the map in the object and of its pin. */
  readonly name: string
  readonly key: Layout
  readonly value: Layout
  readonly maxEntries: number
  keyOf(entry: Entry): Uint8Array
  valueOf(entry: Entry): Uint8Array
  /** The entry of these bytes, or undefined for a row that holds nothing (arrays have all rows). */
  entryOf(key: Uint8Array, value: Uint8Array): Entry | undefined
  /** A bit of the field `flags` that stands in a new entry until the program takes it away; nobody wants it. */
  readonly untouched?: number
}

/** One address of an endpoint; an endpoint with several addresses has an entry for each. */
export interface EndpointEntry {
  readonly vni: number
  readonly address: IP
  readonly mac: Mac
  /**
   * Index of the host-side device here, or the row in `hosts` of the host that has it. `shaped`: packets to it
   * wait at that device. `host` is an address of this host itself, reached by the network's gateway device.
   */
  readonly at:
    | { readonly kind: 'local'; readonly ifindex: number; readonly shaped?: true }
    | { readonly kind: 'host'; readonly ifindex: number }
    | { readonly kind: 'remote'; readonly host: number }
}

/** The host side of an endpoint's veth: who sends here, and the addresses it may use. */
export interface DeviceEntry {
  readonly ifindex: number
  readonly vni: number
  readonly mac: Mac
  /** First address of each family, checked without a lookup; further ones are found in `endpoints`. */
  readonly address4: IP | undefined
  readonly address6: IP | undefined
  /** The network's carrier, repeated here so that a packet needs no lookup in `networks`. */
  readonly carrier: CarrierName
}

/** A network: needed for answers (ARP, neighbours, echo, errors) and for addresses nobody has. */
export interface NetworkEntry {
  readonly vni: number
  /** At most MAX_PREFIXES. */
  readonly prefixes: readonly Prefix[]
  /** Anycast addresses that answer ARP, neighbour solicitations and echo; may lie outside the prefixes. */
  readonly gateway4: IP | undefined
  readonly gateway6: IP | undefined
  /**
   * The device that leads to the host's own stack and by it to the outside; undefined closes both. `mark` is
   * the network's index as `packetMarks().ofIndex()` has it.
   */
  readonly gateway: { readonly ifindex: number; readonly mark: number } | undefined
  /** True when 169.254.169.254 and fd00:ec2::254 may be asked. */
  readonly openMetadata: boolean
  /** True when `gateway` is for questions to the resolver alone. */
  readonly internal: boolean
}

/** Another host as seen from here; endpoints point to it by index. */
export interface HostEntry {
  readonly index: number
  /** Underlay address: destination of what goes there, source of what comes from there. */
  readonly address: IP
  /** Our source address towards it, of the same family. */
  readonly localAddress: IP
  /** The underlay device towards it, and that device's MAC. */
  readonly ifindex: number
  readonly deviceMac: Mac
  /** The router towards it, or `address` itself when it is on the link. */
  readonly nextHop: IP
  /**
   * MAC of the next hop. Needed by carrier `direct` where the next hop is IPv4 and the packet IPv6; on a
   * link it is also the only source accepted for that host's packets (R31).
   */
  readonly nextHopMac: Mac | undefined
  /** True when no router stands between: carrier `auto` goes direct, else by VXLAN. */
  readonly onLink: boolean
  /** Largest IP packet of the underlay on the path to it. */
  readonly pathMtuBytes: number
  readonly vxlanPort: number
}

/** A prefix of a network with carrier `direct` or `auto`: tells the network of a bare packet (R31). */
export interface DirectPrefixEntry {
  readonly prefix: Prefix
  readonly vni: number
}

/** Facts of this host; the only row of `config`. */
export interface ConfigEntry {
  /** Source of every frame the fabric delivers, and its answer to ARP; equal on all hosts. */
  readonly fabricMac: Mac
  /** Our underlay addresses; VXLAN to any other address is not ours. */
  readonly address4: IP | undefined
  readonly address6: IP | undefined
  readonly vxlanPort: number
  /** The collect-metadata vxlan device; 0 when there is none yet. */
  readonly vxlanIfindex: number
  /** True when the kernel can strip IPv6 in IPv4 and the reverse in place (Linux 6.3, R8). */
  readonly crossFamilyStrip: boolean
  /** True when any network has an entry in `direct_prefixes`. */
  readonly direct: boolean
  /** Our bits of the packet mark; see `packetMarks()`. */
  readonly packetMarkMask: number
  /** Where containers of every network ask for names, at port 53. */
  readonly resolver4: IP | undefined
  readonly resolver6: IP | undefined
}

const ENDPOINT_FLAG = { HOST: 1, UNTRACKED: 2, SHAPED: 4 } as const
const DEVICE_FLAG = { UNTRACKED: 1 } as const
const NETWORK_FLAG = { OPEN_METADATA: 1, INTERNAL: 2 } as const
const CONFIG_FLAG = { CROSS_FAMILY_STRIP: 1, DIRECT: 2 } as const
const HOST_FLAG = { VALID: 1, IPV6: 2, ON_LINK: 4, NEXT_HOP_IPV6: 8, NEXT_HOP_MAC: 16 } as const

/** {network, address} → local device or remote host. */
export const endpoints: MapLayout<EndpointEntry> = {
  name: 'endpoints',
  key: ENDPOINT_KEY,
  value: ENDPOINT,
  maxEntries: 1 << 20,
  keyOf: ({ vni, address }) =>
    new Fields(ENDPOINT_KEY).setNumber('vni', vni).setAddress('address', address).bytes,
  valueOf: ({ at, mac }) =>
    new Fields(ENDPOINT)
      .setNumber('ifindex', at.kind === 'remote' ? 0 : at.ifindex)
      .setNumber('host', at.kind === 'remote' ? at.host : 0)
      .setMac('mac', mac)
      .setNumber('flags', endpointFlags(at)).bytes,
  entryOf: (key, value) => {
    const [k, v] = [new Fields(ENDPOINT_KEY, key), new Fields(ENDPOINT, value)]
    const [vni, address, mac] = [k.number('vni'), k.address('address'), v.mac('mac')]
    if (address === undefined || mac === undefined) return undefined
    return { vni, address, mac, at: placeOf(v) }
  },
  untouched: ENDPOINT_FLAG.UNTRACKED,
}

function endpointFlags(at: EndpointEntry['at']): number {
  if (at.kind === 'host') return ENDPOINT_FLAG.HOST
  return at.kind === 'local' && at.shaped ? ENDPOINT_FLAG.SHAPED : 0
}

function placeOf(value: Fields<keyof typeof ENDPOINT.fields>): EndpointEntry['at'] {
  const [ifindex, flags] = [value.number('ifindex'), value.number('flags')]
  if (ifindex === 0) return { kind: 'remote', host: value.number('host') }
  if (flags & ENDPOINT_FLAG.HOST) return { kind: 'host', ifindex }
  return { kind: 'local', ifindex, ...(flags & ENDPOINT_FLAG.SHAPED ? { shaped: true } : {}) }
}

/** Host-side device → its endpoint. */
export const devices: MapLayout<DeviceEntry> = {
  name: 'devices',
  key: U32,
  value: DEVICE,
  maxEntries: 1 << 16,
  keyOf: ({ ifindex }) => u32(ifindex),
  valueOf: ({ vni, mac, address4, address6, carrier }) =>
    new Fields(DEVICE)
      .setNumber('vni', vni)
      .setAddress('address4', address4)
      .setAddress('address6', address6)
      .setMac('mac', mac)
      .setNumber('carrier', CARRIERS[carrier]).bytes,
  entryOf: (key, value) => {
    const v = new Fields(DEVICE, value)
    const mac = v.mac('mac')
    const carrier = carrierOf(v.number('carrier'))
    if (mac === undefined || carrier === undefined) return undefined
    return {
      ifindex: readU32(key),
      vni: v.number('vni'),
      mac,
      address4: v.address('address4'),
      address6: v.address('address6'),
      carrier,
    }
  },
  untouched: DEVICE_FLAG.UNTRACKED,
}

/** The carrier with this number, or undefined for one that this version does not know. */
export function carrierOf(number: number): CarrierName | undefined {
  for (const name of ['local', 'vxlan', 'direct', 'auto'] as const) {
    if (CARRIERS[name] === number) return name
  }
  return undefined
}

/** Network → its prefixes and gateway addresses. */
export const networks: MapLayout<NetworkEntry> = {
  name: 'networks',
  key: U32,
  value: NETWORK,
  maxEntries: 1 << 16,
  keyOf: ({ vni }) => u32(vni),
  valueOf: ({ prefixes, gateway4, gateway6, gateway, openMetadata, internal }) => {
    if (prefixes.length > MAX_PREFIXES) throw new Error(`more than ${MAX_PREFIXES} prefixes`)
    const value = new Fields(NETWORK)
      .setAddress('gateway4', gateway4)
      .setAddress('gateway6', gateway6)
      .setNumber('prefix_count', prefixes.length)
      .setNumber('gateway_ifindex', gateway?.ifindex ?? 0)
      .setNumber('mark', gateway?.mark ?? 0)
      .setNumber(
        'flags',
        (openMetadata ? NETWORK_FLAG.OPEN_METADATA : 0) | (internal ? NETWORK_FLAG.INTERNAL : 0),
      )
    for (const [i, prefix] of prefixes.entries()) {
      writePrefix(value.bytes, NETWORK.fields.prefixes.at + i * PREFIX_BYTES, prefix)
    }
    return value.bytes
  },
  entryOf: (key, value) => {
    const v = new Fields(NETWORK, value)
    const prefixes = Array.from(
      { length: v.number('prefix_count') },
      (_, i) => readPrefix(value, NETWORK.fields.prefixes.at + i * PREFIX_BYTES) ?? [],
    ).flat()
    const ifindex = v.number('gateway_ifindex')
    return {
      vni: readU32(key),
      prefixes,
      gateway4: v.address('gateway4'),
      gateway6: v.address('gateway6'),
      gateway: ifindex === 0 ? undefined : { ifindex, mark: v.number('mark') },
      openMetadata: (v.number('flags') & NETWORK_FLAG.OPEN_METADATA) !== 0,
      internal: (v.number('flags') & NETWORK_FLAG.INTERNAL) !== 0,
    }
  },
}

/** Host index → how to reach that host. */
export const hosts: MapLayout<HostEntry> = {
  name: 'hosts',
  key: U32,
  value: HOST,
  maxEntries: MAX_HOSTS,
  keyOf: ({ index }) => u32(index),
  valueOf: (host) =>
    new Fields(HOST)
      .setAddress('address', host.address)
      .setAddress('local', host.localAddress)
      .setAddress('next_hop', host.nextHop)
      .setNumber('ifindex', host.ifindex)
      .setNumber('mtu', host.pathMtuBytes)
      .setNumber('port', host.vxlanPort)
      .setMac('mac', host.nextHopMac)
      .setMac('device_mac', host.deviceMac)
      .setNumber('flags', hostFlags(host)).bytes,
  entryOf: (key, value) => {
    const v = new Fields(HOST, value)
    const [address, localAddress] = [v.address('address'), v.address('local')]
    const [nextHop, deviceMac] = [v.address('next_hop'), v.mac('device_mac')]
    if ((v.number('flags') & HOST_FLAG.VALID) === 0) return undefined
    if (!address || !localAddress || !nextHop || !deviceMac) return undefined
    return {
      index: readU32(key),
      address,
      localAddress,
      ifindex: v.number('ifindex'),
      deviceMac,
      nextHop,
      nextHopMac: v.mac('mac'),
      onLink: (v.number('flags') & HOST_FLAG.ON_LINK) !== 0,
      pathMtuBytes: v.number('mtu'),
      vxlanPort: v.number('port'),
    }
  },
}

function hostFlags({ address, nextHop, nextHopMac, onLink }: HostEntry): number {
  return (
    HOST_FLAG.VALID |
    (familyOf(address) === 6 ? HOST_FLAG.IPV6 : 0) |
    (onLink ? HOST_FLAG.ON_LINK : 0) |
    (familyOf(nextHop) === 6 ? HOST_FLAG.NEXT_HOP_IPV6 : 0) |
    (nextHopMac === undefined ? 0 : HOST_FLAG.NEXT_HOP_MAC)
  )
}

/** Prefix → network, for packets that arrive without an outer header. Longest match. */
export const directPrefixes: MapLayout<DirectPrefixEntry> = {
  name: 'direct_prefixes',
  key: DIRECT_PREFIX_KEY,
  value: U32,
  maxEntries: 1 << 12,
  keyOf: ({ prefix }) => {
    const address = prefixAddress(prefix)
    return new Fields(DIRECT_PREFIX_KEY)
      .setNumber('bits', mappedBits(address, prefixLength(prefix)))
      .setAddress('address', address).bytes
  },
  valueOf: ({ vni }) => u32(vni),
  entryOf: (key, value) => ({
    prefix: prefixOf(key.slice(4, 20), readU32(key)),
    vni: readU32(value),
  }),
}

/** The one row of facts about this host. */
export const config: MapLayout<ConfigEntry> = {
  name: 'config',
  key: U32,
  value: CONFIG,
  maxEntries: 1,
  keyOf: () => u32(0),
  valueOf: (c) => {
    const marks = packetMarks(c.packetMarkMask)
    return new Fields(CONFIG)
      .setAddress('local4', c.address4)
      .setAddress('local6', c.address6)
      .setMac('fabric_mac', c.fabricMac)
      .setNumber('vxlan_port', c.vxlanPort)
      .setNumber('vxlan_ifindex', c.vxlanIfindex)
      .setNumber(
        'flags',
        (c.crossFamilyStrip ? CONFIG_FLAG.CROSS_FAMILY_STRIP : 0) |
          (c.direct ? CONFIG_FLAG.DIRECT : 0),
      )
      .setNumber('mark_passed', marks.passed)
      .setNumber('mark_unchecked', marks.unchecked)
      .setNumber('mark_mask', marks.mask)
      .setAddress('resolver4', c.resolver4)
      .setAddress('resolver6', c.resolver6).bytes
  },
  entryOf: (_key, value) => {
    const v = new Fields(CONFIG, value)
    const fabricMac = v.mac('fabric_mac')
    if (fabricMac === undefined) return undefined
    return {
      fabricMac,
      address4: v.address('local4'),
      address6: v.address('local6'),
      vxlanPort: v.number('vxlan_port'),
      vxlanIfindex: v.number('vxlan_ifindex'),
      crossFamilyStrip: (v.number('flags') & CONFIG_FLAG.CROSS_FAMILY_STRIP) !== 0,
      direct: (v.number('flags') & CONFIG_FLAG.DIRECT) !== 0,
      packetMarkMask: v.number('mark_mask'),
      resolver4: v.address('resolver4'),
      resolver6: v.address('resolver6'),
    }
  },
}
