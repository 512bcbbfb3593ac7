/** Who can reach a published port, in words for people. Pure. */

import { bracketed } from '../model/publication.ts'
import { type Family, familyOf, type IP } from '../net/ip.ts'

export interface ReachOptions {
  /** Absent: every address of the host. */
  readonly hostAddress?: IP | undefined
  /** Of the endpoint. */
  readonly addresses: readonly IP[]
  /** Name of the publishing host when it is another than the one that is asked. */
  readonly elsewhere?: string | undefined
  /** True for a network without a gateway: set after the port was published. */
  readonly internal: boolean
}

/** `any machine`, `any machine, only over IPv4`, `this host only`, `machines that reach 192.0.2.5`. */
export function reachText({ hostAddress, addresses, elsewhere, internal }: ReachOptions): string {
  if (internal) return 'nobody: the network is internal'
  const families = new Set(addresses.map(familyOf))
  if (families.size === 0) return 'nobody: the endpoint is gone'
  if (hostAddress === undefined) return `any machine${onlyOver(families)}`
  if (!families.has(familyOf(hostAddress))) return 'nobody: the endpoint has no such address'
  if (isEvery(hostAddress)) return `any machine${onlyOver(new Set([familyOf(hostAddress)]))}`
  if (isLoopback(hostAddress)) {
    return elsewhere === undefined ? 'this host only' : `host ${elsewhere} only`
  }
  if (isLinkLocal(hostAddress)) return `machines on the link of ${bracketed(hostAddress)}`
  return `machines that reach ${bracketed(hostAddress)}`
}

function onlyOver(families: ReadonlySet<Family>): string {
  if (families.size > 1) return ''
  return `, only over IPv${[...families].join()}`
}

/** Every address of one family. */
function isEvery(address: IP): boolean {
  return address === '0.0.0.0' || address === '::'
}

/** 127.0.0.0/8 and ::1. RFC 1122 §3.2.1.3, RFC 4291 §2.5.3 */
function isLoopback(address: IP): boolean {
  return address.startsWith('127.') || address === '::1'
}

/** 169.254.0.0/16 and fe80::/10. RFC 3927, RFC 4291 §2.5.6 */
function isLinkLocal(address: IP): boolean {
  return address.startsWith('169.254.') || /^fe[89ab]/.test(address)
}
