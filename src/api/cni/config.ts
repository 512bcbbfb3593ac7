/**
 * Standard input of a call: the plug-in's object of the list with what the runtime put into it. Names of keys are
 * read as Go does, the exact one first and then in any case: containerd and Nomad capitalise theirs. What is not
 * known is let through.
 */

import type { CniVersion } from '../../cni/exchange.ts'
import type { IP } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { Prefix } from '../../net/prefix.ts'
import type { Pod } from './arguments.ts'
import type { CniDns, CniResult, CniRoute } from './result.ts'

/** What every verb but VERSION has: checked in the order of the reference plug-ins. */
export interface CniConfig {
  readonly cniVersion: CniVersion
  /** Name of the CNI network: with container and interface it makes the attachment. */
  readonly name: string
  /** Name or id of ours: key `network`, else the CNI network's name. */
  readonly network: string
  /** The IPAM plug-in that gives the addresses; absent: we do. */
  readonly delegate: string | undefined
  /** The whole object as it came, for delegates and for the readers below. */
  readonly object: Readonly<Record<string, unknown>>
}

/** What an ADD asks for, all precedence applied: runtimeConfig, args.cni, CNI_ARGS, configuration. */
export interface CniAttach {
  readonly addresses: readonly RequestedAddress[]
  /** Each inner list: one address from any of its ranges. */
  readonly ipRanges: readonly (readonly AddressRange[])[]
  readonly mac: Mac | undefined
  readonly aliases: readonly string[]
  readonly portMappings: readonly PortMapping[]
  /** Undefined: nobody said anything. */
  readonly dns: CniDns | undefined
  readonly bandwidth: Bandwidth
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly pod: Pod
  readonly mtuBytes: number | undefined
  /** False: only the network's own prefixes and `routes` lead through it. Undefined: as we decide. */
  readonly isDefaultGateway: boolean | undefined
  readonly ipMasq: boolean | undefined
  readonly hairpinMode: boolean | undefined
  readonly isGateway: boolean | undefined
  /** Routes besides the network's own: keys `routes` and `ipam.routes`. */
  readonly routes: readonly CniRoute[]
  readonly previous: CniResult | undefined
}

export interface RequestedAddress {
  readonly address: IP
  /** Where one was given; otherwise the pool's. */
  readonly length?: number
}

export interface AddressRange {
  readonly subnet: Prefix
  readonly first?: IP
  readonly last?: IP
  readonly gateway?: IP
}

export interface PortMapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** Absent: every address of the host. */
  readonly hostIp?: IP
}

/** Absent: without limit. */
export interface Bandwidth {
  readonly toContainer?: RateLimit
  readonly fromContainer?: RateLimit
}

export interface RateLimit {
  readonly bitsPerSecond: number
  /** Undefined: without limit, or nothing was said. */
  readonly burstBits?: number
}

/** One of the attachments that GC must keep. */
export interface Attachment {
  readonly containerId: string
  readonly ifname: string
}
