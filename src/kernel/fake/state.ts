/**
 * What the fake kernel holds: namespaces with links, addresses, routes and the rest, as plain values that
 * are replaced, never changed. Here are the ties between them that the kernel keeps by itself: the two ends
 * of a veth live and die together, and with a device goes all that stands on it.
 */
import type { Connection } from '../conntrack/conntrack.ts'
import type { Address, Link, Neighbour, Route, Rule } from '../kernel.ts'
import type { NoticeQueue } from '../notice-queue.ts'
import type { Notice, NoticeGroup } from '../notices.ts'
import type { NewPortSocket } from '../ports.ts'
import type { Clsact, Filter, FilterPlace, Shaper } from '../traffic-control.ts'

export interface NftTable {
  readonly family: string
  readonly name: string
  readonly objects: readonly Readonly<Record<string, unknown>>[]
}

/** One namespace. */
export interface FakeNamespace {
  readonly inode: number
  readonly links: Map<number, Link>
  /** For each veth the namespace and index of its other end. */
  readonly peers: Map<number, { readonly namespace: FakeNamespace; readonly index: number }>
  readonly qdiscs: Map<number, Clsact>
  readonly shapers: Map<number, Shaper>
  readonly filters: Map<string, Filter>
  readonly sysctls: Map<string, string>
  readonly nftTables: Map<string, NftTable>
  /** Path MTUs learned from the network, in bytes, by destination. */
  readonly learnedMtus: Map<string, number>
  readonly sockets: Set<NewPortSocket>
  /** Devices for which the kernel sums up itself. */
  readonly summing: Set<number>
  readonly watchers: Set<{ readonly groups: readonly NoticeGroup[]; readonly queue: NoticeQueue }>
  connections: readonly Connection[]
  addresses: readonly Address[]
  routes: readonly Route[]
  rules: readonly Rule[]
  neighbours: readonly Neighbour[]
  nextIndex: number
}

const GROUPS: Readonly<Record<Exclude<Notice['kind'], 'lost'>, NoticeGroup>> = {
  link: 'links',
  address: 'addresses',
  route: 'routes',
  rule: 'rules',
  neighbour: 'neighbours',
  nft: 'nft',
  tc: 'tc',
}

/** A namespace as it is born: with a loopback device that is down, and the kernel's three rules. */
export function newNamespace(inode: number): FakeNamespace {
  return {
    inode,
    links: new Map([[1, { ...PLAIN, index: 1, name: 'lo', mtuBytes: 65536, loopback: true }]]),
    peers: new Map(),
    qdiscs: new Map(),
    shapers: new Map(),
    filters: new Map(),
    sysctls: new Map([
      ['net/ipv4/ip_forward', '0'],
      ['net/ipv6/conf/all/forwarding', '0'],
    ]),
    nftTables: new Map(),
    learnedMtus: new Map(),
    sockets: new Set(),
    summing: new Set(),
    watchers: new Set(),
    connections: [],
    addresses: [],
    routes: [],
    rules: [
      rule(4, 0, 255),
      rule(4, 32766, 254),
      rule(4, 32767, 253),
      rule(6, 0, 255),
      rule(6, 32766, 254),
    ],
    neighbours: [],
    nextIndex: 2,
  }
}

/** A device about which nothing was said. */
export const PLAIN: Link = {
  index: 0,
  name: '',
  kind: undefined,
  mac: '00:00:00:00:00:00',
  mtuBytes: 1500,
  up: false,
  running: false,
  loopback: false,
  arp: true,
  group: 0,
  alias: undefined,
  master: undefined,
  peer: undefined,
  peerNetnsId: undefined,
  addrGenMode: 'eui64',
  gsoMaxBytes: 65536,
  groMaxBytes: 65536,
  gsoIpv4MaxBytes: 65536,
  groIpv4MaxBytes: 65536,
  tsoMaxBytes: 524280,
  vxlan: undefined,
}

/** Tells those who watch this namespace. */
export function tell(namespace: FakeNamespace, notice: Exclude<Notice, { kind: 'lost' }>): void {
  for (const { groups, queue } of namespace.watchers) {
    if (groups.includes(GROUPS[notice.kind])) queue.push(notice)
  }
}

/** Puts a device in its namespace, new or in place of what it was. */
export function putLink(namespace: FakeNamespace, link: Link): void {
  namespace.links.set(link.index, link)
  tell(namespace, { kind: 'link', change: 'put', link })
}

/** Takes a device away with everything that stands on it, and the other end of a veth. */
export function dropLink(namespace: FakeNamespace, index: number): void {
  const link = namespace.links.get(index)
  if (link === undefined) return
  namespace.links.delete(index)
  namespace.qdiscs.delete(index)
  namespace.shapers.delete(index)
  for (const [key, { place }] of namespace.filters) {
    if ('device' in place && place.device === index) namespace.filters.delete(key)
  }
  forgetEmptyBlocks(namespace)
  namespace.addresses = namespace.addresses.filter(({ device }) => device !== index)
  namespace.neighbours = namespace.neighbours.filter(({ device }) => device !== index)
  dropRoutes(namespace, ({ device }) => device === index)
  tell(namespace, { kind: 'link', change: 'remove', link })
  const peer = namespace.peers.get(index)
  namespace.peers.delete(index)
  if (peer !== undefined) dropLink(peer.namespace, peer.index)
  for (const other of [...namespace.links.values()]) {
    if (other.kind === 'macvlan' && other.peer === index) dropLink(namespace, other.index)
    else if (other.master === index) putLink(namespace, { ...other, master: undefined })
  }
}

export function dropRoutes(namespace: FakeNamespace, which: (route: Route) => boolean): void {
  const gone = namespace.routes.filter(which)
  namespace.routes = namespace.routes.filter((route) => !which(route))
  for (const route of gone) tell(namespace, { kind: 'route', change: 'remove', route })
}

/** A block without a device in it is gone, and its filters with it. */
export function forgetEmptyBlocks(namespace: FakeNamespace): void {
  for (const [key, { place }] of namespace.filters) {
    if ('block' in place && !blockLives(namespace, place.block)) namespace.filters.delete(key)
  }
}

export function blockLives(namespace: FakeNamespace, block: number): boolean {
  return [...namespace.qdiscs.values()].some(
    ({ ingressBlock, egressBlock }) => ingressBlock === block || egressBlock === block,
  )
}

export function filterKey(place: FilterPlace, priority: number, handle: number): string {
  const where = 'block' in place ? `block ${place.block}` : `${place.device} ${place.direction}`
  return `${where} ${priority} ${handle}`
}

function rule(family: 4 | 6, priority: number, table: number): Rule {
  const nothing = undefined
  return {
    family,
    priority,
    table,
    mark: nothing,
    mask: nothing,
    source: nothing,
    destination: nothing,
    inputDevice: nothing,
    outputDevice: nothing,
    protocol: 2,
    action: 'lookup',
  }
}
