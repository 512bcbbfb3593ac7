/**
 * Direct: packets travel between hosts of one segment as they are, addressed to the other host's MAC.
 * There is no outer header to tell networks apart, so a direct network's prefix is unique in the cluster,
 * and the segment is trusted as far as a peer's MAC can be (R31).
 */

import type { CarrierPlan } from './carrier.ts'

export const direct: CarrierPlan = { direct: true, overheadBytes: () => 0 }
