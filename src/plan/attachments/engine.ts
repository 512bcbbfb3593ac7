/**
 * An endpoint whose container's end a container engine takes: both ends of the pair are born in the host's
 * namespace. The engine moves that end into the container, names, addresses and raises it, and gives it back
 * before it asks for its removal. Packets go the same way as those of any other pair.
 */

import type { Veth, Wanted } from '../../hoststate/state.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import type { Network } from '../../model/network.ts'
import { planEntries, planPair } from './veth.ts'

/** Everything this host's kernel needs for an endpoint of its engine: nothing inside the container. */
export function planEngine(
  endpoint: Endpoint,
  network: Network,
  mtuBytes: number,
  softwareChecksums: boolean,
): readonly Wanted[] {
  const pair: Veth = {
    ...planPair(endpoint, network, mtuBytes),
    engine: { run: endpoint.run ?? '', softwareChecksums },
  }
  return [pair, ...planEntries(endpoint, network)]
}
