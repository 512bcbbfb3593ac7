/**
 * One network namespace as the real kernel shows it: every function writes a request, sends it over a
 * netlink socket that was opened inside, and reads the answers. The socket opens at the first use.
 */
import { NetworkError } from '../lib/errors.ts'
import type { Family } from '../net/ip.ts'
import { conntrackOf } from './conntrack/queries.ts'
import { countTooBigHints } from './icmp.ts'
import type { Batch, KernelView, Link, LinkChange, NewLink, NewVxlan } from './kernel.ts'
import type { Request } from './netlink/message.ts'
import { NetlinkSocket, openNetlink } from './netlink/socket.ts'
import { NftRuleset } from './nftables/libnftables.ts'
import type { Notice, NoticeGroup } from './notices.ts'
import { offloadsOf } from './offloads.ts'
import { portsOf } from './port-sockets.ts'
import * as addresses from './rtnetlink/addresses.ts'
import * as filters from './rtnetlink/filters.ts'
import { createMacvlan, createVeth } from './rtnetlink/link-kinds.ts'
import * as links from './rtnetlink/links.ts'
import * as neighbours from './rtnetlink/neighbours.ts'
import * as qdiscs from './rtnetlink/qdiscs.ts'
import * as routes from './rtnetlink/routes.ts'
import * as rules from './rtnetlink/rules.ts'
import * as shapers from './rtnetlink/shapers.ts'
import { writeVxlan } from './rtnetlink/vxlan.ts'
import { sysctlOf } from './sysctl.ts'
import { watchNamespace } from './watch.ts'

const NETLINK_ROUTE = 0
const NETLINK_NETFILTER = 12

export class RealView implements KernelView, Disposable {
  readonly nft: NftRuleset
  readonly sysctl
  readonly ports
  readonly offloads
  readonly conntrack
  readonly #inside: <T>(work: () => T) => T
  readonly #buffer: Uint8Array
  #socket: NetlinkSocket | undefined
  #netfilter: NetlinkSocket | undefined

  /** `inside` runs its argument in the namespace this view is of; `buffer` is the thread's for receiving. */
  constructor(inside: <T>(work: () => T) => T, buffer: Uint8Array) {
    this.#inside = inside
    this.#buffer = buffer
    this.nft = new NftRuleset(inside, () => this.#openNetfilter())
    this.sysctl = sysctlOf(inside)
    this.ports = portsOf(inside)
    this.offloads = offloadsOf(inside)
    this.conntrack = conntrackOf(() => this.#openNetfilter())
  }

  tooBigHints(): number {
    return this.#inside(countTooBigHints)
  }

  readonly links: KernelView['links'] = {
    get: (device) => this.#read(links.getLink(device), links.readLink)[0],
    list: ({ kind, group } = {}) =>
      this.#read(links.listLinks(kind), links.readLink).filter(
        (link) =>
          (kind === undefined || link.kind === kind) &&
          (group === undefined || link.group === group),
      ),
    createVeth: (link) => this.#create(link, createVeth(link)),
    createVxlan: (link) => this.#create(link, vxlanRequest(link)),
    createBridge: (link) => this.#create(link, links.createLink('bridge', link)),
    createMacvlan: (link) => this.#create(link, createMacvlan(link)),
    set: (device, change) => {
      for (const each of links.changeLink(this.#renamable(device, change), change)) this.#do(each)
    },
    refresh: (device) => this.#do(links.getLink(device)),
    remove: (device) => this.#do(links.removeLink(device)),
    removeGroup: (group) => this.#do(links.removeGroup(group)),
  }

  readonly addresses: KernelView['addresses'] = {
    list: ({ device } = {}) =>
      this.#read(addresses.listAddresses(device), addresses.readAddress).filter(
        (each) => device === undefined || each.device === device,
      ),
    put: (address) => this.#do(addresses.putAddress(address)),
    remove: (address) => this.#do(addresses.removeAddress(address)),
  }

  readonly routes: KernelView['routes'] = {
    list: ({ table, protocol, family } = {}) =>
      families(family).flatMap((each) =>
        this.#read(
          routes.listRoutes(each, {
            ...(table === undefined ? {} : { table }),
            ...(protocol === undefined ? {} : { protocol }),
          }),
          routes.readRoute,
        ).filter(
          (route) =>
            route.family === each &&
            (table === undefined || route.table === table) &&
            (protocol === undefined || route.protocol === protocol),
        ),
      ),
    put: (route) => this.#do(routes.putRoute(route)),
    remove: (route) => this.#do(routes.removeRoute(route)),
    lookup: (destination, from = {}) => {
      const found = this.#read(routes.lookupRoute(destination, from), routes.readRouteAnswer)[0]
      if (found === undefined) return undefined
      const { mtuBytes, ...answer } = found
      const deviceMtuBytes = this.links.get(found.device)?.mtuBytes
      // The device went away in between: so did the route.
      if (deviceMtuBytes === undefined) return undefined
      return { ...answer, pathMtuBytes: Math.min(mtuBytes ?? deviceMtuBytes, deviceMtuBytes) }
    },
    isLocal: (address) =>
      this.#read(routes.lookupRoute(address, {}), routes.readRouteAnswer)[0]?.type === 'local',
  }

  readonly rules: KernelView['rules'] = {
    list: ({ family, protocol } = {}) =>
      families(family).flatMap((each) =>
        this.#read(rules.listRules(each), rules.readRule).filter(
          (rule) => rule.family === each && (protocol === undefined || rule.protocol === protocol),
        ),
      ),
    put: (rule) => this.#do(rules.putRule(rule)),
    remove: (rule) => this.#do(rules.removeRule(rule)),
  }

  readonly neighbours: KernelView['neighbours'] = {
    list: ({ device } = {}) =>
      this.#read(neighbours.listNeighbours(device), neighbours.readNeighbour).filter(
        (each) => device === undefined || each.device === device,
      ),
    put: (neighbour) => this.#do(neighbours.putNeighbour(neighbour)),
    remove: (neighbour) => this.#do(neighbours.removeNeighbour(neighbour)),
  }

  readonly qdiscs: KernelView['qdiscs'] = {
    list: ({ device } = {}) =>
      this.#read(
        device === undefined ? qdiscs.listQdiscs() : qdiscs.getQdisc(device),
        qdiscs.readClsact,
      ),
    put: (clsact) => {
      const have = this.qdiscs.list({ device: clsact.device })[0]
      if (have !== undefined) {
        if (have.ingressBlock === clsact.ingressBlock && have.egressBlock === clsact.egressBlock) {
          return
        }
        // The kernel changes no blocks of a standing qdisc.
        this.#do(qdiscs.removeClsact(clsact.device))
      }
      this.#do(qdiscs.createClsact(clsact))
    },
    remove: ({ device }) => this.#do(qdiscs.removeClsact(device)),
  }

  readonly shapers: KernelView['shapers'] = {
    list: ({ handle, device }) =>
      this.#read(
        device === undefined ? qdiscs.listQdiscs() : shapers.getShaper(device, handle),
        shapers.readShaper,
      ).filter((shaper) => shaper.handle === handle),
    put: (shaper) => this.#do(shapers.putShaper(shaper)),
    remove: ({ device, handle }) => this.#do(shapers.removeShaper(device, handle)),
  }

  readonly filters: KernelView['filters'] = {
    list: (place) =>
      this.#read(filters.listFilters(place), (body) => filters.readFilter(body, place)),
    put: (filter) => this.#do(filters.putFilter(filter)),
    remove: (filter) => this.#do(filters.removeFilter(filter)),
  }

  batch(work: (batch: Batch) => void): void {
    const requests: Request[] = []
    /** For each request the position of the change it belongs to. */
    const changes: number[] = []
    let count = 0
    const add = (...needed: readonly Request[]) => {
      requests.push(...needed)
      changes.push(...needed.map(() => count))
      count++
    }
    work({
      links: {
        set: (device, change) => add(...links.changeLink(this.#renamable(device, change), change)),
        refresh: (device) => add(links.getLink(device)),
        remove: (device) => add(links.removeLink(device)),
      },
      addresses: {
        put: (address) => add(addresses.putAddress(address)),
        remove: (address) => add(addresses.removeAddress(address)),
      },
      routes: {
        put: (route) => add(routes.putRoute(route)),
        remove: (route) => add(routes.removeRoute(route)),
      },
      rules: {
        put: (rule) => add(rules.putRule(rule)),
        remove: (rule) => add(rules.removeRule(rule)),
      },
      neighbours: {
        put: (neighbour) => add(neighbours.putNeighbour(neighbour)),
        remove: (neighbour) => add(neighbours.removeNeighbour(neighbour)),
      },
      qdiscs: {
        put: (clsact) => add(qdiscs.createClsact(clsact)),
        remove: ({ device }) => add(qdiscs.removeClsact(device)),
      },
      shapers: {
        put: (shaper) => add(shapers.putShaper(shaper)),
        remove: ({ device, handle }) => add(shapers.removeShaper(device, handle)),
      },
      filters: { put: (filter) => add(filters.putFilter(filter)) },
    })
    const failures = this.#open().batch(requests)
    const first = failures[0]
    if (first === undefined) return
    throw new NetworkError('kernel', first.error.message, {
      details: {
        ...first.error.details,
        request: changes[first.request],
        requests: count,
        failures: failures.map(({ error }) => error.message),
      },
      cause: first.error,
    })
  }

  watch(groups: readonly NoticeGroup[], signal: AbortSignal): AsyncIterable<Notice> {
    return watchNamespace(this.#inside, groups, signal)
  }

  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]()
    this.#socket = undefined
    this.nft[Symbol.dispose]()
    this.#netfilter?.[Symbol.dispose]()
    this.#netfilter = undefined
  }

  /** Makes a device in as many steps as the kernel wants; none is left behind when the second fails. */
  #create(link: NewLink, request: Request): Link {
    const [told] = this.#read(request, links.readLink)
    const change = links.changeAfterBirth(link)
    if (told !== undefined && change === undefined) return told
    try {
      if (change !== undefined) this.links.set(link.name, change)
      const made = this.links.get(link.name)
      if (made === undefined) {
        throw new NetworkError('conflict', `Cannot ${request.operation}: it was removed at once`)
      }
      return made
    } catch (error) {
      this.links.remove(link.name)
      throw error
    }
  }

  /** A rename needs the index, since the message has one place for a name. */
  #renamable(device: number | string, change: LinkChange): number | string {
    if (typeof device === 'number' || change.name === undefined) return device
    const index = this.links.get(device)?.index
    if (index === undefined) {
      throw new NetworkError('kernel', `Cannot change link "${device}": ENODEV`, {
        details: { operation: `change link "${device}"`, errno: 'ENODEV' },
      })
    }
    return index
  }

  #do(request: Request): void {
    this.#open().request(request)
  }

  #read<T>(request: Request, read: (body: Uint8Array) => T | undefined): T[] {
    return this.#open()
      .request(request)
      .map(read)
      .filter((each) => each !== undefined)
  }

  #open(): NetlinkSocket {
    this.#socket ??= new NetlinkSocket(this.#inside(() => openNetlink(NETLINK_ROUTE, this.#buffer)))
    return this.#socket
  }

  #openNetfilter(): NetlinkSocket {
    this.#netfilter ??= new NetlinkSocket(
      this.#inside(() => openNetlink(NETLINK_NETFILTER, this.#buffer)),
    )
    return this.#netfilter
  }
}

function vxlanRequest(link: NewVxlan): Request {
  return links.createLink('vxlan', link, (message) => writeVxlan(message, link))
}

function families(family: Family | undefined): readonly Family[] {
  return family === undefined ? [4, 6] : [family]
}
