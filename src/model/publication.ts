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
  /** Absent: every address of the host, both families; `0.0.0.0` or `::`: every one of that family. */
  readonly hostAddress?: IP
  /** First of `count` ports of the host, 1 ... HIGHEST_PORT; chosen when the user left it open. */
  readonly hostPort: number
  /** First of `count` ports of the container: the n-th of the host leads to the n-th here. */
  readonly containerPort: number
  readonly count: number
  readonly createdAt: string
}

/** Ports of a host in one protocol, on one address or on every one. */
export interface HostPortRange {
  readonly protocol: string
  readonly hostAddress?: string | undefined
  readonly hostPort: number
  readonly count: number
}

/** True when something that arrives at the host could belong to either. */
export function hostPortsOverlap(a: HostPortRange, b: HostPortRange): boolean {
  if (a.protocol !== b.protocol) return false
  return (
    addressesMeet(a.hostAddress, b.hostAddress) &&
    a.hostPort < b.hostPort + b.count &&
    b.hostPort < a.hostPort + a.count
  )
}

/** True when both could mean one address of a host; undefined means every one. */
export function addressesMeet(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || a === b) return true
  if (a.includes(':') !== b.includes(':')) return false
  return [a, b].some((each) => each === '0.0.0.0' || each === '::')
}

/** As people write them: `8080/tcp`, `127.0.0.1:5353/udp`, `[2001:db8::1]:9000-9002/tcp`. */
export function hostPortsText({ protocol, hostAddress, hostPort, count }: HostPortRange): string {
  const address = hostAddress === undefined ? '' : `${bracketed(hostAddress)}:`
  return `${address}${portsText(hostPort, count)}/${protocol}`
}

/** `80`, or `9000-9002` for three. */
export function portsText(first: number, count: number): string {
  return count === 1 ? `${first}` : `${first}-${first + count - 1}`
}

/** An address before a port: an IPv6 one needs brackets. RFC 3986 §3.2.2 */
export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
