/** How full the networks are, and who holds what, as far as this host knows. Pure. */

import { hostAddressOf } from '../model/host-address.ts'
import type { Network } from '../model/network.ts'
import { compareIP, familyOf, type IP } from '../net/ip.ts'
import {
  type Prefix,
  prefixAddress,
  prefixAround,
  prefixContains,
  prefixFamily,
  prefixLength,
  prefixSize,
} from '../net/prefix.ts'
import type { Replica } from '../store/replica/replica.ts'
import { reservedAddresses } from './ipam/layout.ts'
import { gatewayOf } from './ipam/territory.ts'

/** Numbers of addresses: of IPv6 prefixes they are larger than a JSON number can say. */
export interface AddressCounts {
  /** What endpoints could have, were all free. */
  readonly usable: bigint
  readonly used: bigint
  /** Kept for a name that does not have it now. */
  readonly reserved: bigint
  readonly free: bigint
}

export interface BlockUse extends AddressCounts {
  readonly prefix: Prefix
  readonly hostId: string
}

export interface PrefixUse extends AddressCounts {
  readonly prefix: Prefix
  readonly gateway: IP
  /** What hosts allocate from alone, in order. */
  readonly blocks: readonly BlockUse[]
  /** Single addresses that hosts claimed or were granted. */
  readonly claims: readonly { readonly address: IP; readonly hostId: string }[]
}

export interface IpamView {
  readonly network: Network
  readonly prefixes: readonly PrefixUse[]
}

/** One network's addresses. */
export function ipamView(network: Network, replica: Replica): IpamView {
  const used = new Set<IP>()
  for (const { addresses } of replica.endpointsOf(network.id)) {
    for (const address of addresses) used.add(address)
  }
  const reserved = new Set<IP>()
  for (const { addresses } of replica.reservations(network.id)) {
    for (const address of addresses) if (!used.has(address)) reserved.add(address)
  }
  const blocks = [...replica.blocks(network.id)].sort((a, b) =>
    compareIP(prefixAddress(a.prefix), prefixAddress(b.prefix)),
  )
  const claims = [...replica.addressClaims(network.id)].sort((a, b) =>
    compareIP(a.address, b.address),
  )
  const never = [
    ...network.prefixes.flatMap((prefix) => [
      ...reservedAddresses(prefix, gatewayOf(network, prefix)),
    ]),
    ...blocks.flatMap(({ prefix }) => hostAddressOf(network, prefix) ?? []),
  ]
  const among = [...network.prefixes, ...blocks.map(({ prefix }) => prefix)]
  const inUse = tally(used, among)
  const kept = tally(reserved, among)
  const unusable = tally(never, among)
  const counts = (prefix: Prefix): AddressCounts => {
    const count = (of: ReadonlyMap<Prefix, number>): bigint => BigInt(of.get(prefix) ?? 0)
    const usable = prefixSize(prefix) - count(unusable)
    const free = usable - count(inUse) - count(kept)
    return { usable, used: count(inUse), reserved: count(kept), free }
  }
  const prefixes = network.prefixes.map(
    (prefix): PrefixUse => ({
      prefix,
      gateway: gatewayOf(network, prefix),
      ...counts(prefix),
      blocks: blocks
        .filter((block) => prefixContains(prefix, prefixAddress(block.prefix)))
        .map(({ prefix: block, hostId }) => ({ prefix: block, hostId, ...counts(block) })),
      claims: claims
        .filter(({ address }) => prefixContains(prefix, address))
        .map(({ address, hostId }) => ({ address, hostId })),
    }),
  )
  return { network, prefixes }
}

/** How many of the addresses lie in each of the prefixes: one look-up per address and length. */
function tally(addresses: Iterable<IP>, among: readonly Prefix[]): ReadonlyMap<Prefix, number> {
  const wanted = new Set(among)
  const lengths = {
    4: new Set(among.filter((each) => prefixFamily(each) === 4).map(prefixLength)),
    6: new Set(among.filter((each) => prefixFamily(each) === 6).map(prefixLength)),
  }
  const counts = new Map<Prefix, number>()
  for (const address of addresses) {
    for (const length of lengths[familyOf(address)]) {
      const prefix = prefixAround(address, length)
      if (wanted.has(prefix)) counts.set(prefix, (counts.get(prefix) ?? 0) + 1)
    }
  }
  return counts
}
