/** The wire's documents about networks. */

import { z } from 'zod'
import { CARRIERS, OPENINGS } from '../../model/network.ts'
import { forced } from './address-schemas.ts'
import { dockerSide, dockerWish } from './docker-schemas.ts'
import { apiVersion, labels, listOf, metadata, text, timestamp } from './schema-parts.ts'

export const CreateNetwork = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Network').optional(),
    metadata: z.strictObject({ name: text, labels: labels.optional() }),
    spec: z.strictObject({
      subnets: z
        .array(text)
        .max(16)
        .optional()
        .meta({ description: 'Default: a free /16 of private space' }),
      gateways: z.array(text).max(16).optional(),
      carrier: z.enum(CARRIERS).optional(),
      mtuBytes: z.int().positive().max(65_535).optional(),
      internal: z.boolean().optional().meta({ description: 'No gateway: nothing out, nothing in' }),
      masquerade: z.boolean().optional().meta({ description: 'Default true' }),
      open: z.array(z.enum(OPENINGS)).max(OPENINGS.length).optional(),
      docker: dockerWish
        .optional()
        .meta({ description: 'Present: it appears on the Docker engines of all members' }),
    }),
  })
  .meta({ id: 'CreateNetwork' })

/** A merge patch (RFC 7396): what is absent stays, null is the default again. */
export const PatchNetwork = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Network').optional(),
    metadata: z
      .strictObject({
        labels: z.record(z.string().max(320), text.nullable()).nullable().optional(),
      })
      .optional(),
    spec: z
      .strictObject({
        subnets: z
          .array(text)
          .max(16)
          .optional()
          .meta({ description: 'All of them: what is not named is removed' }),
        gateways: z.array(text).max(16).optional().meta({ description: 'Of new subnets' }),
        carrier: z.enum(CARRIERS).nullable().optional(),
        mtuBytes: z.int().positive().max(65_535).nullable().optional(),
        internal: z.boolean().nullable().optional(),
        masquerade: z.boolean().nullable().optional(),
        open: z.array(z.enum(OPENINGS)).max(OPENINGS.length).nullable().optional(),
      })
      .optional(),
  })
  .meta({ id: 'PatchNetwork' })

export const Network = z
  .strictObject({
    apiVersion,
    kind: z.literal('Network'),
    metadata: metadata.extend({ name: z.string(), createdAt: timestamp }),
    spec: z.strictObject({
      subnets: z.array(z.string()).readonly(),
      gateways: z.array(z.string()).readonly(),
      carrier: z.enum(CARRIERS),
      mtuBytes: z.int().optional(),
      internal: z.boolean(),
      masquerade: z.boolean(),
      open: z.array(z.enum(OPENINGS)).readonly(),
      docker: dockerSide.optional(),
    }),
    status: z.strictObject({
      vni: z.int(),
      forced: forced.optional().meta({ description: 'Who wanted it in spite of what it overlaps' }),
      alsoAccepts: z
        .enum(CARRIERS)
        .optional()
        .meta({ description: 'While the carrier changes: the one accepted besides' }),
      notes: z
        .array(z.string())
        .readonly()
        .optional()
        .meta({ description: 'After a change: what a user should know of it' }),
    }),
  })
  .meta({ id: 'Network' })

export const NetworkList = listOf('NetworkList', Network)

export type Network = z.output<typeof Network>
