/** What stands in the kernel of an endpoint of this host: read for those who ask, never for decisions. */

import type { Endpoint } from '../model/endpoint.ts'
import type { Network } from '../model/network.ts'
import type { IP } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Prefix } from '../net/prefix.ts'

export interface Inspector {
  /**
   * Looks into a namespace, as it is now. Throws `not-found` when nothing is at the path, `invalid` when it is
   * no network namespace.
   */
  inspect(netns: string, ifname: string): SandboxView
  /** True when the path leads to the namespace this daemon lives in. */
  isOwn(netns: string): boolean
  /** True when neither the endpoint's namespace is at its path nor its pair on this host: nobody uses it any more. */
  isLost(endpoint: Pick<Endpoint, 'sandbox' | 'device'>): boolean
}

export interface SandboxView {
  /** Of the namespace (nsfs). */
  readonly inode: number
  /** The interface of that name; undefined when there is none. */
  readonly link: LinkView | undefined
}

export interface LinkView {
  /** Undefined where it is not one of six bytes. */
  readonly mac: Mac | undefined
  readonly mtuBytes: number
  readonly up: boolean
  readonly addresses: readonly { readonly address: IP; readonly length: number }[]
  /** By this interface, of all tables and whoever made them; without those of the tables of local addresses. */
  readonly routes: readonly {
    readonly to: Prefix
    readonly via: IP | undefined
    readonly table: number
  }[]
}

/** What the plan makes of an endpoint, where that follows from more than its record. */
export interface KernelShapes {
  shapeOf(endpoint: Pick<Endpoint, 'mtuBytes'>, network: Network): EndpointShape
  /** Where containers of every network ask for names; empty: they are not served. */
  readonly resolvers: readonly IP[]
}

export interface EndpointShape {
  /** Of the container's interface. */
  readonly mtuBytes: number
  /** MAC of the host's end of its pair. */
  readonly hostMac: Mac
  /** The device by which the host's own stack reaches the network; undefined where there is none. */
  readonly gateway: { readonly device: string; readonly mac: Mac } | undefined
}
