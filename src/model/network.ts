/** A network: an isolated address space with IPv4 and/or IPv6 prefixes, known on the wire by its VNI. */

import type { IP } from '../net/ip.ts'
import type { Prefix } from '../net/prefix.ts'

export const CARRIERS = ['auto', 'vxlan', 'direct', 'local'] as const
/**
 * How packets reach another host. `auto` chooses per peer: direct where both hosts share a segment,
 * vxlan elsewhere. `local` never leaves its host.
 */
export type Carrier = (typeof CARRIERS)[number]

export interface Network {
  readonly schema: 1
  /** Immutable and never used again; the name is only an index (R6). */
  readonly id: string
  readonly name: string
  /** VXLAN network identifier, 1 ... 2^24-1, from a counter that only grows (R6). */
  readonly vni: number
  readonly prefixes: readonly Prefix[]
  /** One per prefix, same order: the anycast gateway every host answers for (R4). */
  readonly gateways: readonly IP[]
  readonly carrier: Carrier
  /** MTU wanted inside the containers; absent: the underlay's less the carrier's overhead. */
  readonly mtuBytes?: number
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: string
}
