/**
 * A rate limit as the kernel's token bucket has it. Packets wait at the end of the pair that sends them: at the
 * host's what goes to the container, at the container's what comes from it. The container's own kernel holds
 * the latter: whoever may administer that namespace's network can take it off.
 */

import type { Shaping } from '../../hoststate/state.ts'
import { RATES, type RateLimit } from '../../model/endpoint.ts'

/** What may pass at once, where nobody says: enough that a late timer loses nothing of the rate. */
const BURST_MS = 20
/** How long a packet waits at most; more would only be dropped later. */
const QUEUE_MS = 50
/** So much passes at once at least; at slow rates super-packets are cut, which costs nothing there. */
const LEAST_BURST_BYTES = 16_384
/** A bucket that takes longer to fill than this the kernel cannot tell of. */
const LONGEST_BURST_MS = 240_000
/** The largest super-packet, which is not cut where the burst takes it: one must find room in the queue. */
const SUPER_PACKET_BYTES = 65_536
/** Ethernet header, and a tag. */
const LINK_HEADER_BYTES = 18
const MOST_BYTES = 0xffff_ffff

/** The bucket of an interface with this MTU. */
export function planShaping(limit: RateLimit, mtuBytes: number): Shaping {
  const { leastBitsPerSecond, mostBitsPerSecond } = RATES
  const bits = Math.min(Math.max(limit.bitsPerSecond, leastBitsPerSecond), mostBitsPerSecond)
  const bytesPerSecond = Math.round(bits / 8)
  const within = (ms: number): number => Math.round((bytesPerSecond * ms) / 1000)
  const frameBytes = mtuBytes + LINK_HEADER_BYTES
  const wishBytes = limit.burstBits === undefined ? within(BURST_MS) : limit.burstBits / 8
  const burstBytes = Math.max(
    Math.min(Math.round(wishBytes), within(LONGEST_BURST_MS), MOST_BYTES),
    ...[LEAST_BURST_BYTES, 2 * frameBytes],
  )
  const roomBytes = Math.min(burstBytes, 2 * SUPER_PACKET_BYTES)
  const queueBytes = Math.min(within(QUEUE_MS) + roomBytes, MOST_BYTES)
  return { bytesPerSecond, burstBytes, queueBytes }
}
