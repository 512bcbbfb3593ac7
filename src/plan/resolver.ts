/**
 * Where names are asked for: one address per family for the whole cluster, which every host has on a device of
 * its own. What a network's containers ask is led to a port of the network's own, since equal networks cannot
 * be told apart by addresses (R20); everybody else's questions go to a port that knows no network.
 */

import type { ResolverDoors } from '../hoststate/ruleset.ts'
import type { Wanted } from '../hoststate/state.ts'
import { MARK } from '../hoststate/state.ts'
import type { Network } from '../model/network.ts'
import type { IP } from '../net/ip.ts'

/** Below what Linux gives to clients (ip_local_port_range), and nobody's in the registry. */
const FIRST_PORT = 24_053
/** As many networks as may have a gateway here. */
const PORTS = 4_096

/** The port of those who ask from no network. */
export const RESOLVER_PORT = FIRST_PORT

/**
 * The port of each network, by its id: made of its VNI, so that coming and going of one seldom concerns
 * another. More networks than ports are left out.
 */
export function resolverPorts(
  networks: Iterable<Pick<Network, 'id' | 'vni'>>,
): ReadonlyMap<string, number> {
  const taken = new Set<number>()
  const ports = new Map<string, number>()
  for (const { id, vni } of [...networks].sort((a, b) => a.vni - b.vni)) {
    for (let step = 0; step < PORTS; step++) {
      const port = FIRST_PORT + 1 + ((vni + step) % PORTS)
      if (taken.has(port)) continue
      taken.add(port)
      ports.set(id, port)
      break
    }
  }
  return ports
}

/** The device that has the addresses; nothing where names are not served. */
export function planResolver(addresses: readonly IP[]): readonly Wanted[] {
  if (addresses.length === 0) return []
  const { resolverDevice: device, resolverPeer: peer } = MARK
  return [{ kind: 'resolver-device', device, peer, addresses }]
}

/** What the table does with questions from elsewhere; those from other hosts are none of ours. */
export function resolverDoors(
  addresses: readonly IP[],
  underlayDevices: readonly string[],
): { readonly resolver?: ResolverDoors } {
  if (addresses.length === 0) return {}
  return { resolver: { addresses, port: RESOLVER_PORT, closed: underlayDevices } }
}

/** The network's own door, where names are served and a port is left for it. */
export function resolverOf(
  addresses: readonly IP[],
  port: number | undefined,
): { readonly resolver?: { readonly addresses: readonly IP[]; readonly port: number } } {
  return addresses.length === 0 || port === undefined ? {} : { resolver: { addresses, port } }
}
