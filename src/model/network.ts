/** A network: an isolated address space with IPv4 and/or IPv6 prefixes, known on the wire by its VNI. */

import type { IP } from '../net/ip.ts'
import type { Prefix } from '../net/prefix.ts'
import type { DockerSide } from './engine-network.ts'
import type { Forced } from './overlap.ts'

export const CARRIERS = ['auto', 'vxlan', 'direct', 'local'] as const
/**
 * How packets reach another host. `auto` chooses per peer: direct where both hosts share a segment,
 * vxlan elsewhere. `local` never leaves its host.
 */
export type Carrier = (typeof CARRIERS)[number]

export const OPENINGS = ['metadata', 'host-loopback'] as const
/**
 * What is closed to containers unless asked for: `metadata` the cloud's address 169.254.169.254 (and
 * fd00:ec2::254), `host-loopback` services that listen on the host's loopback.
 */
export type Opening = (typeof OPENINGS)[number]

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
  /** True: no gateway, nothing goes out and nothing comes in. */
  readonly internal: boolean
  /** False: addresses of containers are seen outside as they are, and the world outside routes to them. */
  readonly masquerade: boolean
  /** What is opened to its containers, each at most once, in the order of OPENINGS. */
  readonly open: readonly Opening[]
  /**
   * Only while the carrier changes: the carrier whose packets are accepted besides those of `carrier`, so
   * that a receiver takes what a sender may already, or may still, send.
   */
  readonly alsoAccepts?: Carrier
  /** Present when its prefixes overlapped something and it was wanted all the same. */
  readonly forced?: Forced
  /** Present when it is to appear on the engines of all members. */
  readonly docker?: DockerSide
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: string
}
