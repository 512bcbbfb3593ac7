/** Why an address cannot be had, as errors. */

import { NetworkError } from '../../lib/errors.ts'
import type { Network } from '../../model/network.ts'
import type { IP } from '../../net/ip.ts'
import { type Prefix, prefixContains } from '../../net/prefix.ts'
import { prefixAroundArea } from './areas.ts'
import { usableCount } from './layout.ts'
import { gatewayOf } from './territory.ts'

/** An endpoint has the address. */
export function inUse(network: Network, address: IP, who: string): NetworkError {
  return new NetworkError('already-exists', `Cannot use ${address}: ${who} has it`, {
    details: { network: network.name, address },
    hint: `carrick endpoint ls --network ${network.name}   # who has which; take another, or none`,
  })
}

/** A host has the address for itself. */
export function isHosts(network: Network, address: IP, host: string): NetworkError {
  return new NetworkError(
    'already-exists',
    `Cannot use ${address}: it is the address of host ${host} in this network`,
    { details: { network: network.name, address } },
  )
}

/** The store does not answer, and what this host owns is used up. */
export function unreachable(
  network: Network,
  areas: readonly Prefix[],
  cause: NetworkError,
): NetworkError {
  return new NetworkError(
    'unavailable',
    `Cannot allocate from ${areas.join(' and ')}: this host's blocks have no free address, and it cannot claim another: ${cause.message}`,
    { details: { network: network.name }, cause },
  )
}

/** The address is kept for endpoints of another name. */
export function isReserved(network: Network, address: IP, name: string): NetworkError {
  return new NetworkError(
    'already-exists',
    `Cannot use ${address}: it is reserved for the endpoint named ${name}`,
    {
      details: { network: network.name, address },
      hint: `carrick reserve ls ${network.name}; carrick reserve rm ${network.name} ${name}`,
    },
  )
}

/** Nothing is left: `inUse` are the addresses somebody has, `hosts` those that hosts have themselves. */
export function exhausted(
  network: Network,
  areas: readonly Prefix[],
  inUse: ReadonlySet<IP>,
  hosts: readonly IP[],
): NetworkError {
  const text = areas.join(' and ')
  const inside = (address: IP): boolean => areas.some((area) => prefixContains(area, address))
  const all = areas.reduce((sum, area) => {
    const prefix = prefixAroundArea(network, area)
    return sum + usableCount(prefix, gatewayOf(network, prefix), area)
  }, 0n)
  const total = all - BigInt(hosts.filter(inside).length)
  const used = [...inUse].filter(inside).length
  const message =
    BigInt(used) >= total
      ? `Cannot allocate from ${text}: all ${total} addresses are in use`
      : `Cannot allocate from ${text}: ${used} of ${total} addresses are in use, and the others are kept by other hosts or reserved`
  return new NetworkError('exhausted', message, {
    details: { network: network.name, prefix: text, total: String(total), used },
    hint: `carrick ipam show ${network.name}; carrick network set ${network.name} --add-subnet PREFIX`,
  })
}
