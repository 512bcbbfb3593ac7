/**
 * What travels over the REST wire: one zod schema per document, from which checking, TypeScript types and
 * the OpenAPI document all come. Shapes only: whether a subnet is right or an address is free is decided
 * by `control`, which can say what would be right. Conventions §6.
 */

import { z } from 'zod'
import { ERROR_CODES } from '../../lib/errors.ts'
import { PATH_CARRIERS, PATH_PROBLEMS } from '../../model/path.ts'
import { apiVersion, listOf, metadata, text, timestamp } from './schema-parts.ts'

const objectFailure = z.strictObject({
  object: z.string(),
  code: z.string(),
  message: z.string(),
  since: timestamp,
  attempts: z.int(),
})

const path = z
  .strictObject({
    hostId: z.string(),
    host: z.string().meta({ description: 'Name of the host at the other end' }),
    carrier: z.enum(PATH_CARRIERS),
    mtuBytes: z.int().meta({ description: 'Largest packet that passes, outer headers included' }),
    expectedBytes: z.int().meta({ description: 'What the devices at both ends take' }),
    problems: z.array(z.enum(PATH_PROBLEMS)).readonly(),
    probedAt: timestamp,
  })
  .meta({ description: 'What probes found about the way from this host to another' })

export const Host = z
  .strictObject({
    apiVersion,
    kind: z.literal('Host'),
    metadata: metadata.extend({ name: z.string() }),
    spec: z.strictObject({
      underlay: z
        .array(
          z.strictObject({
            address: z.string(),
            prefix: z.string(),
            mac: z.string(),
            mtuBytes: z.int(),
          }),
        )
        .readonly(),
      vxlanPort: z.int(),
      carriers: z.array(z.string()).readonly(),
    }),
    status: z.strictObject({
      self: z.boolean(),
      alive: z.boolean(),
      index: z.int(),
      epoch: z.int(),
      version: z.string(),
      endpoints: z.int(),
      publishedSequence: z.int(),
      observedRevision: z.int().optional(),
      failures: z.array(objectFailure).readonly(),
      paths: z.array(path).readonly(),
    }),
  })
  .meta({ id: 'Host' })

export const CreateToken = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Token').optional(),
    spec: z.strictObject({ ttlSeconds: z.int().positive().max(31_536_000) }),
  })
  .meta({ id: 'CreateToken' })

export const Token = z
  .strictObject({
    apiVersion,
    kind: z.literal('Token'),
    metadata: z.strictObject({ id: z.string() }),
    spec: z.strictObject({ ttlSeconds: z.int() }),
    status: z.strictObject({
      text: z.string().meta({ description: 'The whole text for `carrick join`; shown once' }),
      expiresAt: timestamp,
    }),
  })
  .meta({ id: 'Token' })

export const Join = z
  .strictObject({
    apiVersion: apiVersion.optional(),
    kind: z.literal('Join').optional(),
    spec: z.strictObject({
      address: text.meta({ description: 'HOST:PORT of a member that serves the store' }),
      token: z.string().min(1).max(4096),
    }),
  })
  .meta({ id: 'Join' })

export const Joined = z
  .strictObject({
    apiVersion,
    kind: z.literal('Joined'),
    status: z.strictObject({ hostId: z.string(), hostName: z.string(), store: z.string() }),
  })
  .meta({ id: 'Joined' })

export const Status = z
  .strictObject({
    apiVersion,
    kind: z.literal('Status'),
    metadata: z.strictObject({ id: z.string(), name: z.string() }),
    status: z.strictObject({
      version: z.string(),
      store: z.strictObject({
        kind: z.enum(['embedded', 'joined', 'etcd']),
        address: z.string(),
        connected: z.boolean(),
        revision: z.int(),
      }),
      journalSequence: z.int(),
      publishedSequence: z.int(),
      settled: z.boolean(),
      networks: z.int(),
      endpoints: z.strictObject({ local: z.int(), remote: z.int() }),
      driftRepaired: z.record(z.string(), z.int()).readonly(),
      failures: z.array(objectFailure).readonly(),
      warnings: z.array(z.string()).readonly(),
    }),
  })
  .meta({ id: 'Status' })

export const Drop = z.strictObject({
  reason: z.string(),
  endpointId: z.string().optional(),
  endpointName: z.string().optional(),
  network: z.string().optional(),
  packets: z.int(),
  bytes: z.int(),
})

export const HostList = listOf('HostList', Host)
export const DropList = listOf('DropList', Drop)

export const Health = z
  .strictObject({
    status: z.enum(['ok', 'failing']),
    checks: z
      .array(z.strictObject({ name: z.string(), ok: z.boolean(), message: z.string().optional() }))
      .readonly(),
  })
  .meta({ id: 'Health' })

/** RFC 9457, with what conventions §5 adds. */
export const Problem = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.enum([...ERROR_CODES, 'too-many-requests', 'internal']),
    hint: z.string().optional(),
    fields: z
      .array(z.strictObject({ pointer: z.string(), message: z.string() }))
      .readonly()
      .optional(),
    requestId: z.string(),
  })
  .meta({ id: 'Problem' })

export type Host = z.output<typeof Host>
export type Path = z.output<typeof path>
export type Token = z.output<typeof Token>
export type Joined = z.output<typeof Joined>
export type Status = z.output<typeof Status>
export type Drop = z.output<typeof Drop>
export type Health = z.output<typeof Health>
export type Problem = z.output<typeof Problem>
