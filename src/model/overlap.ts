/** What prefixes of a network overlap, who wanted the network all the same, and both as sentences. */

import type { Prefix } from '../net/prefix.ts'

/** A prefix of a network and what it overlaps: another network's prefix, or a route or underlay of a host. */
export interface Overlap {
  readonly subnet: Prefix
  readonly other: Prefix
  /** Names at the time it was seen. Either a network, or a host. */
  readonly network?: string
  readonly host?: string
  /** Of the route. */
  readonly device?: string
  /** True when `other` is where the host is reached by the others. */
  readonly underlay?: true
}

/** Who wanted the network in spite of what it overlaps. */
export interface Forced {
  /** Absent when the kernel did not tell. */
  readonly uid?: number
  readonly user?: string
  /** RFC 3339. */
  readonly at: string
  readonly overlaps: readonly Overlap[]
}

/** The same after a way over the wire, where prefixes are text. */
type Told<T> = { readonly [K in keyof T]: T[K] extends Prefix ? string : T[K] | undefined }

/** `10.80.0.0/16 overlaps route 10.80.5.0/24 of host h2 (device eth1)`. */
export function overlapText(overlap: Told<Overlap>): string {
  const { subnet, other, network, host, device, underlay } = overlap
  if (network !== undefined) return `${subnet} overlaps ${other} of network ${network}`
  const what = underlay === true ? `${other}, the underlay` : `route ${other}`
  const where = device === undefined ? '' : ` (device ${device})`
  return `${subnet} overlaps ${what} of host ${host}${where}`
}

/** `forced by ada (uid 1000) at 2026-01-01T00:00:00.000Z: ...`, with every overlap. */
export function forcedText(forced: {
  readonly uid?: number | undefined
  readonly user?: string | undefined
  readonly at: string
  readonly overlaps: readonly Told<Overlap>[]
}): string {
  const { uid, user, at, overlaps } = forced
  const known = user === undefined ? `uid ${uid}` : `${user} (uid ${uid})`
  const who = uid === undefined ? 'somebody' : known
  return `forced by ${who} at ${at}: ${overlaps.map(overlapText).join('; ')}`
}
