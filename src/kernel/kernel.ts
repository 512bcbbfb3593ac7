/**
 * What Linux can do for the dataplane, as typed synchronous functions: the boundary between this program
 * and the operating system. `real.ts` implements it with system calls, `fake/` in memory. It knows links,
 * addresses and routes; it has never heard of containers.
 *
 * Conventions: addresses and prefixes are canonical text (`10.0.0.1`, `fd00::1`, `10.0.0.0/24`, `::/0`), MACs
 * lower case with colons, devices are named by interface index of the namespace the view looks at.
 * `put` creates or corrects, `remove` is content when nothing is there. Whatever the kernel refuses is a
 * NetworkError `kernel` whose details carry `operation`, `errno` and, when the kernel gave one, `ack`.
 */
import type { Family } from '../net/ip.ts'
import type { Conntrack } from './conntrack/conntrack.ts'
import type { NftElementChange, NftQueries } from './nftables/objects.ts'
import type { Notice, NoticeGroup } from './notices.ts'
import type { Offloads } from './offloads.ts'
import type { Ports } from './ports.ts'
import type { Sysctl } from './settings.ts'
import type { Filters, Qdiscs, Shapers } from './traffic-control.ts'

/**
 * An open network namespace, of the kernel that opened it. The handle keeps the namespace alive until it is
 * closed, at the latest with its kernel.
 */
export interface Netns extends Disposable {
  readonly fd: number
  /** The namespace's identity while it lives: two handles of one namespace have equal inodes. */
  readonly inode: number
  close(): void
}

/** The whole boundary. Its own view is the namespace in which it was opened (`home`). */
export interface Kernel extends KernelView, Disposable {
  /**
   * Opens a namespace by path (`/run/netns/x`, `/proc/1/ns/net`) or by process id.
   * Fails with `not-found` when there is none, `invalid` when it is not a network namespace.
   */
  openNetns(target: string | number): Netns
  /** Another handle of the namespace behind a descriptor of this process, which somebody has opened and checked. */
  copyNetns(fd: number): Netns
  /** Makes a new namespace and mounts it on `path`, which must not exist. `already-exists` when it does. */
  createNetns(path: string): Netns
  /** Unmounts and deletes `path`; the namespace dies with its last process and handle. */
  removeNetns(path: string): void
  /**
   * Gives `work` a view of that namespace. The view may be kept as long as the handle is open.
   * Only what needs it (opening a socket, sysctl, nftables) happens inside; `work` itself runs at home.
   */
  inNetns<T>(netns: Netns, work: (inside: KernelView) => T): T
}

/** One network namespace as functions. */
export interface KernelView {
  readonly links: Links
  readonly addresses: Addresses
  readonly routes: Routes
  readonly rules: Rules
  readonly neighbours: Neighbours
  readonly qdiscs: Qdiscs
  readonly shapers: Shapers
  readonly filters: Filters
  readonly nft: Nftables
  readonly sysctl: Sysctl
  readonly ports: Ports
  readonly offloads: Offloads
  readonly conntrack: Conntrack
  /**
   * Sends all changes that `work` names with one system call. The kernel tries every one of them in order,
   * also after a failure; then the first failure is thrown, its details with `request` (position from 0),
   * `requests` and `failures` (text of every failure).
   */
  batch(work: (batch: Batch) => void): void
  /**
   * Changes in this namespace as they happen, from the moment of the call, until `signal` aborts, which ends
   * the iteration. A notice `lost` says that some were missed: list again.
   */
  watch(groups: readonly NoticeGroup[], signal: AbortSignal): AsyncIterable<Notice>
  /**
   * A number that grows when a router may have taught the kernel a smaller path MTU: there is no notice for
   * it, so whoever follows `routes.lookup` compares this first.
   */
  tooBigHints(): number
}

/** The changes that may be sent together. A qdisc named here must not exist yet. */
export interface Batch {
  readonly links: Pick<Links, 'set' | 'refresh' | 'remove'>
  readonly addresses: Pick<Addresses, 'put' | 'remove'>
  readonly routes: Pick<Routes, 'put' | 'remove'>
  readonly rules: Pick<Rules, 'put' | 'remove'>
  readonly neighbours: Pick<Neighbours, 'put' | 'remove'>
  readonly qdiscs: Pick<Qdiscs, 'put' | 'remove'>
  readonly shapers: Pick<Shapers, 'put' | 'remove'>
  readonly filters: Pick<Filters, 'put'>
}

// ---- links -------------------------------------------------------------------------------------------

/** How the kernel invents link-local IPv6 addresses for a device. linux/if_link.h IN6_ADDR_GEN_MODE */
export type AddrGenMode = 'eui64' | 'none' | 'stable-privacy' | 'random'

/** Largest super-packets a device takes, in bytes. Plain ones bound IPv6 and, up to 65536, IPv4. */
export interface SuperPackets {
  readonly gsoMaxBytes?: number
  readonly groMaxBytes?: number
  readonly gsoIpv4MaxBytes?: number
  readonly groIpv4MaxBytes?: number
}

/** A device as the kernel tells it. */
export interface Link extends Required<SuperPackets> {
  readonly index: number
  readonly name: string
  /** `veth`, `vxlan`, `bridge`, …; undefined for hardware and loopback. */
  readonly kind: string | undefined
  readonly mac: string | undefined
  readonly mtuBytes: number
  /** Administratively up. IFF_UP */
  readonly up: boolean
  /** Has a carrier and can send. IFF_LOWER_UP */
  readonly running: boolean
  readonly loopback: boolean
  /** Resolves neighbours; false with IFF_NOARP. */
  readonly arp: boolean
  readonly group: number
  readonly alias: string | undefined
  /** Index of the bridge, bond or VRF it belongs to. */
  readonly master: number | undefined
  /** The other end of a veth, or the device below a macvlan; an index in the namespace `peerNetnsId`. */
  readonly peer: number | undefined
  /** This namespace's number for the one the peer is in; undefined when it is the same namespace. */
  readonly peerNetnsId: number | undefined
  readonly addrGenMode: AddrGenMode | undefined
  /** Largest packet the hardware cuts itself, in bytes; 0 when the kernel does not tell (before 5.19). */
  readonly tsoMaxBytes: number
  readonly vxlan: VxlanOptions | undefined
}

/** What a device can be made with, also the other end of a veth. A name is 1 to 15 bytes without `/` and white space. */
export interface LinkBirth extends SuperPackets {
  readonly name: string
  readonly mac?: string
  readonly mtuBytes?: number
  readonly group?: number
  /** In each direction. Without it the kernel makes as many as the kind has, for most one. */
  readonly queues?: number
}

/** What a new device may be given. */
export interface NewLink extends LinkBirth {
  readonly alias?: string
  readonly master?: number
  readonly addrGenMode?: AddrGenMode
  readonly arp?: boolean
  /** Set up at the end of its making. The other end of a veth is not. */
  readonly up?: boolean
}

export interface NewVeth extends NewLink {
  /** The other end, born inside `netns` when given: moving it there later costs 20 ms. */
  readonly peer: LinkBirth & { readonly netns?: Netns }
}

/** linux/if_link.h IFLA_VXLAN_* */
export interface VxlanOptions {
  /** UDP port, host order. */
  readonly port: number
  /** One device for all VNIs, whose sockets are IPv4 and IPv6; tunnel keys come from programs. */
  readonly collectMetadata: boolean
  /** Fixed VNI, unless metadata is collected. */
  readonly vni: number | undefined
  readonly learning: boolean
  readonly udpZeroCsum6Tx: boolean
  readonly udpZeroCsum6Rx: boolean
}

export interface NewVxlan extends NewLink, Partial<Omit<VxlanOptions, 'port' | 'vni'>> {
  readonly port: number
  readonly vni?: number
}

export interface NewMacvlan extends NewLink {
  /** Index of the device below. */
  readonly lower: number
  readonly mode?: 'private' | 'vepa' | 'bridge' | 'passthru'
}

/** What of a device can be changed: all that it can be made with, but its queues. `master: 0` releases it. */
export interface LinkChange extends Partial<Omit<NewLink, 'queues'>> {
  /** Moves the device away; waits for an RCU grace period. */
  readonly netns?: Netns
}

export interface Links {
  get(device: number | string): Link | undefined
  list(filter?: { readonly kind?: string; readonly group?: number }): readonly Link[]
  /** Makes a pair and tells this end; `peer` is the index of the other end in its own namespace. */
  createVeth(link: NewVeth): Link
  createVxlan(link: NewVxlan): Link
  createBridge(link: NewLink): Link
  createMacvlan(link: NewMacvlan): Link
  set(device: number | string, change: LinkChange): void
  /**
   * Has the kernel act on a change of the device's carrier now, and not when its link watch runs by itself: it
   * does so when it is asked for the device (Linux 6.8). Content when there is none.
   */
  refresh(device: number): void
  /** Deletes one device; waits for an RCU grace period (tens of milliseconds). */
  remove(device: number | string): void
  /** Deletes every device of the group in one grace period. Group 0 is refused: it is everybody's. */
  removeGroup(group: number): void
}

// ---- addresses, routes, rules, neighbours --------------------------------------------------------------

/** linux/rtnetlink.h RT_SCOPE_*, or its number. */
export type Scope = 'global' | 'site' | 'link' | 'host' | 'nowhere' | number

export interface Address {
  readonly device: number
  readonly address: string
  readonly prefixLength: number
  readonly scope: Scope
  /** IPv6: usable at once, without duplicate address detection. IFA_F_NODAD */
  readonly noDad: boolean
  /** IPv6: still being tested, or found to be a duplicate. */
  readonly tentative: boolean
  /** The kernel makes no route for the prefix. IFA_F_NOPREFIXROUTE */
  readonly noPrefixRoute: boolean
}
export type NewAddress = Pick<Address, 'device' | 'address' | 'prefixLength'> &
  Partial<Pick<Address, 'scope' | 'noDad' | 'noPrefixRoute'>>

export interface Addresses {
  list(filter?: { readonly device?: number }): readonly Address[]
  put(address: NewAddress): void
  remove(address: Pick<Address, 'device' | 'address' | 'prefixLength'>): void
}

/** linux/rtnetlink.h RTN_*, or its number. */
export type RouteType =
  | 'unicast'
  | 'local'
  | 'blackhole'
  | 'unreachable'
  | 'prohibit'
  | 'throw'
  | number

export interface Route {
  readonly family: Family
  /** `0.0.0.0/0` and `::/0` for the default route. */
  readonly destination: string
  readonly table: number
  readonly type: RouteType
  /** Who made it. linux/rtnetlink.h RTPROT_*: kernel 2, boot 3, static 4. */
  readonly protocol: number
  readonly scope: Scope
  /** Lower wins. IPv6 turns 0 into 1024. */
  readonly metric: number
  readonly device: number | undefined
  readonly gateway: string | undefined
  readonly preferredSource: string | undefined
  /** The gateway is on the device's link though no address says so. */
  readonly onlink: boolean
  readonly mtuBytes: number | undefined
  /** What TCP says it takes in one segment; undefined: as the MTU has it. */
  readonly advmssBytes: number | undefined
  /** Several ways; then `device` and `gateway` are undefined. */
  readonly hops: readonly { readonly device: number; readonly gateway: string | undefined }[]
}
/** `table` is main (254), `type` unicast, `protocol` static (4), `scope` what iproute2 would choose. */
export type NewRoute = Pick<Route, 'destination'> & {
  readonly [K in
    | 'table'
    | 'type'
    | 'protocol'
    | 'scope'
    | 'metric'
    | 'device'
    | 'gateway'
    | 'preferredSource'
    | 'onlink'
    | 'mtuBytes'
    | 'advmssBytes']?: NonNullable<Route[K]>
}
/** What identifies a route: everything else can be corrected. */
export type RouteKey = Pick<NewRoute, 'destination' | 'table' | 'metric' | 'device' | 'protocol'>

/** Where a packet would go now. */
export interface RouteAnswer {
  readonly type: RouteType
  readonly device: number
  readonly gateway: string | undefined
  readonly preferredSource: string | undefined
  /** What fits: the device's MTU, the route's, or what was learned on the way; in bytes. */
  readonly pathMtuBytes: number
}

export interface Routes {
  /** All routes but cached ones. The main, local and all other tables unless one is named. */
  list(filter?: {
    readonly table?: number
    readonly protocol?: number
    readonly family?: Family
  }): readonly Route[]
  put(route: NewRoute): void
  remove(route: RouteKey): void
  /** Asks the kernel to route one packet; undefined when it has no way (or refuses by an unreachable route). */
  lookup(
    destination: string,
    from?: { readonly mark?: number; readonly source?: string; readonly device?: number },
  ): RouteAnswer | undefined
  /** True when packets for the address are taken in this namespace. */
  isLocal(address: string): boolean
}

export interface Rule {
  readonly family: Family
  /** Lower is asked first. */
  readonly priority: number
  readonly table: number
  readonly mark: number | undefined
  readonly mask: number | undefined
  readonly source: string | undefined
  readonly destination: string | undefined
  readonly inputDevice: string | undefined
  readonly outputDevice: string | undefined
  /** RTPROT_* of who made it. */
  readonly protocol: number
  /** `lookup`, or what happens instead. */
  readonly action: 'lookup' | 'goto' | 'nop' | 'blackhole' | 'unreachable' | 'prohibit' | number
}
export type NewRule = Pick<Rule, 'family' | 'priority' | 'table'> & {
  readonly [K in
    | 'mark'
    | 'mask'
    | 'source'
    | 'destination'
    | 'inputDevice'
    | 'outputDevice'
    | 'protocol'
    | 'action']?: NonNullable<Rule[K]>
}

export interface Rules {
  list(filter?: { readonly family?: Family; readonly protocol?: number }): readonly Rule[]
  put(rule: NewRule): void
  remove(rule: NewRule): void
}

export interface Neighbour {
  readonly device: number
  readonly address: string
  readonly mac: string | undefined
  /** linux/neighbour.h NUD_*, lower case. */
  readonly state: string
}

export interface Neighbours {
  list(filter?: { readonly device?: number }): readonly Neighbour[]
  /** A permanent entry. */
  put(neighbour: { readonly device: number; readonly address: string; readonly mac: string }): void
  remove(neighbour: Pick<Neighbour, 'device' | 'address'>): void
}

// ---- nftables ------------------------------------------------------------------------------------------

export interface Nftables extends NftQueries {
  /** Runs commands in nft's language as one transaction. */
  run(commands: string): void
  /** Runs `{ "nftables": [...] }` as one transaction. libnftables-json(5) */
  runJson(document: { readonly nftables: readonly unknown[] }): void
  /**
   * Changes elements, all in one transaction, without asking what there is: however large a set, it takes as long.
   * Adding what is there alike is no failure. Throws `kernel`: ENOENT for what is not there, EEXIST for what leads
   * elsewhere.
   */
  change(changes: readonly NftElementChange[]): void
  /** The objects of one table as libnftables prints them, without `metainfo`; undefined when absent. */
  listTable(
    family: string,
    name: string,
    /** With `terse` the elements of sets and maps are left out. */
    options?: { readonly terse?: boolean },
  ): readonly Readonly<Record<string, unknown>>[] | undefined
  /** The elements of a set or map as libnftables-json(5) writes them; undefined when it is absent. */
  listElements(set: {
    readonly family: string
    readonly table: string
    readonly kind: 'set' | 'map'
    readonly name: string
  }): readonly unknown[] | undefined
}
