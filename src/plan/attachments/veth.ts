/**
 * An endpoint on a veth pair: the host's end joins the block where the datapath's program sits, the other
 * end is born inside the container. A packet of the container enters the program by the host's end; one
 * for the container is handed to its end directly and never seen by the host's stack.
 */

import type { Interior, Veth, Wanted } from '../../hoststate/state.ts'
import { FABRIC_MAC } from '../../hoststate/state.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import { bitsOf, type Family, familyOf, type IP } from '../../net/ip.ts'
import {
  type Prefix,
  parsePrefix,
  prefixAround,
  prefixContains,
  prefixFamily,
  prefixLength,
} from '../../net/prefix.ts'

/** Everything this host's kernel needs for a container of its own. */
export function planVeth(
  endpoint: Endpoint,
  network: Network,
  mtuBytes: number,
  softwareChecksums: boolean,
  resolvers: readonly IP[],
): readonly Wanted[] {
  return [
    planPair(endpoint, network, mtuBytes),
    ...planEntries(endpoint, network),
    planInterior(endpoint, network, mtuBytes, softwareChecksums, resolvers),
  ]
}

/** The pair itself. */
export function planPair(endpoint: Endpoint, network: Network, mtuBytes: number): Veth {
  return {
    kind: 'veth',
    name: endpoint.device,
    mac: FABRIC_MAC,
    mtuBytes,
    alias: `${network.name}/${endpoint.name ?? endpoint.id}`,
    sandbox: { path: endpoint.sandbox.path, inode: endpoint.sandbox.inode },
    peer: { name: endpoint.ifname, mac: endpoint.mac },
  }
}

/** What the datapath knows of an endpoint behind a pair: who may send by it, and where its addresses are. */
export function planEntries(endpoint: Endpoint, network: Network): readonly Wanted[] {
  return [
    {
      kind: 'device',
      device: endpoint.device,
      vni: network.vni,
      mac: endpoint.mac,
      addresses: endpoint.addresses,
      carrier: network.carrier,
    },
    ...endpoint.addresses.map(
      (address): Wanted => ({
        kind: 'endpoint',
        vni: network.vni,
        address,
        mac: endpoint.mac,
        at: { device: endpoint.device },
      }),
    ),
  ]
}

/**
 * All traffic goes by the gateway, whose MAC is the fabric's: one neighbour per container and family,
 * however many peers it talks to (the kernel's neighbour tables are bounded for all namespaces together).
 * Every prefix of the network has a route, so that it is reached by this interface whoever gives the default
 * route; an internal network gives none, but the way to where names are asked for.
 */
function planInterior(
  endpoint: Endpoint,
  network: Network,
  mtuBytes: number,
  softwareChecksums: boolean,
  resolvers: readonly IP[],
): Interior {
  const served = network.prefixes.flatMap((prefix, i) => {
    const gateway = network.gateways[i]
    const address = endpoint.addresses.find((each) => prefixContains(prefix, each))
    return gateway === undefined || address === undefined ? [] : [{ prefix, gateway, address }]
  })
  return {
    kind: 'interior',
    device: endpoint.device,
    sandbox: { path: endpoint.sandbox.path, inode: endpoint.sandbox.inode },
    ifname: endpoint.ifname,
    mac: endpoint.mac,
    mtuBytes,
    softwareChecksums,
    addresses: served.map(({ address, prefix }) => ({ address, length: prefixLength(prefix) })),
    neighbours: served.map(({ gateway }) => ({ address: gateway, mac: FABRIC_MAC })),
    routes: served.flatMap(({ prefix, gateway }) => {
      const metric = metricOf(endpoint.order, prefix)
      const near = network.prefixes.filter((each) => prefixFamily(each) === prefixFamily(prefix))
      const far = network.internal
        ? hostPrefixes(resolvers, prefixFamily(prefix))
        : [everything(prefix)]
      const destinations = [...near, ...far]
      return destinations.map((to) => ({ to, via: gateway, ...metric }))
    }),
  }
}

/** Routes of the first network have no metric of their own; IPv6 counts from the kernel's 1024. */
function metricOf(order: number, prefix: Prefix): { metric?: number } {
  if (order === 0) return {}
  return { metric: (prefixFamily(prefix) === 4 ? 0 : 1024) + 100 * order }
}

function hostPrefixes(addresses: readonly IP[], family: Family): readonly Prefix[] {
  return addresses
    .filter((address) => familyOf(address) === family)
    .map((address) => prefixAround(address, bitsOf(family)))
}

function everything(prefix: Prefix): Prefix {
  const text = prefixFamily(prefix) === 4 ? '0.0.0.0/0' : '::/0'
  const all = parsePrefix(text)
  if (all === undefined) throw new Error(`${text} does not parse`)
  return all
}
