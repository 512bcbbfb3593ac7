/** Keys by which hosts ask each other for addresses and recover from a restored store. One watch sees them all. */

import { keys, ROOT } from '../../model/keys.ts'
import { type IP, ipFromNumber, ipToHex, parseIP } from '../../net/ip.ts'
import { type Prefix, parsePrefix } from '../../net/prefix.ts'

export const IPAM_ROOT = `${ROOT}ipam/`

export const ipamKeys = {
  /** "May I have this address of your block?" Hangs on a lease of the asker. */
  addressRequest: (networkId: string, address: IP) =>
    `${IPAM_ROOT}address-requests/${networkId}/${ipToHex(address)}`,
  addressRequests: (networkId: string) => `${IPAM_ROOT}address-requests/${networkId}/`,
  /** "Who can spare a block?" Hangs on a lease of the asker. */
  blockRequest: (networkId: string, hostId: string) =>
    `${IPAM_ROOT}block-requests/${networkId}/${hostId}`,
  blockRequests: (networkId: string) => `${IPAM_ROOT}block-requests/${networkId}/`,
  /** While present, the store is known to have gone back in time, and nobody claims anything new. */
  restoreOpen: `${IPAM_ROOT}restore/open`,
  restore: `${IPAM_ROOT}restore/`,
  restoreDone: (hostId: string) => `${IPAM_ROOT}restore/done/${hostId}`,
} as const

export interface AddressRequest {
  readonly schema: 1
  readonly networkId: string
  readonly address: IP
  readonly hostId: string
  readonly endpointId: string
  readonly name?: string
  /** Why the owner does not grant it; absent while it has not answered. */
  readonly refused?: string
}

export interface BlockRequest {
  readonly schema: 1
  readonly networkId: string
  readonly hostId: string
}

/** The block a block key stands for; undefined for other keys. */
export function blockOfKey(networkId: string, key: string): Prefix | undefined {
  const root = keys.blocks(networkId)
  if (!key.startsWith(root)) return undefined
  const [hex = '', length = ''] = key.slice(root.length).split('/')
  const address = addressOfHex(hex)
  return address === undefined ? undefined : parsePrefix(`${address}/${length}`)
}

/** The address an address key stands for; undefined for other keys. */
export function addressOfKey(networkId: string, key: string): IP | undefined {
  const root = keys.addresses(networkId)
  return key.startsWith(root) ? addressOfHex(key.slice(root.length)) : undefined
}

function addressOfHex(text: string): IP | undefined {
  const match = /^([46]):([0-9a-f]{8}|[0-9a-f]{32})$/.exec(text)
  if (match?.[2] === undefined) return undefined
  const family = match[1] === '4' ? 4 : 6
  if ((match[2].length === 8) !== (family === 4)) return undefined
  return parseIP(ipFromNumber(BigInt(`0x${match[2]}`), family))
}
