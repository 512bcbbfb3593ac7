/** What a host has found, by probing, about its way to another one. Published with its status. */

/** Ways that containers' packets take between two hosts. */
export const PATH_CARRIERS = ['vxlan', 'direct'] as const
export type PathCarrier = (typeof PATH_CARRIERS)[number]

export const PATH_PROBLEMS = [
  'no-answer',
  'smaller-path',
  'fragments-dropped',
  'checksums-corrupted',
  'streams-stall',
] as const
/**
 * `no-answer`: no probe was answered, which says nothing about the path. `smaller-path`: packets of full size
 * vanish. `fragments-dropped`: packets in pieces vanish. `checksums-corrupted`: what the kernel leaves to the
 * hardware to sum up arrives wrong. `streams-stall`: datagrams of full size pass, a TCP stream does not.
 */
export type PathProblem = (typeof PATH_PROBLEMS)[number]

export interface PathReport {
  /** The host at the other end. */
  readonly hostId: string
  readonly carrier: PathCarrier
  /** What both ends' underlays take, in bytes from the outer IP header on. */
  readonly expectedBytes: number
  /** The largest packet that passes, measured the same way. */
  readonly mtuBytes: number
  readonly problems: readonly PathProblem[]
  /** When it was last looked at, RFC 3339. */
  readonly probedAt: string
}
