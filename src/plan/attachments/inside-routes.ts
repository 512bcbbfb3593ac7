/** The routes of a container's interface: to its network, to everything, and those its endpoint asks for. */

import type { Interior } from '../../hoststate/state.ts'
import { type Endpoint, routeMetric } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import { bitsOf, type Family, familyOf, type IP } from '../../net/ip.ts'
import { everything, type Prefix, prefixAround, prefixFamily } from '../../net/prefix.ts'

type RouteInside = Interior['routes'][number]

/**
 * Every prefix of the network has a route, so that it is reached by this interface whoever gives the default
 * route; where none is given there is still the way to where names are asked for.
 */
export function insideRoutes(
  endpoint: Endpoint,
  network: Network,
  gateways: readonly { readonly prefix: Prefix; readonly gateway: IP }[],
  resolvers: readonly IP[],
): readonly RouteInside[] {
  const { order, routes = [] } = endpoint
  return gateways.flatMap(({ prefix, gateway }) => {
    const family = prefixFamily(prefix)
    const own = routes.filter(({ to }) => prefixFamily(to) === family)
    const near = network.prefixes.filter((each) => prefixFamily(each) === family)
    const far =
      network.internal || endpoint.defaultRoute === false
        ? hostPrefixes(resolvers, family)
        : [everything(family)]
    const metric = routeMetric(order, family)
    const plain = [...near, ...far]
      // What the endpoint says of the same destination comes in its place.
      .filter((to) => !own.some((route) => route.to === to && route.table === undefined))
      .map((to) => ({ to, via: gateway, ...metric }))
    return [...plain, ...own.map((route) => ({ via: gateway, ...metric, ...route }))]
  })
}

function hostPrefixes(addresses: readonly IP[], family: Family): readonly Prefix[] {
  return addresses
    .filter((address) => familyOf(address) === family)
    .map((address) => prefixAround(address, bitsOf(family)))
}
