/**
 * VXLAN (RFC 7348): the whole inner frame travels in a UDP datagram between the hosts' underlay addresses.
 * A packet leaves by the program of its container's device, which writes the outer headers, and enters by
 * the program on the other host's underlay device, which takes them off.
 */

import type { CarrierPlan } from './carrier.ts'

/** Inner Ethernet 14, VXLAN 8, UDP 8, then IPv4 20 or IPv6 40. */
const INNER_BYTES = 14 + 8 + 8

export const vxlan: CarrierPlan = {
  direct: false,
  overheadBytes: (underlay) => INNER_BYTES + (underlay === 4 ? 20 : 40),
}
