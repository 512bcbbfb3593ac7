/** What the wire's documents have in common. */

import { z } from 'zod'

export const text = z.string().max(255)
export const timestamp = z
  .string()
  .meta({ format: 'date-time', description: 'RFC 3339, UTC, milliseconds' })
export const labels = z.record(z.string().max(320), text)
export const apiVersion = z.literal('v1')

export const metadata = z.strictObject({
  id: z.string().meta({ description: 'Opaque, sortable, never used again' }),
  name: z.string().optional(),
  labels,
  createdAt: timestamp.optional(),
  revision: z
    .int()
    .optional()
    .meta({ description: "Number in the host's journal at which the object was settled" }),
})

export const condition = z.strictObject({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  since: timestamp.optional(),
})

/** The part of `metadata` that a creator chooses. */
export const wantedMetadata = z.strictObject({ name: text.optional(), labels: labels.optional() })

export type Condition = z.output<typeof condition>

/** A page of a list; `metadata.continue` is there when another page follows. */
export interface ListOf<T> {
  readonly apiVersion: 'v1'
  readonly kind: string
  readonly metadata: { readonly continue?: string | undefined }
  readonly items: readonly T[]
}

export function listOf<Kind extends string, Item extends z.ZodType>(kind: Kind, item: Item) {
  return z
    .strictObject({
      apiVersion,
      kind: z.literal(kind),
      metadata: z.strictObject({ continue: z.string().optional() }),
      items: z.array(item).readonly(),
    })
    .meta({ id: kind })
}
