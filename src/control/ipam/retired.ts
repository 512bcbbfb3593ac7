/**
 * Subnets that a network had once: a host that has not heard of the removal must not claim anything of them.
 * The key is written with the removal and goes when the subnet is added again, or with the network.
 */

import { ipToHex } from '../../net/ip.ts'
import { type Prefix, prefixAddress, prefixLength } from '../../net/prefix.ts'
import { IPAM_ROOT } from './ipam-keys.ts'

export function retiredKey(networkId: string, prefix: Prefix): string {
  return `${retiredKeys(networkId)}${ipToHex(prefixAddress(prefix))}/${prefixLength(prefix)}`
}

/** Beginning of the keys of all subnets that the network had once. */
export function retiredKeys(networkId: string): string {
  return `${IPAM_ROOT}retired/${networkId}/`
}
