/**
 * What one kernel should contain, as plain data. The plan writes it, the dataplane compares and applies it;
 * they meet nowhere else. A device is named, never numbered: its index is the kernel's business.
 */

import type { IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { parseMac } from '../net/mac.ts'
import type { Prefix } from '../net/prefix.ts'

/** How a network's packets reach other hosts, as the datapath tells them apart. */
export type Carrier = 'auto' | 'vxlan' | 'direct' | 'local'

/** Our mark on every kernel object, by which a restarted agent without memory knows its own. */
export const MARK = {
  /** IFLA_GROUP of the host ends of endpoints, of links waiting to be deleted, and of fabric devices. */
  endpointGroup: 0xca01,
  dyingGroup: 0xca02,
  fabricGroup: 0xca03,
  /** First letters of every device name of ours. */
  devicePrefix: 'ck',
  vxlanDevice: 'ckvx0',
  /** A pair that does nothing but keep the shared block alive when no endpoint is in it. */
  anchorDevice: 'ckan0',
  /** tc block shared by all endpoint devices: one filter serves them all. linux/rtnetlink.h TCA_INGRESS_BLOCK */
  endpointBlock: 0xca10,
  /** Name of the tc filters; priority and handle under which they are attached. */
  filterName: 'carrick',
  filterPriority: 1,
  filterHandle: 0xca,
  /** Protocol number on our routes. linux/rtnetlink.h: above 128 is for user programs. */
  routeProtocol: 202,
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

/** A tc block with a device in it, so that its filter stands before the first endpoint joins. */
export interface Block {
  readonly kind: 'block'
  readonly block: number
  readonly anchor: string
}

/** One of our programs on the ingress of a device, or on the block that endpoint devices share. */
export interface Program {
  readonly kind: 'program'
  readonly at: { readonly device: string } | { readonly block: number }
  readonly program: 'from_container' | 'from_underlay' | 'from_vxlan_device'
}

/** The belt (R7): packets of endpoint devices never reach the host's own stack. */
export interface Ruleset {
  readonly kind: 'ruleset'
  readonly table: string
  readonly endpointGroup: number
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
}

export interface NetworkEntry {
  readonly kind: 'network'
  readonly vni: number
  readonly prefixes: readonly Prefix[]
  readonly gateways: readonly IP[]
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
  readonly at: { readonly device: string } | { readonly hostIndex: number }
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
  }[]
  /** True where checksums left to the hardware arrive wrong: the container's kernel sums up itself. */
  readonly softwareChecksums: boolean
  /** Permanent neighbours: one for each gateway, so that no table fills. */
  readonly neighbours: readonly { readonly address: IP; readonly mac: Mac }[]
}

export type Wanted =
  | Block
  | DatapathConfig
  | DeviceEntry
  | DirectPrefix
  | EndpointEntry
  | Interior
  | NetworkEntry
  | Peer
  | Program
  | Ruleset
  | Veth
  | VxlanDevice

export type Kind = Wanted['kind']

/** Kinds in the order they are put; they are removed in the opposite order. */
export const KIND_ORDER: readonly Kind[] = [
  'ruleset',
  'vxlan-device',
  'config',
  'block',
  'program',
  'network',
  'direct-prefix',
  'peer',
  'veth',
  'device',
  'endpoint',
  'interior',
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
