/**
 * The result of an ADD, from the endpoint as it stands: the gateway's device first, where other plug-ins look for a
 * bridge, then the host's end of the pair, then the container's interface, to which all addresses point.
 */

import type { KernelShapes } from '../../control/sandbox-view.ts'
import { type Endpoint, routeMetric } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import { familyOf, type IP } from '../../net/ip.ts'
import { everything, prefixContains, prefixFamily, prefixLength } from '../../net/prefix.ts'
import type { CniAddress, CniDns, CniInterface, CniResult, CniRoute } from './result.ts'
import { NO_DNS } from './result.ts'

/** `netns` is CNI_NETNS byte for byte; `dns` what was asked for, else our resolver answers. */
export function attachedResult(
  endpoint: Endpoint,
  network: Network,
  shapes: KernelShapes,
  { netns, dns }: { readonly netns: string; readonly dns: CniDns | undefined },
): CniResult {
  const { gateway, mtuBytes, hostMac } = shapes.shapeOf(endpoint, network)
  const { device, ifname, mac } = endpoint
  const onHost: readonly CniInterface[] = [
    ...(gateway === undefined ? [] : [{ name: gateway.device, mac: gateway.mac }]),
    { name: device, mac: hostMac, mtuBytes },
  ]
  const ips = addressesOf(endpoint, network, onHost.length)
  return {
    interfaces: [...onHost, { name: ifname, mac, mtuBytes, sandbox: netns }],
    ips,
    routes: routesOf(endpoint, network, ips),
    dns: dns ?? ownDns(endpoint, shapes.resolvers),
  }
}

function addressesOf(
  { addresses }: Endpoint,
  network: Network,
  index: number,
): readonly CniAddress[] {
  return addresses.flatMap((address): readonly CniAddress[] => {
    const at = network.prefixes.findIndex((prefix) => prefixContains(prefix, address))
    const [prefix, gateway] = [network.prefixes[at], network.gateways[at]]
    if (prefix === undefined) return []
    return [
      {
        address,
        length: prefixLength(prefix),
        ...(gateway === undefined || network.internal ? {} : { gateway }),
        interface: index,
      },
    ]
  })
}

/** The default routes and those the endpoint has besides; that its own network is near goes without saying. */
function routesOf(
  { defaultRoute, routes = [], order }: Endpoint,
  { internal }: Network,
  ips: readonly CniAddress[],
): readonly CniRoute[] {
  return ips.flatMap(({ address, gateway }): readonly CniRoute[] => {
    if (gateway === undefined) return []
    const family = familyOf(address)
    const rank = routeMetric(order, family)
    const own = routes
      .filter(({ to }) => prefixFamily(to) === family)
      .map(({ metric = rank.metric, ...route }): CniRoute => {
        return { ...route, via: gateway, ...(metric === undefined ? {} : { priority: metric }) }
      })
    const all = everything(family)
    const given = own.some(({ to, table }) => to === all && table === undefined)
    if (internal || defaultRoute === false || given) return own
    const priority = rank.metric === undefined ? {} : { priority: rank.metric }
    return [{ to: all, via: gateway, ...priority }, ...own]
  })
}

/** Our resolver, by which containers find each other, at the addresses that the endpoint can reach. */
function ownDns({ addresses }: Endpoint, resolvers: readonly IP[]): CniDns {
  const families = new Set(addresses.map(familyOf))
  return { ...NO_DNS, nameservers: resolvers.filter((each) => families.has(familyOf(each))) }
}
