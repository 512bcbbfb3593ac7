/** The operations about addresses, beside those of contract.ts. */

import { z } from 'zod'
import * as schema from './address-schemas.ts'

const nothing = z.strictObject({})
const page = {
  limit: z.coerce.number().int().min(1).max(1000).optional().meta({ description: 'Default 500' }),
  continue: z.string().max(255).optional(),
}
const flag = z.enum(['true', 'false']).optional()

export const addressOperations = {
  listReservations: {
    method: 'GET',
    path: '/v1/reservations',
    summary: 'List the reservations of all networks',
    query: z.strictObject(page),
    success: { status: 200, schema: schema.ReservationList },
  },
  listNetworkReservations: {
    method: 'GET',
    path: '/v1/networks/{network}/reservations',
    summary: 'List the reservations of a network',
    query: z.strictObject(page),
    success: { status: 200, schema: schema.ReservationList },
  },
  reserve: {
    method: 'POST',
    path: '/v1/networks/{network}/reservations',
    summary: 'Keep addresses for endpoints of one name, on whichever host they start',
    query: nothing,
    body: schema.Reserve,
    success: { status: 201, schema: schema.Reservation },
  },
  getReservation: {
    method: 'GET',
    path: '/v1/networks/{network}/reservations/{name}',
    summary: 'Read what is reserved for a name',
    query: nothing,
    success: { status: 200, schema: schema.Reservation },
  },
  unreserve: {
    method: 'DELETE',
    path: '/v1/networks/{network}/reservations/{name}',
    summary: 'Give the addresses of a name back',
    query: nothing,
    success: { status: 204 },
  },
  listAddresses: {
    method: 'GET',
    path: '/v1/ipam/networks',
    summary: 'How full the networks are, and which host holds what',
    query: z.strictObject(page),
    success: { status: 200, schema: schema.NetworkAddressesList },
  },
  getAddresses: {
    method: 'GET',
    path: '/v1/ipam/networks/{network}',
    summary: 'How full a network is, and which host holds what',
    query: nothing,
    success: { status: 200, schema: schema.NetworkAddresses },
  },
  suggestPrefixes: {
    method: 'GET',
    path: '/v1/ipam/suggestions',
    summary: 'Private ranges that overlap no network, no route and no underlay',
    query: z.strictObject({
      family: z.enum(['4', '6']).optional(),
      size: z.coerce
        .number()
        .int()
        .optional()
        .meta({ description: 'Default 16 (IPv4), 48 (IPv6)' }),
      count: z.coerce.number().int().optional().meta({ description: 'Default 1' }),
      shared: flag.meta({ description: 'Also 100.64.0.0/10 (RFC 6598)' }),
    }),
    success: { status: 200, schema: schema.SuggestionList },
  },
  checkIpam: {
    method: 'POST',
    path: '/v1/ipam/checks',
    summary: 'Look for leaked, doubled and unowned addresses, and repair what is safe',
    query: nothing,
    body: schema.CheckIpam,
    success: { status: 200, schema: schema.IpamCheck },
  },
} as const
