/** An endpoint: one container's attachment to one network. Written by the host it lives on, only. */

import type { Family, IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Prefix } from '../net/prefix.ts'
import type { Delegate } from './cni.ts'

export const ATTACHMENTS = ['engine', 'held'] as const
/**
 * How an endpoint is attached, where it is not a veth into a namespace that is known. `engine`: the pair is
 * born with both ends in the host's namespace; a container engine moves, names and addresses the container's
 * end. `held`: its addresses are taken, and nothing stands in any kernel.
 */
export type Attachment = (typeof ATTACHMENTS)[number]

export interface Endpoint {
  readonly schema: 1
  readonly id: string
  readonly networkId: string
  readonly hostId: string
  /** One per family of the network's prefixes. */
  readonly addresses: readonly IP[]
  readonly mac: Mac
  /** Unique among the network's live endpoints; absent for anonymous ones. */
  readonly name?: string
  readonly labels: Readonly<Record<string, string>>
  /** Absent: a veth into `sandbox`. */
  readonly attachment?: Attachment
  /** NO_SANDBOX for an attachment that has none. */
  readonly sandbox: Sandbox
  /** Name of the interface inside the sandbox, or of an engine's end where it is born; empty when held. */
  readonly ifname: string
  /**
   * Rank among the endpoints of its sandbox: the lowest one that has a gateway gives the default route
   * (`routeMetric`).
   */
  readonly order: number
  /** Routes by the network's gateway, besides those to the network itself. */
  readonly routes?: readonly EndpointRoute[]
  /** Present: its gateway never gives the default route. */
  readonly defaultRoute?: false
  /** MTU of its interface, where that is less than the network's. */
  readonly mtuBytes?: number
  readonly bandwidth?: Bandwidth
  /** Name of the veth's end on the host; empty when held. */
  readonly device: string
  /** Small number, unique on the host while the endpoint lives: the datapath counts by it. 0 when held. */
  readonly number: number
  /** Present: its addresses are also this one's to take back. */
  readonly delegate?: Delegate
  /** Of an engine's endpoint: the run of the daemon that makes its pair, once. No other run makes it again. */
  readonly run?: string
  readonly createdAt: string
}

/** A route inside an endpoint's namespace, by the gateway of its network. */
export interface EndpointRoute {
  readonly to: Prefix
  /** Lower wins; absent: as the network's own routes have it. */
  readonly metric?: number
  /** Absent: main. */
  readonly table?: number
  /** Of packets that take it, where that is less than the interface's. */
  readonly mtuBytes?: number
  /** What TCP is to say it takes in one segment. linux/rtnetlink.h RTAX_ADVMSS */
  readonly advmssBytes?: number
}

/**
 * How an endpoint's routes rank among those of its sandbox, by its `order`: the first one's have no metric of their own,
 * and IPv6 counts from the kernel's 1024.
 */
export function routeMetric(order: number, family: Family): { readonly metric?: number } {
  return order === 0 ? {} : { metric: (family === 4 ? 0 : 1024) + 100 * order }
}

/** How much an endpoint may receive and send; a direction without a limit is absent. */
export interface Bandwidth {
  readonly toContainer?: RateLimit
  readonly fromContainer?: RateLimit
}

/** A token bucket: what passes in the long run, and what may pass at once after a rest. */
export interface RateLimit {
  readonly bitsPerSecond: number
  /** Absent: what the rate needs to be reached. */
  readonly burstBits?: number
}

/** Below it a packet takes seconds, above it nothing is limited. */
export const RATES = { leastBitsPerSecond: 8_000, mostBitsPerSecond: 1e15 } as const

/** The network namespace an endpoint lives in. */
export interface Sandbox {
  /** Path given by the user, or /proc/<pid>/ns/net. */
  readonly path: string
  /** Inode of the namespace when it was attached: a reused path or pid is seen (nsfs). */
  readonly inode: number
}

/** Of endpoints that live in no namespace that is known here. */
export const NO_SANDBOX: Sandbox = { path: '', inode: 0 }

/** What another host needs to know of an endpoint; the sandbox stays at home. */
export type PublishedEndpoint = Omit<Endpoint, 'sandbox' | 'device' | 'number' | 'run' | 'delegate'>
