/**
 * An endpoint on a veth pair: the host's end joins the block where the datapath's program sits, the other
 * end is born inside the container. A packet of the container enters the program by the host's end; one
 * for the container is handed to its end directly and never seen by the host's stack.
 */

import type { Interior, Veth, Wanted } from '../../hoststate/state.ts'
import { FABRIC_MAC } from '../../hoststate/state.ts'
import { CNI_LABELS } from '../../model/cni.ts'
import type { Endpoint, RateLimit } from '../../model/endpoint.ts'
import { reachedAt } from '../../model/link-local.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import { prefixContains, prefixLength } from '../../net/prefix.ts'
import { insideRoutes } from './inside-routes.ts'
import { planShaping } from './shaping.ts'

/** Everything this host's kernel needs for a container of its own. */
export function planVeth(
  endpoint: Endpoint,
  network: Network,
  mtuBytes: number,
  softwareChecksums: boolean,
  resolvers: readonly IP[],
): readonly Wanted[] {
  const ownMtuBytes = endpointMtuBytes(endpoint, mtuBytes)
  const { toContainer, fromContainer } = endpoint.bandwidth ?? {}
  return [
    withShaping(planPair(endpoint, network, ownMtuBytes), toContainer),
    ...planEntries(endpoint, network, toContainer !== undefined),
    withShaping(
      planInterior(endpoint, network, ownMtuBytes, softwareChecksums, resolvers),
      fromContainer,
    ),
  ]
}

function withShaping<T extends Veth | Interior>(end: T, limit: RateLimit | undefined): T {
  return limit === undefined ? end : { ...end, shaping: planShaping(limit, end.mtuBytes) }
}

/** What the endpoint asks for, as far as the network carries it. */
export function endpointMtuBytes(
  { mtuBytes }: Pick<Endpoint, 'mtuBytes'>,
  networkMtuBytes: number,
): number {
  return Math.min(mtuBytes ?? networkMtuBytes, networkMtuBytes)
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

/**
 * What the datapath knows of an endpoint behind a pair: who may send by it, and where its addresses are. With
 * `shaped` packets to it wait at the pair's end on the host.
 */
export function planEntries(
  endpoint: Endpoint,
  network: Network,
  shaped = false,
): readonly Wanted[] {
  const at = { device: endpoint.device, ...(shaped ? { shaped } : {}) }
  return [
    {
      kind: 'device',
      device: endpoint.device,
      vni: network.vni,
      mac: endpoint.mac,
      addresses: endpoint.addresses,
      carrier: network.carrier,
    },
    ...reachedAt(endpoint).map(
      (address): Wanted => ({
        kind: 'endpoint',
        vni: network.vni,
        address,
        mac: endpoint.mac,
        at,
      }),
    ),
  ]
}

/**
 * All traffic goes by the gateway, whose MAC is the fabric's: one neighbour per container and family,
 * however many peers it talks to (the kernel's neighbour tables are bounded for all namespaces together).
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
    routes: insideRoutes(endpoint, network, served, resolvers),
    ...(endpoint.labels[CNI_LABELS.container] === undefined ? {} : { tunable: true }),
  }
}
