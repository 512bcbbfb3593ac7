/**
 * Addresses, routes, rules and neighbours of the fake kernel. It makes no routes by itself, except that an
 * address with a prefix makes its gateways reachable; lookups see the main table only.
 */
import { familyOf, type IP } from '../../net/ip.ts'
import {
  type Prefix,
  prefixAround,
  prefixContains,
  prefixFamily,
  prefixLength,
} from '../../net/prefix.ts'
import type { Address, KernelView, NewRoute, NewRule, Route, RouteKey, Rule } from '../kernel.ts'
import { putAddress } from '../rtnetlink/addresses.ts'
import { putNeighbour } from '../rtnetlink/neighbours.ts'
import { putRoute, readRoute } from '../rtnetlink/routes.ts'
import { putRule, readRule } from '../rtnetlink/rules.ts'
import { refuse } from './calls.ts'
import { dropRoutes, type FakeNamespace, tell } from './state.ts'

const MAIN = 254

export function fakeAddresses(own: FakeNamespace): KernelView['addresses'] {
  const same = (a: Address, b: Parameters<KernelView['addresses']['remove']>[0]) =>
    a.device === b.device && a.address === b.address && a.prefixLength === b.prefixLength
  return {
    list: ({ device } = {}) =>
      own.addresses.filter((each) => device === undefined || each.device === device),
    put(given) {
      const { operation } = putAddress(given)
      if (!own.links.has(given.device)) refuse(operation, 'ENODEV', 'ipv4: Device not found')
      const address: Address = {
        device: given.device,
        address: given.address,
        prefixLength: given.prefixLength,
        scope: given.scope ?? 'global',
        noDad: (given.noDad ?? false) && given.address.includes(':'),
        tentative: false,
        noPrefixRoute: given.noPrefixRoute ?? false,
      }
      own.addresses = [...own.addresses.filter((each) => !same(each, given)), address]
      tell(own, { kind: 'address', change: 'put', address })
    },
    remove(given) {
      const gone = own.addresses.find((each) => same(each, given))
      if (gone === undefined) return
      own.addresses = own.addresses.filter((each) => each !== gone)
      tell(own, { kind: 'address', change: 'remove', address: gone })
      dropRoutes(own, ({ preferredSource }) => preferredSource === gone.address)
      const last = !own.addresses.some(
        (each) => each.device === given.device && !each.address.includes(':'),
      )
      // With its last IPv4 address a device loses its IPv4 routes, in all tables.
      if (!given.address.includes(':') && last) {
        dropRoutes(own, ({ device, family }) => device === given.device && family === 4)
      }
    },
  }
}

export function fakeRoutes(own: FakeNamespace): KernelView['routes'] {
  return {
    list: ({ table, protocol, family } = {}) =>
      own.routes.filter(
        (route) =>
          (table === undefined || route.table === table) &&
          (protocol === undefined || route.protocol === protocol) &&
          (family === undefined || route.family === family),
      ),
    put(given) {
      const { operation } = putRoute(given)
      const route = asKernelReads(given)
      if (route.device !== undefined) {
        const link = own.links.get(route.device)
        if (link === undefined) refuse(operation, 'ENODEV')
        else if (!link.up) refuse(operation, 'ENETDOWN')
      }
      if (route.gateway !== undefined && !route.onlink && !reaches(own, route.gateway)) {
        refuse(operation, 'ENETUNREACH', 'Nexthop has invalid gateway')
      }
      own.routes = [...own.routes.filter((have) => !samePlace(have, route)), route]
      tell(own, { kind: 'route', change: 'put', route })
    },
    remove(given) {
      const found = own.routes.find((route) => names(given, route))
      if (found !== undefined) dropRoutes(own, (route) => route === found)
    },
    isLocal: (destination) => own.addresses.some(({ address }) => address === destination),
    lookup(destination) {
      const local = own.addresses.find(({ address }) => address === destination)
      if (local !== undefined) {
        const { device } = local
        const pathMtuBytes = own.links.get(device)?.mtuBytes ?? 0
        return {
          type: 'local',
          device,
          gateway: undefined,
          preferredSource: undefined,
          pathMtuBytes,
        }
      }
      const route = best(own, destination)
      if (route?.device === undefined || typeof route.type !== 'string') return undefined
      if (route.type !== 'unicast' && route.type !== 'local') return undefined
      const deviceMtuBytes = own.links.get(route.device)?.mtuBytes ?? 0
      const limit = own.learnedMtus.get(destination) ?? route.mtuBytes ?? deviceMtuBytes
      return {
        type: route.type,
        device: route.device,
        gateway: route.gateway,
        preferredSource: route.preferredSource,
        pathMtuBytes: Math.min(limit, deviceMtuBytes),
      }
    },
  }
}

export function fakeRules(own: FakeNamespace): KernelView['rules'] {
  return {
    list: ({ family, protocol } = {}) =>
      own.rules.filter(
        (rule) =>
          (family === undefined || rule.family === family) &&
          (protocol === undefined || rule.protocol === protocol),
      ),
    put(given) {
      const rule = asRule(given)
      if (own.rules.some((have) => sameRule(have, rule))) return
      own.rules = [...own.rules, rule].sort((a, b) => a.priority - b.priority)
      tell(own, { kind: 'rule', change: 'put' })
    },
    remove(given) {
      const rule = asRule(given)
      const gone = own.rules.find((have) => sameRule(have, rule))
      own.rules = own.rules.filter((have) => have !== gone)
      if (gone !== undefined) tell(own, { kind: 'rule', change: 'remove' })
    },
  }
}

export function fakeNeighbours(own: FakeNamespace): KernelView['neighbours'] {
  return {
    list: ({ device } = {}) =>
      own.neighbours.filter((each) => device === undefined || each.device === device),
    put(given) {
      const { operation } = putNeighbour(given)
      if (!own.links.has(given.device)) refuse(operation, 'ENODEV')
      const neighbour = { ...given, state: 'permanent' }
      own.neighbours = [
        ...own.neighbours.filter(
          ({ device, address }) => device !== given.device || address !== given.address,
        ),
        neighbour,
      ]
      tell(own, { kind: 'neighbour', change: 'put', neighbour })
    },
    remove(given) {
      const gone = own.neighbours.find(
        ({ device, address }) => device === given.device && address === given.address,
      )
      if (gone === undefined) return
      own.neighbours = own.neighbours.filter((each) => each !== gone)
      tell(own, { kind: 'neighbour', change: 'remove', neighbour: gone })
    },
  }
}

/** The route as a list shows it: what the real codec writes and reads back, with the kernel's own defaults. */
function asKernelReads(given: NewRoute): Route {
  const route = readRoute(putRoute(given).body)
  if (route === undefined) throw new Error('the codec cannot read its own route')
  return route.family === 6 && route.metric === 0 ? { ...route, metric: 1024 } : route
}

function asRule(given: NewRule): Rule {
  const rule = readRule(putRule(given).body)
  if (rule === undefined) throw new Error('the codec cannot read its own rule')
  // A mark without mask is compared whole.
  return rule.mark !== undefined && rule.mask === undefined ? { ...rule, mask: 0xffffffff } : rule
}

function sameRule(a: Rule, b: Rule): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** A table has one route to a destination at a metric. */
function samePlace(a: Route, b: Route): boolean {
  return a.destination === b.destination && a.table === b.table && a.metric === b.metric
}

function names(key: RouteKey, route: Route): boolean {
  return (
    key.destination === route.destination &&
    (key.table ?? MAIN) === route.table &&
    (key.metric === undefined || key.metric === route.metric) &&
    (key.device === undefined || key.device === route.device) &&
    (key.protocol === undefined || key.protocol === route.protocol)
  )
}

function reaches(own: FakeNamespace, gateway: string): boolean {
  if (gateway.startsWith('fe80:')) return true
  const onLink = own.routes.some(
    (route) =>
      route.gateway === undefined &&
      route.device !== undefined &&
      covers(route.destination, gateway),
  )
  return onLink || own.addresses.some((address) => covers(aroundAddress(address), gateway))
}

function best(own: FakeNamespace, destination: string): Route | undefined {
  return own.routes
    .filter((route) => route.table === MAIN && covers(route.destination, destination))
    .sort(
      (a, b) =>
        prefixLength(b.destination as Prefix) - prefixLength(a.destination as Prefix) ||
        a.metric - b.metric,
    )[0]
}

function aroundAddress({ address, prefixLength: length }: Address): string {
  return prefixAround(address as IP, length)
}

/** What stands in the fake went through the codec, so it is canonical. */
function covers(prefix: string, address: string): boolean {
  const canonical = prefix as Prefix
  const ip = address as IP
  return prefixFamily(canonical) === familyOf(ip) && prefixContains(canonical, ip)
}
