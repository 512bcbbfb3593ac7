/** What a carrier means for the packets of a network: the same three answers for each of them. */

import type { Carrier } from '../../model/network.ts'
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

export function carrierPlan(carrier: Carrier): CarrierPlan {
  return CARRIER_PLANS[carrier]
}
