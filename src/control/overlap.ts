/**
 * What a network's prefix must not overlap: another network's (another pool), a route of any member host, and
 * the underlay of any member host, for containers could not reach what lies there. `--force` creates it all
 * the same and the record says who did. Networks whose packets travel without a number (`direct`, `auto`) can
 * never share addresses (R31).
 */

import { NetworkError } from '../lib/errors.ts'
import type { Host, HostFacts } from '../model/host.ts'
import type { Carrier, Network } from '../model/network.ts'
import { type Forced, type Overlap, overlapText } from '../model/overlap.ts'
import { type Prefix, prefixesOverlap } from '../net/prefix.ts'

/** Who asked for a call, as far as the kernel tells: unix(7) SO_PEERCRED. */
export interface Caller {
  readonly uid?: number
  readonly user?: string
}

/** What there is in the cluster. Networks must come from the store in the transaction's own reading. */
export interface Surroundings {
  readonly networks: Iterable<Network>
  readonly hosts: Iterable<Host>
  readonly facts: (hostId: string) => HostFacts | undefined
  /** Of networks that are just being made: nobody else is to choose them; who asks for one of them may have it. */
  readonly chosen?: readonly Prefix[]
}

/** Prefixes that a network is to get. */
export interface NewPrefixes {
  /** Beginning of the message: `create network "blue"`. */
  readonly attempted: string
  readonly carrier: Carrier
  readonly prefixes: readonly Prefix[]
  /** The network that gets them, when it exists: it does not stand in its own way. */
  readonly networkId?: string
  /** What was forced on that network before. */
  readonly forced?: Forced
}

export interface Force {
  readonly by: Caller
  /** RFC 3339. */
  readonly at: string
}

/** Packets of these networks may travel without a network number. */
export function isFlat({
  carrier,
  alsoAccepts,
}: {
  readonly carrier: Carrier
  readonly alsoAccepts?: Carrier
}): boolean {
  return [carrier, alsoAccepts].some((each) => each === 'direct' || each === 'auto')
}

/**
 * Throws `conflict` with every overlap named. With `force` it throws only for networks that nothing would tell
 * apart, and returns what the network's record is to say; undefined when there is nothing to say.
 */
export function refuseOverlaps(
  wanted: NewPrefixes,
  surroundings: Surroundings,
  force?: Force,
): Forced | undefined {
  const networks = [...surroundings.networks].filter(({ id }) => id !== wanted.networkId)
  refuseFlat(wanted, networks)
  const overlaps = findOverlaps(wanted.prefixes, { ...surroundings, networks })
  const [first, ...others] = overlaps
  if (first === undefined) return wanted.forced
  if (force !== undefined) {
    const before = wanted.forced?.overlaps ?? []
    return { ...force.by, at: force.at, overlaps: [...before, ...overlaps] }
  }
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  throw new NetworkError(
    'conflict',
    `Cannot ${wanted.attempted}: subnet ${overlapText(first)}${more}`,
    {
      details: { overlaps },
      fields: overlaps.map((overlap) => ({
        pointer: `/subnets/${wanted.prefixes.indexOf(overlap.subnet)}`,
        message: `subnet ${overlapText(overlap)}`,
      })),
      hint: 'carrick ipam suggest   # free ranges; or the same again with --force',
    },
  )
}

/** Throws `conflict` when packets of the prefixes and of another network could not be told apart. */
export function refuseFlat(wanted: NewPrefixes, networks: readonly Network[]): void {
  if (!isFlat(wanted)) return
  for (const other of networks) {
    if (!isFlat(other)) continue
    for (const [i, prefix] of wanted.prefixes.entries()) {
      const hit = other.prefixes.find((candidate) => prefixesOverlap(candidate, prefix))
      if (hit === undefined) continue
      const message = `subnet ${prefix} overlaps ${hit} of network ${other.name}`
      throw new NetworkError(
        'conflict',
        `Cannot ${wanted.attempted}: ${message}, and carrier ${wanted.carrier} cannot tell them apart`,
        {
          details: { network: other.name, prefix },
          fields: [{ pointer: `/subnets/${i}`, message }],
          hint: 'carrick ipam suggest   # free ranges; or the same again with --carrier vxlan --force',
        },
      )
    }
  }
}

/** Everything the prefixes overlap, networks first. */
export function findOverlaps(
  prefixes: readonly Prefix[],
  { networks, hosts, facts }: Surroundings,
): readonly Overlap[] {
  const overlaps: Overlap[] = []
  const compare = (other: Prefix, what: Omit<Overlap, 'subnet' | 'other'>): void => {
    for (const subnet of prefixes) {
      if (prefixesOverlap(subnet, other)) overlaps.push({ subnet, other, ...what })
    }
  }
  for (const network of networks) {
    for (const other of network.prefixes) compare(other, { network: network.name })
  }
  for (const host of hosts) {
    const routes = facts(host.id)?.routes ?? []
    const underlay = new Set(host.underlay.map(({ prefix }) => prefix))
    for (const prefix of underlay) {
      const device = routes.find((route) => route.prefix === prefix)?.device
      compare(prefix, {
        host: host.name,
        underlay: true,
        ...(device === undefined ? {} : { device }),
      })
    }
    for (const { prefix, device } of routes) {
      if (!underlay.has(prefix)) compare(prefix, { host: host.name, device })
    }
  }
  return overlaps
}
