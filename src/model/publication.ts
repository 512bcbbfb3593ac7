/**
 * A published port, or a range of them: what arrives there at the host goes to one of its containers. Written
 * by the host the container lives on, only, and gone with the container's endpoint.
 */

import type { IP } from '../net/ip.ts'
import type { TransportProtocol } from '../net/protocol.ts'

export const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const satisfies readonly TransportProtocol[]

export const HIGHEST_PORT = 65_535

export interface Publication {
  readonly schema: 1
  readonly id: string
  readonly networkId: string
  readonly hostId: string
  readonly endpointId: string
  readonly protocol: TransportProtocol
  /** Absent: every address of the host, both families. */
  readonly hostAddress?: IP
  /** First of `count` ports of the host, 1 ... HIGHEST_PORT; chosen when the user left it open. */
  readonly hostPort: number
  /** First of `count` ports of the container: the n-th of the host leads to the n-th here. */
  readonly containerPort: number
  readonly count: number
  readonly createdAt: string
}
