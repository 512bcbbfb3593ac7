/** Our table as a whole, and where names are asked for. Elements that one gateway or port needs are their own kinds. */

import type { IP } from '../net/ip.ts'

/**
 * Our table without its elements: the belt (R7), by which packets of endpoint devices never reach the host's
 * own stack, and what may pass between networks and the outside.
 */
export interface Ruleset {
  readonly kind: 'ruleset'
  readonly table: string
  readonly endpointGroup: number
  /** Our bits of the packet mark; see `packetMarks()`. */
  readonly packetMarkMask: number
  readonly vxlanPort: number
  /** True while some network here has an index, because another with an overlapping prefix came first. */
  readonly indexed: boolean
  /** Absent: names are not served. */
  readonly resolver?: ResolverDoors
}

/** Where questions for names go that come from no network. */
export interface ResolverDoors {
  /** At most one per family, on a device of ours. */
  readonly addresses: readonly IP[]
  /** What arrives at port 53 goes to this one. */
  readonly port: number
  /** Devices from which nobody is answered. */
  readonly closed: readonly string[]
}

/** The pair with the resolver's addresses on `device`, each by itself: /32 and /128. */
export interface ResolverDevice {
  readonly kind: 'resolver-device'
  readonly device: string
  readonly peer: string
  readonly addresses: readonly IP[]
}
