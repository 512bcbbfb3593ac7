/**
 * What one kernel should contain, as plain data. The plan writes it, the dataplane compares and applies it;
 * they meet nowhere else. A device is named, never numbered: its index is the kernel's business.
 */

import type { IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { parseMac } from '../net/mac.ts'
import type { Prefix } from '../net/prefix.ts'
import type {
  Closing,
  Forwarding,
  Gateway,
  GatewayEntry,
  GatewayRules,
  HostRoute,
  HostRule,
} from './gateway.ts'
import {
  keyOfPort,
  type LoopbackPort,
  type Passage,
  type PortForward,
  type SocketHooks,
} from './ports.ts'
import type { ResolverDevice, Ruleset } from './ruleset.ts'

/** How a network's packets reach other hosts, as the datapath tells them apart. */
export type Carrier = 'auto' | 'vxlan' | 'direct' | 'local'

/** Our mark on every kernel object, by which a restarted agent without memory knows its own. */
export const MARK = {
  /** IFLA_GROUP of the host ends of endpoints, of links waiting to be deleted, and of fabric devices. */
  endpointGroup: 0xca01,
  dyingGroup: 0xca02,
  fabricGroup: 0xca03,
  /** IFLA_GROUP of the two ends of gateways: the one that the host's stack uses, and the other, idle one. */
  gatewayGroup: 0xca04,
  gatewayPeerGroup: 0xca05,
  /** Of the ends of pairs that a container engine takes. */
  enginePeerGroup: 0xca06,
  /** First letters of every device name of ours. */
  devicePrefix: 'ck',
  vxlanDevice: 'ckvx0',
  /** A pair that does nothing but keep the shared blocks alive when no other device is in them. */
  anchorDevice: 'ckan0',
  anchorPeer: 'ckan0p',
  /** A pair whose first end has the addresses of the resolver. */
  resolverDevice: 'ckdns0',
  resolverPeer: 'ckdns0p',
  /** The gateway of the network in which hosts probe their paths. */
  probeDevice: 'ckprobe',
  probePeer: 'ckprobeh',
  /** tc block shared by all endpoint devices: one filter serves them all. linux/rtnetlink.h TCA_INGRESS_BLOCK */
  endpointBlock: 0xca10,
  /** The same for what the host's stack sends into gateway devices. TCA_EGRESS_BLOCK */
  gatewayBlock: 0xca11,
  /** Name of the tc filters; priority and handle under which they are attached. */
  filterName: 'carrick',
  filterPriority: 1,
  filterHandle: 0xca,
  /** Of the token buckets at the root of devices. */
  shaperHandle: 0xca10,
  /** Protocol number on our routes. linux/rtnetlink.h: above 128 is for user programs. */
  routeProtocol: 202,
  /** Of our routes in the main table: none of anybody else's has it, so that none is replaced. */
  routeMetric: 202,
  /** Routing tables of networks with an index: this and the index. */
  routeTableBase: 51_900,
  /** Our rules for marked packets; the one that closes the way while our table is missing comes before. */
  closingRulePriority: 5_189,
  rulePriority: 5_190,
  table: 'carrick',
} as const

/** The one MAC of the fabric: every gateway and every host end carries it (R8). Locally administered. */
export const FABRIC_MAC: Mac = fabricMac()

function fabricMac(): Mac {
  const mac = parseMac('0a:ca:bb:1e:00:01')
  if (mac === undefined) throw new Error('the fabric MAC does not parse')
  return mac
}

/** The collect-metadata vxlan device: slow path and GRO parser for the port. */
export interface VxlanDevice {
  readonly kind: 'vxlan-device'
  readonly name: string
  readonly port: number
}

/** A tc block with a device in it, so that its filter stands before the first other device joins. */
export interface Block {
  readonly kind: 'block'
  readonly block: number
  readonly anchor: string
  readonly direction: 'ingress' | 'egress'
}

/** One of our programs on the ingress of a device, or on a block that many devices share. */
export interface Program {
  readonly kind: 'program'
  readonly at: { readonly device: string } | { readonly block: number }
  readonly program: 'from_container' | 'from_underlay' | 'from_vxlan_device' | 'to_network'
}

/** What holds for every packet on this host. */
export interface DatapathConfig {
  readonly kind: 'config'
  readonly fabricMac: Mac
  readonly vxlanPort: number
  readonly vxlanDevice: string
  /** Underlay addresses of this host, at most one per family: VXLAN to any other is not ours. */
  readonly addresses: readonly IP[]
  /** False lets the receive side skip the look-up of direct prefixes. */
  readonly direct: boolean
  /** Our bits of the packet mark; see `packetMarks()`. */
  readonly packetMarkMask: number
  /** Where containers of every network may ask for names, at most one per family. */
  readonly resolvers: readonly IP[]
}

export interface NetworkEntry {
  readonly kind: 'network'
  readonly vni: number
  readonly prefixes: readonly Prefix[]
  readonly gateways: readonly IP[]
  /** The way to the host's own stack; absent: there is none. */
  readonly gateway?: { readonly device: string; readonly mark: number }
  readonly openMetadata: boolean
  /** `gateway` is for questions to the resolver alone. */
  readonly internal: boolean
}

/** The prefix of a network whose packets come in without an outer header. */
export interface DirectPrefix {
  readonly kind: 'direct-prefix'
  readonly prefix: Prefix
  readonly vni: number
}

/** How another host is reached; device and path MTU follow from the kernel's routes. */
export interface Peer {
  readonly kind: 'peer'
  readonly index: number
  readonly remote: IP
  readonly local: IP
  readonly vxlanPort: number
  /** True when both share a segment; then `mac` is the peer's (R31). */
  readonly onLink: boolean
  readonly mac?: Mac
  /** The largest packet that passes, from the outer IP header on, where that is less than routes say. */
  readonly mtuLimitBytes?: number
}

/** Where an address of a network lives. */
export interface EndpointEntry {
  readonly kind: 'endpoint'
  readonly vni: number
  readonly address: IP
  readonly mac: Mac
  readonly at: { readonly device: string; readonly shaped?: true } | { readonly hostIndex: number }
  /** An address of this host itself: `device` is the network's gateway. */
  readonly host?: true
}

/** A token bucket: what a device sends beyond its rate waits, and what finds no room is dropped. */
export interface Shaping {
  readonly bytesPerSecond: number
  readonly burstBytes: number
  readonly queueBytes: number
}

/** Of a pair, born on the host, whose other end a container engine takes: the named run makes it, once. */
export interface EngineEnd {
  readonly run: string
  /** See `Interior`; settled when the pair is made. */
  readonly softwareChecksums: boolean
}

/** The pair of an endpoint: `name` on the host, `peer` born inside the sandbox. */
export interface Veth {
  readonly kind: 'veth'
  readonly name: string
  readonly mac: Mac
  readonly mtuBytes: number
  /** Readable name: `network/endpoint`. */
  readonly alias: string
  readonly sandbox: { readonly path: string; readonly inode: number }
  readonly peer: { readonly name: string; readonly mac: Mac }
  /** Of what the host's end sends: to the container. Entries of its addresses are `shaped` then. */
  readonly shaping?: Shaping
  /** Present: there is no sandbox to know of. */
  readonly engine?: EngineEnd
}

/** Who may send through a device: the datapath's check against spoofing. */
export interface DeviceEntry {
  readonly kind: 'device'
  readonly device: string
  readonly vni: number
  readonly mac: Mac
  readonly addresses: readonly IP[]
  readonly carrier: Carrier
}

/** What a container finds inside its namespace. */
export interface Interior {
  readonly kind: 'interior'
  readonly device: string
  readonly sandbox: { readonly path: string; readonly inode: number }
  readonly ifname: string
  readonly mac: Mac
  readonly mtuBytes: number
  /** Address with the length of its network's prefix, as a user expects to read it. */
  readonly addresses: readonly { readonly address: IP; readonly length: number }[]
  /** Without a metric: the kernel's own, 0 for IPv4 and 1024 for IPv6. */
  readonly routes: readonly {
    readonly to: Prefix
    readonly via: IP
    readonly metric?: number
    /** Absent: main. Where it is found elsewhere it was moved there by the container's own wish. */
    readonly table?: number
    readonly mtuBytes?: number
    readonly advmssBytes?: number
  }[]
  /** True where checksums left to the hardware arrive wrong: the container's kernel sums up itself. */
  readonly softwareChecksums: boolean
  /** Of what the container sends. */
  readonly shaping?: Shaping
  /** Others may give it another MAC and a smaller MTU: a CNI plug-in behind ours. */
  readonly tunable?: true
  /** Permanent neighbours: one for each gateway, so that no table fills. */
  readonly neighbours: readonly { readonly address: IP; readonly mac: Mac }[]
}

export type Wanted =
  | Block
  | Closing
  | DatapathConfig
  | DeviceEntry
  | DirectPrefix
  | EndpointEntry
  | Forwarding
  | Gateway
  | GatewayEntry
  | GatewayRules
  | HostRoute
  | HostRule
  | Interior
  | LoopbackPort
  | NetworkEntry
  | Passage
  | Peer
  | PortForward
  | Program
  | ResolverDevice
  | Ruleset
  | SocketHooks
  | Veth
  | VxlanDevice

export type Kind = Wanted['kind']

/** Kinds in the order they are put; they are removed in the opposite order. */
export const KIND_ORDER: readonly Kind[] = [
  'ruleset',
  'passage',
  'closing',
  'host-rule',
  'forwarding',
  'resolver-device',
  'vxlan-device',
  'config',
  'block',
  'program',
  'gateway',
  'gateway-entry',
  'gateway-rules',
  'host-route',
  'network',
  'direct-prefix',
  'peer',
  'veth',
  'device',
  'endpoint',
  'interior',
  'publication',
  'socket-hooks',
  'loopback-port',
]

/** One per model object: `base`, `network/<id>`, `host/<id>`, `endpoint/<id>`. */
export type ObjectKey = string

/** What one kernel should contain, by the object that asks for it. */
export type HostState = ReadonlyMap<ObjectKey, readonly Wanted[]>

/** What tells two things of one kind apart. */
export function keyOf(wanted: Wanted): string {
  switch (wanted.kind) {
    case 'vxlan-device':
    case 'veth':
      return wanted.name
    case 'program':
      return 'device' in wanted.at ? `device ${wanted.at.device}` : `block ${wanted.at.block}`
    case 'block':
      return `${wanted.block}`
    case 'ruleset':
      return wanted.table
    case 'config':
      return 'config'
    case 'passage':
      return 'passage'
    case 'socket-hooks':
      return 'socket-hooks'
    case 'publication':
    case 'loopback-port':
      return keyOfPort(wanted)
    case 'forwarding':
      return 'forwarding'
    case 'gateway':
    case 'gateway-entry':
    case 'gateway-rules':
    case 'resolver-device':
      return wanted.device
    case 'host-route':
      return `${wanted.prefix} ${wanted.table} ${wanted.device}`
    case 'closing':
      return 'closing'
    case 'host-rule':
      return [
        ...[wanted.family, wanted.priority, wanted.mark ?? 0, wanted.mask ?? 0],
        ...[wanted.outputDevice ?? '', wanted.table],
      ].join(' ')
    case 'network':
      return `${wanted.vni}`
    case 'direct-prefix':
      return wanted.prefix
    case 'peer':
      return `${wanted.index}`
    case 'endpoint':
      return `${wanted.vni}/${wanted.address}`
    case 'device':
    case 'interior':
      return wanted.device
    default:
      return wanted satisfies never
  }
}
