/** Limits of an endpoint on the wire. */

import { z } from 'zod'
import type { Bandwidth, RateLimit } from '../../model/endpoint.ts'

const rateLimit = z.strictObject({
  bitsPerSecond: z.int().positive(),
  burstBits: z
    .int()
    .positive()
    .optional()
    .meta({ description: 'What may pass at once after a rest; default: what the rate needs' }),
})

export const bandwidth = z.strictObject({
  toContainer: rateLimit.optional().meta({ description: 'What it may receive' }),
  fromContainer: rateLimit.optional().meta({ description: 'What it may send' }),
})

type Wire = z.output<typeof bandwidth>

/** What an attach asks for; what is not said is absent. */
export function bandwidthOf({ toContainer, fromContainer }: Wire): Bandwidth {
  return {
    ...(toContainer === undefined ? {} : { toContainer: limitOf(toContainer) }),
    ...(fromContainer === undefined ? {} : { fromContainer: limitOf(fromContainer) }),
  }
}

function limitOf({ bitsPerSecond, burstBits }: z.output<typeof rateLimit>): RateLimit {
  return { bitsPerSecond, ...(burstBits === undefined ? {} : { burstBits }) }
}
