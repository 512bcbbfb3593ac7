/** The last look before an endpoint's record is committed: nothing else runs between it and the commit. */

import { NetworkError } from '../lib/errors.ts'
import type { Network } from '../model/network.ts'
import type { IP } from '../net/ip.ts'
import type { Replica } from '../store/replica/replica.ts'
import type { Ipam } from './ipam/ipam.ts'
import { prefixOf } from './ipam/territory.ts'
import type { Networks } from './networks.ts'

interface Views {
  readonly networks: Networks
  readonly replica: Replica
  readonly ipam: Ipam
}

/** Throws when the network or an address went away while addresses were looked for. */
export function refuseLost(
  { networks, replica, ipam }: Views,
  network: Network,
  addresses: readonly IP[],
  attempted: string,
): void {
  const now = networks.isOpen(network) ? replica.network(network.id) : undefined
  if (now === undefined) {
    throw new NetworkError(
      'not-found',
      `Cannot ${attempted} network ${network.name}: it was removed`,
    )
  }
  const lost = addresses.find(
    (address) => !ipam.owns(now, address) || prefixOf(now, address) === undefined,
  )
  if (lost === undefined) return
  throw new NetworkError(
    'conflict',
    `Cannot ${attempted} network ${network.name}: ${lost} was taken from this host meanwhile`,
    { details: { network: network.name, address: lost } },
  )
}
