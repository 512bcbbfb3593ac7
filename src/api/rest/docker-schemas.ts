/** The wire's documents about container engines. */

import { z } from 'zod'
import { text } from './schema-parts.ts'

/** How a network is to appear on the engines of all members, as a creator says it. */
export const dockerWish = z.strictObject({
  name: text.optional().meta({ description: 'Docker’s name; default: the network’s own' }),
  options: z.record(z.string().max(320), text).optional(),
  labels: z.record(z.string().max(320), text).optional(),
  ranges: z
    .array(text)
    .max(16)
    .optional()
    .meta({ description: 'Addresses are chosen inside these only, at most one per subnet' }),
})

/** The same of a network that is there. */
export const dockerSide = z.strictObject({
  name: z.string(),
  options: z.record(z.string(), z.string()),
  labels: z.record(z.string(), z.string()),
  ranges: z.array(z.string()).readonly(),
  aux: z
    .record(z.string(), z.string())
    .optional()
    .meta({ description: 'Addresses that are set aside, by name' }),
  takenUp: z.literal(true).optional().meta({
    description: 'It was there before an engine had it, and stays when engines let it go',
  }),
})

export const Docker = z
  .strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('Docker'),
    metadata: z.strictObject({}),
    status: z.strictObject({
      engine: z.strictObject({
        state: z.enum(['off', 'away', 'connected']),
        socket: z.string(),
        version: z.string().optional(),
        apiVersion: z.string().optional(),
        reason: z.string().optional().meta({ description: 'Why it is away' }),
      }),
      plugin: z.strictObject({ driver: z.string(), socket: z.string().optional() }),
      networks: z
        .array(
          z.strictObject({
            network: z.string().optional().meta({ description: 'Name of our network' }),
            name: z.string().meta({ description: 'Docker’s name' }),
            engineId: z.string().optional(),
            state: z.enum(['here', 'wanted', 'clash', 'unknown']),
            detail: z.string().optional(),
          }),
        )
        .readonly(),
      endpoints: z.strictObject({ plugged: z.int(), held: z.int() }),
      orphans: z
        .array(
          z.strictObject({
            kind: z.enum(['endpoint', 'address', 'pool']),
            id: z.string(),
            due: z.string().meta({ format: 'date-time', description: 'When it is removed' }),
          }),
        )
        .readonly(),
      hints: z
        .array(z.string())
        .readonly()
        .meta({ description: 'What is not wired, and what would wire it' }),
    }),
  })
  .meta({ id: 'Docker' })

export type Docker = z.output<typeof Docker>
