/**
 * What a container finds in its namespace: its interface up, with addresses, a permanent neighbour for each
 * gateway, a route to it, and the routes through it. Whatever else the container adds is its own business: the
 * route to the gateway is for those who add routes through it without saying that it is near (CNI's `sbr`).
 */

import type { Interior, Shaping } from '../../hoststate/state.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Batch, KernelView, Link } from '../../kernel/kernel.ts'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import { familyOf, type IP, parseIP } from '../../net/ip.ts'
import { parseMac } from '../../net/mac.ts'
import { parsePrefix, prefixAround, prefixFamily } from '../../net/prefix.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'
import { untilHeard } from './heard.ts'
import { putShaping, readShaping, sameShaping } from './shaping.ts'

interface Have extends Interior {
  readonly up: boolean
  readonly sends: Shaping | undefined
  readonly ways: readonly Way[]
}

/** A route of ours: through a gateway, or to one when there is no `via`. */
type Way = Omit<Interior['routes'][number], 'via'> & { readonly via?: IP }

export function interiors({ kernel, devices, sandboxes }: Context): Resource<Interior, Have> {
  /** Devices whose other end was filled before, and may have routes that are not wanted any more. */
  const filled = new Set<string>()

  return {
    kind: 'interior',
    equal,
    list: (wanted) => wanted.flatMap((want) => look(want) ?? []),
    put(want) {
      const made = devices.peerOf(want.device)
      sandboxes.inside(want.sandbox, (inside) => {
        const device = made ?? indexOf(inside, want)
        const fresh = made !== undefined && !filled.has(want.device)
        configure(inside, want, device)
        if (!fresh && want.shaping === undefined) putShaping(inside, device, undefined)
        if (!fresh) dropStaleRoutes(inside, want, device)
        if (!fresh || want.softwareChecksums) chooseChecksums(inside, want)
        kernel.links.refresh(devices.of(want.device))
        untilHeard(
          inside,
          want.addresses.map(({ address }) => address),
        )
      })
      filled.add(want.device)
    },
    // The interface takes everything with it.
    remove({ device }) {
      filled.delete(device)
    },
  }

  function look(want: Interior): Have | undefined {
    try {
      return sandboxes.inside(want.sandbox, (inside) => read(inside, want))
    } catch (error) {
      if (isNetworkError(error, 'not-found') || isNetworkError(error, 'invalid')) return undefined
      throw error
    }
  }
}

function configure(inside: KernelView, want: Interior, index: number): void {
  try {
    inside.batch((batch) => fill(batch, want, index))
  } catch (error) {
    const ipv6 = want.addresses.some(({ address }) => familyOf(address) === 6)
    if (!isNetworkError(error, 'kernel') || !ipv6 || !enableIPv6(inside, want.ifname)) throw error
    inside.batch((batch) => fill(batch, want, index))
  }
}

/** Whether the container's kernel sums up itself: a new interface leaves that to others. */
function chooseChecksums({ offloads }: KernelView, want: Interior): void {
  if (offloads.checksumsSent(want.ifname) !== want.softwareChecksums) return
  offloads.setChecksumsSent(want.ifname, !want.softwareChecksums)
}

/** Removes routes of ours by this interface that are wanted no more; those that are wanted stand by now. */
function dropStaleRoutes(inside: KernelView, want: Interior, device: number): void {
  const ways = waysOf(want)
  const stale = waysBy(inside, device).filter((way) => !ways.some((wanted) => sameWay(wanted, way)))
  for (const { to, metric, table } of stale) {
    const protocol = MARK.routeProtocol
    inside.routes.remove({
      destination: to,
      device,
      protocol,
      ...(metric === undefined ? {} : { metric }),
      ...(table === undefined ? {} : { table }),
    })
  }
}

function indexOf(inside: KernelView, want: Interior): number {
  const link = inside.links.get(want.ifname)
  const ours = link?.mac === want.mac || want.tunable === true
  if (link !== undefined && ours) return link.index
  throw new NetworkError(
    'not-found',
    `Cannot configure ${want.ifname} in ${want.sandbox.path}: the interface is not there`,
    { details: { netns: want.sandbox.path, ifname: want.ifname } },
  )
}

function fill(batch: Batch, want: Interior, device: number): void {
  batch.links.set('lo', { up: true })
  if (want.shaping !== undefined) putShaping(batch, device, want.shaping)
  batch.links.set(device, { up: true, mtuBytes: want.mtuBytes })
  for (const { address, length: prefixLength } of want.addresses) {
    batch.addresses.put({ device, address, prefixLength, noDad: true, noPrefixRoute: true })
  }
  for (const { address, mac } of want.neighbours) batch.neighbours.put({ device, address, mac })
  for (const { to, via, ...rest } of waysOf(want)) {
    batch.routes.put({
      destination: to,
      ...rest,
      ...(via === undefined ? {} : { gateway: via }),
      // IPv6 refuses it where another interface leads to the same gateway; the route to that stands by now.
      ...(via !== undefined && familyOf(via) === 4 ? { onlink: true } : {}),
      device,
      protocol: MARK.routeProtocol,
    })
  }
  batch.links.refresh(device)
}

/**
 * The routes to the gateways and the routes through them, with the same metric: another interface of the container
 * may lead to the same gateway.
 */
function waysOf({ neighbours, routes }: Interior): readonly Way[] {
  const near = neighbours.map(({ address }): Way => {
    const metric = routes.find(({ via }) => via === address)?.metric
    const to = prefixAround(address, familyOf(address) === 4 ? 32 : 128)
    return { to, ...(metric === undefined ? {} : { metric }) }
  })
  return [...near, ...routes]
}

/**
 * Runtimes switch IPv6 off in new namespaces (Docker does); an address needs it. False when it was not off.
 */
function enableIPv6(inside: KernelView, ifname: string): boolean {
  const path = ['net', 'ipv6', 'conf', ifname, 'disable_ipv6']
  if (inside.sysctl.read(path) !== '1') return false
  inside.sysctl.write(path, '0')
  return true
}

function read(inside: KernelView, want: Interior): Have | undefined {
  const link = inside.links.get(want.ifname)
  const mac = link?.mac === undefined ? undefined : parseMac(link.mac)
  if (link === undefined || mac === undefined) return undefined
  return {
    ...want,
    mac,
    mtuBytes: link.mtuBytes,
    softwareChecksums: !inside.offloads.checksumsSent(want.ifname),
    up: link.up,
    sends: readShaping(inside, link.index),
    ...readParts(inside, link),
  }
}

function readParts(
  inside: KernelView,
  link: Link,
): Pick<Have, 'addresses' | 'ways' | 'neighbours'> {
  const device = link.index
  return {
    addresses: inside.addresses.list({ device }).flatMap(({ address, prefixLength }) => {
      const ip = parseIP(address)
      return ip === undefined ? [] : [{ address: ip, length: prefixLength }]
    }),
    neighbours: inside.neighbours.list({ device }).flatMap(({ address, mac }) => {
      const [ip, neighbourMac] = [parseIP(address), mac === undefined ? undefined : parseMac(mac)]
      return ip === undefined || neighbourMac === undefined
        ? []
        : [{ address: ip, mac: neighbourMac }]
    }),
    ways: waysBy(inside, device),
  }
}

/** Our routes by one interface. */
function waysBy(inside: KernelView, device: number): readonly Way[] {
  return inside.routes.list({ protocol: MARK.routeProtocol }).flatMap((route) => {
    const [to, via] = [
      parsePrefix(route.destination),
      route.gateway === undefined ? undefined : parseIP(route.gateway),
    ]
    if (to === undefined || route.device !== device) return []
    const rest = { metric: route.metric, table: route.table }
    return [{ to, ...(via === undefined ? {} : { via }), ...rest }]
  })
}

function sameWay(a: Way, b: Way): boolean {
  return a.to === b.to && a.via === b.via && metricIn(a) === metricIn(b)
}

/** The metric a route has in the kernel. */
function metricIn({ to, metric }: Way): number {
  return metric ?? (prefixFamily(to) === 4 ? 0 : 1024)
}

/**
 * Everything wanted is there, and no route of ours beside it, in whichever tables the container keeps them; what it
 * added does not count.
 */
function equal(want: Interior, have: Have): boolean {
  const ways = waysOf(want)
  return (
    have.up &&
    (want.tunable === true || have.mac === want.mac) &&
    (want.tunable === true ? have.mtuBytes <= want.mtuBytes : have.mtuBytes === want.mtuBytes) &&
    have.softwareChecksums === want.softwareChecksums &&
    sameShaping(want.shaping, have.sends) &&
    want.addresses.every(({ address, length }) =>
      have.addresses.some((each) => each.address === address && each.length === length),
    ) &&
    want.neighbours.every(({ address, mac }) =>
      have.neighbours.some((each) => each.address === address && each.mac === mac),
    ) &&
    ways.every((way) => have.ways.some((each) => sameWay(way, each))) &&
    have.ways.every((each) => ways.some((way) => sameWay(way, each)))
  )
}
