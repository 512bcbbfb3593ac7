/**
 * Auto: per peer, direct where both hosts share a segment, VXLAN elsewhere. The MTU is that of VXLAN, so
 * that a container need not know where its peer lives.
 */

import type { CarrierPlan } from './carrier.ts'
import { vxlan } from './vxlan.ts'

export const auto: CarrierPlan = { direct: true, overheadBytes: vxlan.overheadBytes }
