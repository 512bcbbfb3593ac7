/**
 * Addresses that users give to a container beside those of its network, and that mean something on its link only:
 * of 169.254/16 and fe80::/10 (RFC 3927, RFC 4291 §2.5.6). They stand in a label of its endpoint, on every host.
 */

import { familyOf, type IP, ipBytes, ipFromBytes, parseIP } from '../net/ip.ts'
import { type Mac, macBytes } from '../net/mac.ts'
import type { PublishedEndpoint } from './endpoint.ts'
import { ENGINE_LABELS } from './engine-network.ts'
import { RESOLVER4 } from './resolver.ts'

/** Where clouds answer questions about the machine. */
const METADATA4 = '169.254.169.254'

/** Undefined for what is none, or not a container's to have. */
export function parseLinkLocal(text: string): IP | undefined {
  const address = parseIP(text)
  if (address === undefined || address === METADATA4 || address === RESOLVER4) return undefined
  const [first = 0, second = 0] = ipBytes(address)
  const isLinkLocal =
    familyOf(address) === 4
      ? first === 169 && second === 254
      : first === 0xfe && (second & 0xc0) === 0x80
  return isLinkLocal ? address : undefined
}

/** Those that the endpoint was given. */
export function linkLocalsOf({ labels }: Pick<PublishedEndpoint, 'labels'>): readonly IP[] {
  const text = labels[ENGINE_LABELS.linkLocal]
  if (text === undefined) return []
  return [...new Set(text.split(',').flatMap((one) => parseLinkLocal(one) ?? []))]
}

/** Every address at which the endpoint is reached in its network, those of the network first. */
export function reachedAt(
  endpoint: Pick<PublishedEndpoint, 'labels' | 'addresses' | 'mac'>,
): readonly IP[] {
  const given = linkLocalsOf(endpoint)
  if (given.length === 0) return endpoint.addresses
  // Its kernel answers from the one that it chose.
  const chosen = given.some((each) => familyOf(each) === 6) ? [linkLocalFor(endpoint.mac)] : []
  return [...new Set([...endpoint.addresses, ...given, ...chosen])]
}

/** The one that a kernel gives to an interface by itself, and prefers as a source. RFC 4291, appendix A */
function linkLocalFor(mac: Mac): IP {
  const bytes = new Uint8Array(16)
  bytes.set([0xfe, 0x80])
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac)
  bytes.set([a ^ 2, b, c, 0xff, 0xfe, d, e, f], 8)
  return ipFromBytes(bytes)
}
