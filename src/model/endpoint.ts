/** An endpoint: one container's attachment to one network. Written by the host it lives on, only. */

import type { IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'

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
  readonly sandbox: Sandbox
  /** Name of the interface inside the sandbox. */
  readonly ifname: string
  /**
   * Rank among the endpoints of its sandbox: the lowest one that has a gateway gives the default route.
   * A route of rank 0 has no metric of its own; n > 0 has 100·n (IPv4) or 1024 + 100·n (IPv6).
   */
  readonly order: number
  /** Name of the veth's end on the host. */
  readonly device: string
  /** Small number, unique on the host while the endpoint lives: the datapath counts by it. */
  readonly number: number
  readonly createdAt: string
}

/** The network namespace an endpoint lives in. */
export interface Sandbox {
  /** Path given by the user, or /proc/<pid>/ns/net. */
  readonly path: string
  /** Inode of the namespace when it was attached: a reused path or pid is seen (nsfs). */
  readonly inode: number
}

/** What another host needs to know of an endpoint; the sandbox stays at home. */
export type PublishedEndpoint = Omit<Endpoint, 'sandbox' | 'device' | 'number'>
