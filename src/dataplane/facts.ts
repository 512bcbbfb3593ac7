/**
 * What this host's kernel knows and the cluster needs to: the destinations that the main routing table has
 * and we did not put there. Read again a moment after the kernel told of a change, and told on when different.
 */

import { MARK } from '../hoststate/state.ts'
import type { Kernel, Link, Route } from '../kernel/kernel.ts'
import { isNetworkError } from '../lib/errors.ts'
import type { HostFacts } from '../model/host.ts'
import { compareIP } from '../net/ip.ts'
import {
  type Prefix,
  parsePrefix,
  prefixAddress,
  prefixContains,
  prefixesOverlap,
  prefixLength,
} from '../net/prefix.ts'

/** linux/rtnetlink.h RT_TABLE_MAIN */
const MAIN_TABLE = 254
/** Changes come in flocks; a router may change its routes all day. */
const QUIET_MS = 500
const RETRY_MS = 5_000
/** Reading takes at most this part of the thread's time. */
const SHARE = 1 / 50
/** What a record holds of at most 64 KiB: a router with all of the Internet's routes must not break it. */
const MOST_ROUTES = 500

/** Never in anybody's way: link-local, multicast, loopback. */
const NOBODYS: readonly Prefix[] = prefixes('fe80::/10', 'ff00::/8', '::1/128', '169.254.0.0/16')
/** RFC 1918, RFC 6598, RFC 4193: where networks of containers are, and what is kept when there is too much. */
const PRIVATE: readonly Prefix[] = prefixes(
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
)

type RouteFact = HostFacts['routes'][number]

/** The facts as they are now. */
export function readFacts(kernel: Pick<Kernel, 'routes' | 'links'>): HostFacts {
  const links = new Map<number, Link | undefined>()
  const linkOf = (index: number): Link | undefined => {
    if (!links.has(index)) links.set(index, kernel.links.get(index))
    return links.get(index)
  }
  const found = new Map<string, RouteFact>()
  for (const route of kernel.routes.list({ table: MAIN_TABLE })) {
    const fact = factOf(route, linkOf)
    if (fact !== undefined) found.set(`${fact.prefix} ${fact.device}`, fact)
  }
  return { schema: 1, routes: mostTelling([...found.values()]).sort(byPrefix) }
}

function factOf(route: Route, linkOf: (index: number) => Link | undefined): RouteFact | undefined {
  const prefix = parsePrefix(route.destination)
  const index = route.device ?? route.hops[0]?.device
  const link = index === undefined ? undefined : linkOf(index)
  if (prefix === undefined || prefixLength(prefix) === 0) return undefined
  if (route.protocol === MARK.routeProtocol || (link !== undefined && isOurs(link)))
    return undefined
  if (NOBODYS.some((special) => prefixContains(special, prefixAddress(prefix)))) return undefined
  // A route that closes the way has no device.
  return { prefix, device: link?.name ?? String(route.type) }
}

/** True for devices of ours, whose groups share the upper byte: endpoints' and gateways' among them. */
export function isOurs({ name, group }: Pick<Link, 'name' | 'group'>): boolean {
  return name.startsWith(MARK.devicePrefix) && group >> 8 === MARK.endpointGroup >> 8
}

/** All of them, or those of private ranges first and the widest first. */
function mostTelling(routes: RouteFact[]): RouteFact[] {
  if (routes.length <= MOST_ROUTES) return routes
  const isPrivate = ({ prefix }: RouteFact): number =>
    PRIVATE.some((range) => prefixesOverlap(range, prefix)) ? 0 : 1
  const ranked = routes.map((route) => ({ route, rank: isPrivate(route) }))
  ranked.sort(
    (a, b) => a.rank - b.rank || prefixLength(a.route.prefix) - prefixLength(b.route.prefix),
  )
  return ranked.slice(0, MOST_ROUTES).map(({ route }) => route)
}

function byPrefix(a: RouteFact, b: RouteFact): number {
  return (
    compareIP(prefixAddress(a.prefix), prefixAddress(b.prefix)) ||
    prefixLength(a.prefix) - prefixLength(b.prefix) ||
    (a.device < b.device ? -1 : 1)
  )
}

/** Follows the facts: `tell` hears them once at the start, and whenever they are different. */
export class FactsWatch implements Disposable {
  readonly #kernel: Pick<Kernel, 'routes' | 'links'>
  readonly #tell: (facts: HostFacts) => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #told = ''
  #pauseMs = 0

  constructor(kernel: Pick<Kernel, 'routes' | 'links'>, tell: (facts: HostFacts) => void) {
    this.#kernel = kernel
    this.#tell = tell
    this.suspect()
  }

  /** Something changed that facts may depend on. */
  suspect(): void {
    this.#timer ??= setTimeout(() => this.#read(), this.#pauseMs)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #read(): void {
    this.#timer = undefined
    const startMs = performance.now()
    let facts: HostFacts
    try {
      facts = readFacts(this.#kernel)
    } catch (error) {
      // The routes changed while they were listed, or the kernel lacked memory: the next look will do.
      if (!isNetworkError(error)) throw error
      this.#pauseMs = RETRY_MS
      this.suspect()
      return
    }
    this.#pauseMs = Math.max(QUIET_MS, (performance.now() - startMs) / SHARE)
    const text = JSON.stringify(facts)
    if (text === this.#told) return
    this.#told = text
    this.#tell(facts)
  }
}

function prefixes(...texts: readonly string[]): readonly Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? [])
}
