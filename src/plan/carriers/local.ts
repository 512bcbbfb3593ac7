/** Local: the network exists on each host by itself; nothing leaves the host. */

import type { CarrierPlan } from './carrier.ts'

export const local: CarrierPlan = { direct: false, overheadBytes: () => 0 }
