/** How long to wait before the next try: 100 ms doubling to 30 s, ± 20 % so that hosts do not march in step. */

import { type Random, randomBelow } from '../../lib/ids.ts'

const FIRST_MS = 100
const LONGEST_MS = 30_000

/** The pause after `failures` failures in a row (1, 2, ...). */
export function backoffMs(failures: number, random: Random): number {
  return jittered(Math.min(FIRST_MS * 2 ** (Math.max(failures, 1) - 1), LONGEST_MS), random)
}

/** `ms` ± 20 %. */
export function jittered(ms: number, random: Random): number {
  return Math.round(ms * (0.8 + (0.4 * randomBelow(1 << 20, random)) / (1 << 20)))
}
