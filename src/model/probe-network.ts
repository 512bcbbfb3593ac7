/**
 * The network in which hosts probe their paths: packets between them take the way that containers' packets
 * take, so that what happens to them there is seen. It has no record: its number and addresses are fixed.
 */

import type { IP } from '../net/ip.ts'
import { addressAt, type Prefix, parsePrefix } from '../net/prefix.ts'

/** The last but one; the counter from which networks are numbered does not get there. RFC 7348 §5 */
export const PROBE_VNI = 0xfffffe

/** Where every host answers, by UDP and TCP; at its underlay addresses too, for ways without an outer header. */
export const PROBE_PORT = 7442

/** A range of our own among unique local addresses. RFC 4193 */
export const PROBE_PREFIX: Prefix = probePrefix()

/** The address of the host with this index in the network. */
export function probeAddress(hostIndex: number): IP {
  const address = addressAt(PROBE_PREFIX, BigInt(hostIndex))
  if (address === undefined) throw new Error(`no address in ${PROBE_PREFIX} for host ${hostIndex}`)
  return address
}

function probePrefix(): Prefix {
  const prefix = parsePrefix('fd3b:ca44:1c00::/64')
  if (prefix === undefined) throw new Error('the prefix of the probes does not parse')
  return prefix
}
