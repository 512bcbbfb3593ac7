/**
 * A network's gateway on a host, as plain data: its device, what the datapath and our table know of it, routes
 * and rules of the host into networks, and what keeps the way closed or open for all of them.
 */

import type { Family, IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Prefix } from '../net/prefix.ts'
import type { Carrier } from './state.ts'

/**
 * The pair between a network and this host's own stack. What containers send to the outside comes in by
 * `device`, as if from a wire, and what the stack sends into it is taken by the program of the block that all
 * such devices share. `peer` idles: a veth has two ends.
 */
export interface Gateway {
  readonly kind: 'gateway'
  readonly device: string
  readonly peer: string
  readonly mac: Mac
  readonly mtuBytes: number
  /** Readable name. */
  readonly alias: string
  /** On the device, each by itself: /32 and /128. */
  readonly addresses: readonly IP[]
  /** True where checksums left to the hardware arrive wrong: the host's kernel sums up itself. */
  readonly softwareChecksums: boolean
  /** True where containers may reach what listens on the host's loopback (IPv4). */
  readonly loopback: boolean
}

/** Which network the host's stack sends into by a gateway device. */
export interface GatewayEntry {
  readonly kind: 'gateway-entry'
  readonly device: string
  readonly vni: number
  readonly carrier: Carrier
  readonly mtuBytes: number
  /** Of each family, IPv4 first, the smallest prefix with all of the network's. */
  readonly around: readonly Prefix[]
}

/** The elements of our table that one gateway needs: what may pass it, and under which addresses. */
export interface GatewayRules {
  readonly kind: 'gateway-rules'
  readonly device: string
  /** Not 0 when another network here has addresses of this one. */
  readonly index: number
  readonly packetMarkMask: number
  /** Those of the device. */
  readonly addresses: readonly IP[]
  /** At most one per family: the source of what came in by a gateway and leaves by this one. */
  readonly hairpin: readonly IP[]
  /** All of the network. */
  readonly prefixes: readonly Prefix[]
  /** Those whose addresses are known outside: neither translated nor closed. */
  readonly routed: readonly Prefix[]
  /** Where the network's containers are answered when they ask for names. */
  readonly resolver?: { readonly addresses: readonly IP[]; readonly port: number }
  /** Nothing but questions for names, and their answers, may pass. */
  readonly internal?: true
  /** What is sent to the gateway's address goes to the host's loopback. */
  readonly loopback?: true
}

/** A route of the host itself into a network. */
export interface HostRoute {
  readonly kind: 'host-route'
  readonly prefix: Prefix
  readonly table: number
  readonly device: string
  /** What the host's own packets have for source. */
  readonly source?: IP
}

/** What our table has not looked at goes nowhere: packets that carry any of these bits of the mark. */
export interface Closing {
  readonly kind: 'closing'
  readonly mark: number
}

/** Which packets ask another routing table than the main one. */
export interface HostRule {
  readonly kind: 'host-rule'
  readonly family: Family
  readonly priority: number
  readonly mark?: number
  readonly mask?: number
  /** Of sockets bound to this device. */
  readonly outputDevice?: string
  readonly table: number
}

/**
 * Packets that come in by any device may be sent on, into networks only: the way between other devices stays
 * closed where it was closed before (R18).
 */
export interface Forwarding {
  readonly kind: 'forwarding'
  readonly families: readonly Family[]
  /** The stack's own answers (errors, resets) carry the mark of what they answer. */
  readonly reflectMarks: boolean
}
