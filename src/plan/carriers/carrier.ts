/** What a carrier means for the packets of a network: the same three answers for each of them. */

import type { Carrier, Network } from '../../model/network.ts'
import type { Family } from '../../net/ip.ts'
import { auto } from './auto.ts'
import { direct } from './direct.ts'
import { local } from './local.ts'
import { vxlan } from './vxlan.ts'

export interface CarrierPlan {
  /** May packets leave this host as they are? */
  readonly direct: boolean
  /** Bytes that the outer headers take from the underlay's MTU. */
  overheadBytes(underlay: Family): number
}

const CARRIER_PLANS: Readonly<Record<Carrier, CarrierPlan>> = { auto, direct, local, vxlan }

/**
 * The carriers that concern a network: its own, and while that changes the one that is still, or already,
 * accepted beside it.
 */
export function carriersOf({
  carrier,
  alsoAccepts,
}: Pick<Network, 'carrier' | 'alsoAccepts'>): readonly Carrier[] {
  return alsoAccepts === undefined ? [carrier] : [carrier, alsoAccepts]
}

/** True when packets of the network may arrive as they are. */
export function acceptsDirect(network: Network): boolean {
  return carriersOf(network).some((carrier) => CARRIER_PLANS[carrier].direct)
}

/** True when packets of the network may arrive from other hosts at all. */
export function acceptsRemote(network: Network): boolean {
  return carriersOf(network).some((carrier) => carrier !== 'local')
}

export function carrierPlan(carrier: Carrier): CarrierPlan {
  return CARRIER_PLANS[carrier]
}
