/**
 * Where each record lives in the shared store, and whose it is. Addresses stand in fixed-width hexadecimal
 * so that "nothing inside this block" is one comparison over a range of keys (R5).
 */

import { type IP, ipFromNumber, ipToHex } from '../net/ip.ts'
import {
  type Prefix,
  prefixAddress,
  prefixFamily,
  prefixLength,
  prefixRange,
} from '../net/prefix.ts'

export const ROOT = '/carrick/'

export const keys = {
  cluster: `${ROOT}cluster`,
  counter: (name: 'vni' | 'host-index') => `${ROOT}counters/${name}`,
  host: (hostId: string) => `${ROOT}hosts/${hostId}`,
  hostName: (name: string) => `${ROOT}host-names/${name}`,
  alive: (hostId: string) => `${ROOT}alive/${hostId}`,
  facts: (hostId: string) => `${ROOT}facts/${hostId}`,
  status: (hostId: string) => `${ROOT}status/${hostId}`,
  network: (networkId: string) => `${ROOT}networks/${networkId}`,
  networkName: (name: string) => `${ROOT}network-names/${name}`,
  block: (networkId: string, prefix: Prefix) =>
    `${ROOT}blocks/${networkId}/${ipToHex(prefixAddress(prefix))}/${prefixLength(prefix)}`,
  blocks: (networkId: string) => `${ROOT}blocks/${networkId}/`,
  address: (networkId: string, address: IP) => `${ROOT}addresses/${networkId}/${ipToHex(address)}`,
  addresses: (networkId: string) => `${ROOT}addresses/${networkId}/`,
  endpoint: (networkId: string, hostId: string, endpointId: string) =>
    `${ROOT}endpoints/${networkId}/${hostId}/${endpointId}`,
  endpoints: (networkId: string) => `${ROOT}endpoints/${networkId}/`,
  publication: (networkId: string, hostId: string, publicationId: string) =>
    `${ROOT}publications/${networkId}/${hostId}/${publicationId}`,
  publications: (networkId: string) => `${ROOT}publications/${networkId}/`,
  engineNetwork: (networkId: string, hostId: string, engineId: string) =>
    `${ROOT}engine-networks/${networkId}/${hostId}/${engineId}`,
  engineNetworks: (networkId: string) => `${ROOT}engine-networks/${networkId}/`,
  reservation: (networkId: string, name: string) => `${ROOT}reservations/${networkId}/${name}`,
  reservations: (networkId: string) => `${ROOT}reservations/${networkId}/`,
  token: (tokenId: string) => `${ROOT}tokens/${tokenId}`,
} as const

/** Roots of the records that a host has in a network: its journal holds them, and it alone publishes them. */
export const HOST_RECORD_ROOTS = [
  `${ROOT}endpoints/`,
  `${ROOT}publications/`,
  `${ROOT}engine-networks/`,
] as const

/** Beginnings of the keys of all records that a host has in a network. */
export function hostRecordsIn(networkId: string, hostId: string): readonly string[] {
  return HOST_RECORD_ROOTS.map((root) => `${root}${networkId}/${hostId}/`)
}

/** All address keys of a network that lie inside `prefix`, as a half-open range of keys. */
export function addressKeysIn(networkId: string, prefix: Prefix): { from: string; to: string } {
  const { first, last } = prefixRange(prefix)
  const family = prefixFamily(prefix)
  return {
    from: keys.address(networkId, ipFromNumber(first, family)),
    to: `${keys.address(networkId, ipFromNumber(last, family))}\0`,
  }
}

/** All block keys of a network whose first address lies inside `prefix`. */
export function blockKeysIn(networkId: string, prefix: Prefix): { from: string; to: string } {
  const { first, last } = prefixRange(prefix)
  const family = prefixFamily(prefix)
  const key = (n: bigint): string =>
    `${ROOT}blocks/${networkId}/${ipToHex(ipFromNumber(n, family))}`
  return { from: `${key(first)}/`, to: `${key(last)}0` } // '0' follows '/' in ASCII
}

export type ParsedKey =
  | { readonly kind: 'host' | 'alive' | 'facts' | 'status'; readonly hostId: string }
  | { readonly kind: 'network'; readonly networkId: string }
  | { readonly kind: 'block' | 'address'; readonly networkId: string }
  | { readonly kind: 'reservation'; readonly networkId: string; readonly name: string }
  | HostRecordKey

/** Of a record that a host has in a network. */
export interface HostRecordKey {
  readonly kind: 'endpoint' | 'publication' | 'engine-network'
  readonly networkId: string
  readonly hostId: string
  readonly id: string
}

/** Enough of a host's own record to know where it lives. */
type HostRecord = Pick<HostRecordKey, 'networkId' | 'hostId' | 'id'>

export function endpointKey({ networkId, hostId, id }: HostRecord): string {
  return keys.endpoint(networkId, hostId, id)
}

export function publicationKey({ networkId, hostId, id }: HostRecord): string {
  return keys.publication(networkId, hostId, id)
}

const HOST_RECORD_KINDS: Readonly<Record<string, HostRecordKey['kind']>> = {
  endpoints: 'endpoint',
  publications: 'publication',
  'engine-networks': 'engine-network',
}

const HOST_KINDS: Readonly<Record<string, 'host' | 'alive' | 'facts' | 'status'>> = {
  hosts: 'host',
  alive: 'alive',
  facts: 'facts',
  status: 'status',
}

/** What a key is the address of; undefined for keys this version does not know. */
export function parseKey(key: string): ParsedKey | undefined {
  if (!key.startsWith(ROOT)) return undefined
  const [room = '', a, b, c] = key.slice(ROOT.length).split('/')
  if (a === undefined || a === '') return undefined
  const hostKind = HOST_KINDS[room]
  if (hostKind !== undefined) return { kind: hostKind, hostId: a }
  if (room === 'networks') return { kind: 'network', networkId: a }
  if (room === 'blocks') return { kind: 'block', networkId: a }
  if (room === 'addresses') return { kind: 'address', networkId: a }
  if (room === 'reservations' && b !== undefined) {
    return { kind: 'reservation', networkId: a, name: b }
  }
  const kind = HOST_RECORD_KINDS[room]
  if (kind === undefined || b === undefined || c === undefined) return undefined
  return { kind, networkId: a, hostId: b, id: c }
}

/** True for the key of a record that a host has in a network. */
export function isOfHostRecord(parsed: ParsedKey): parsed is HostRecordKey {
  const { kind } = parsed
  return kind === 'endpoint' || kind === 'publication' || kind === 'engine-network'
}

/** The key of a record that a host has in a network; undefined for every other key. */
export function parseHostRecordKey(key: string): HostRecordKey | undefined {
  const parsed = parseKey(key)
  return parsed !== undefined && isOfHostRecord(parsed) ? parsed : undefined
}

/** The host that alone may write this key; undefined when any member may. R49. */
export function ownerOf(key: string): string | undefined {
  const parsed = parseKey(key)
  return parsed !== undefined && 'hostId' in parsed ? parsed.hostId : undefined
}
