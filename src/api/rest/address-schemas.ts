/** The wire's documents about addresses: reservations, how full networks are, what a check found. */

import { z } from 'zod'
import { FINDINGS } from '../../control/ipam-books.ts'
import { apiVersion, listOf, text, timestamp } from './schema-parts.ts'

/** Of IPv6 there are more than a number can say exactly. */
const count = z.string().meta({ description: 'Number of addresses, in decimal' })

/** Who wanted a network in spite of what it overlaps. */
export const forced = z.strictObject({
  uid: z.int().optional(),
  user: z.string().optional(),
  at: timestamp,
  overlaps: z
    .array(
      z.strictObject({
        subnet: z.string(),
        other: z.string(),
        network: z.string().optional(),
        host: z.string().optional(),
        device: z.string().optional(),
        underlay: z.literal(true).optional(),
      }),
    )
    .readonly(),
})

export const Reserve = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Reservation').optional(),
    metadata: z.strictObject({ name: text.meta({ description: 'Name of the endpoints' }) }),
    spec: z.strictObject({ addresses: z.array(text).max(2) }),
  })
  .meta({ id: 'Reserve' })

export const Reservation = z
  .strictObject({
    apiVersion,
    kind: z.literal('Reservation'),
    metadata: z.strictObject({
      id: z.string(),
      name: z.string(),
      labels: z.record(z.string(), z.string()),
      createdAt: timestamp,
      revision: z.int().optional(),
    }),
    spec: z.strictObject({ network: z.string(), addresses: z.array(z.string()).readonly() }),
    status: z.strictObject({
      networkId: z.string(),
      endpointId: z.string().optional().meta({ description: 'The endpoint of that name' }),
      host: z.string().optional(),
    }),
  })
  .meta({ id: 'Reservation' })

export const ReservationList = listOf('ReservationList', Reservation)

const counts = { usable: count, used: count, reserved: count, free: count }

export const NetworkAddresses = z
  .strictObject({
    apiVersion,
    kind: z.literal('NetworkAddresses'),
    metadata: z.strictObject({ id: z.string(), name: z.string() }),
    status: z.strictObject({
      subnets: z
        .array(
          z.strictObject({
            prefix: z.string(),
            gateway: z.string(),
            ...counts,
            blocks: z
              .array(
                z.strictObject({
                  prefix: z.string(),
                  hostId: z.string(),
                  host: z.string().optional(),
                  ...counts,
                }),
              )
              .readonly(),
            claims: z
              .array(
                z.strictObject({
                  address: z.string(),
                  hostId: z.string(),
                  host: z.string().optional(),
                }),
              )
              .readonly(),
          }),
        )
        .readonly(),
    }),
  })
  .meta({ id: 'NetworkAddresses' })

export const NetworkAddressesList = listOf('NetworkAddressesList', NetworkAddresses)

export const SuggestionList = listOf(
  'SuggestionList',
  z.strictObject({ prefix: z.string(), addresses: count }).meta({ id: 'Suggestion' }),
)

export const CheckIpam = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('IpamCheck').optional(),
    spec: z.strictObject({
      repair: z.boolean().optional().meta({ description: 'Put right what is safe' }),
    }),
  })
  .meta({ id: 'CheckIpam' })

export const IpamFinding = z
  .strictObject({
    kind: z.enum(FINDINGS),
    object: z.string(),
    message: z.string(),
    repaired: z.boolean(),
    advice: z.string().optional(),
  })
  .meta({ id: 'IpamFinding' })

export const IpamCheck = z
  .strictObject({
    apiVersion,
    kind: z.literal('IpamCheck'),
    status: z.strictObject({
      observedRevision: z.int(),
      findings: z.array(IpamFinding).readonly(),
    }),
  })
  .meta({ id: 'IpamCheck' })

export type Reservation = z.output<typeof Reservation>
export type NetworkAddresses = z.output<typeof NetworkAddresses>
export type Suggestion = z.output<typeof SuggestionList>['items'][number]
export type IpamCheck = z.output<typeof IpamCheck>
export type IpamFinding = z.output<typeof IpamFinding>
