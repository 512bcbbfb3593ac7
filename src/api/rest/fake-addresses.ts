/** The address half of the fake control. */

import type { AddressControl } from '../../control/address-control.ts'
import type { ReservationView } from '../../control/reservations.ts'
import { NetworkError } from '../../lib/errors.ts'
import type { Network } from '../../model/network.ts'
import { parseIP } from '../../net/ip.ts'
import { prefix } from '../../net/testing.ts'

export function createFakeAddresses(
  getNetwork: (reference: string) => Network,
  createdAt: string,
): AddressControl {
  const reservations: ReservationView[] = []
  const find = (reference: string, name: string): ReservationView => {
    const { id } = getNetwork(reference)
    const found = reservations.find(
      ({ reservation }) => reservation.networkId === id && reservation.name === name,
    )
    if (found !== undefined) return found
    throw new NetworkError('not-found', `Cannot find a reservation for "${name}": there is none`)
  }
  return {
    async reserve({ network: reference, name, addresses }) {
      const network = getNetwork(reference)
      const view = {
        network: network.name,
        reservation: {
          schema: 1,
          networkId: network.id,
          name,
          addresses: addresses.flatMap((text) => parseIP(text) ?? []),
          createdAt,
        },
      } as const
      reservations.push(view)
      return view
    },
    async unreserve(network, name) {
      reservations.splice(reservations.indexOf(find(network, name)), 1)
    },
    listReservations: (reference) => {
      if (reference === undefined) return reservations
      const { name } = getNetwork(reference)
      return reservations.filter((view) => view.network === name)
    },
    getReservation: find,
    suggestPrefixes: ({ family = 4, count = 1 }) =>
      Array.from({ length: count }, (_, i) =>
        prefix(family === 4 ? `10.${64 + i}.0.0/16` : `fd0${i}::/48`),
      ),
    ipam: (reference) => {
      if (reference === undefined) return []
      const network = getNetwork(reference)
      const counts = { usable: 65_533n, used: 1n, reserved: 2n, free: 65_530n }
      const [first, gateway] = [network.prefixes[0], network.gateways[0]]
      if (first === undefined || gateway === undefined) return []
      const block = { prefix: prefix('10.80.255.192/26'), hostId: 'host0001' }
      const blocks = [{ ...block, usable: 63n, used: 1n, reserved: 0n, free: 62n }]
      return [{ network, prefixes: [{ prefix: first, gateway, ...counts, blocks, claims: [] }] }]
    },
    checkIpam: async ({ repair }) => ({
      revision: 42,
      findings: [
        {
          kind: 'name-without-network',
          object: '/carrick/network-names/old',
          message: 'the name old stands for network gone, which was removed',
          repaired: repair,
          ...(repair ? {} : { advice: 'carrick ipam check --repair' }),
        },
      ],
    }),
  }
}
