/** What the probes found, as the plan needs it: how far each way is narrower than it should be. */

import type { Host } from '../model/host.ts'
import type { Network } from '../model/network.ts'
import type { PathReport } from '../model/path.ts'
import { familyOf } from '../net/ip.ts'
import { carriersOf } from './carriers/carrier.ts'

export interface PathLimit {
  /** Larger packets vanish on the way, from the outer IP header on; undefined: none is known to. */
  readonly mtuBytes: number | undefined
  /** Checksums left to the hardware arrive wrong where packets carry an outer header. */
  readonly softwareChecksums: boolean
}

/** Limits by the id of the host at the other end; hosts without any are absent. */
export type PathLimits = ReadonlyMap<string, PathLimit>

export const NO_LIMITS: PathLimits = new Map()

/** The limits that follow from what was found; one way's bounds hold for all to the same host. */
export function limitsOf(reports: Iterable<PathReport>): PathLimits {
  const limits = new Map<string, PathLimit>()
  for (const { hostId, problems, mtuBytes } of reports) {
    const small = problems.includes('smaller-path')
    const corrupted = problems.includes('checksums-corrupted')
    if (!small && !corrupted) continue
    const before = limits.get(hostId)
    limits.set(hostId, {
      mtuBytes: small ? Math.min(mtuBytes, before?.mtuBytes ?? mtuBytes) : before?.mtuBytes,
      softwareChecksums: corrupted || before?.softwareChecksums === true,
    })
  }
  return limits
}

/** True when containers of the network must sum up their packets themselves. */
export function sumsInSoftware(
  network: Pick<Network, 'carrier' | 'alsoAccepts'>,
  limits: PathLimits,
  self: Host,
  hostOf: (id: string) => Host | undefined,
): boolean {
  const carriers = carriersOf(network)
  const [always, elsewhere] = [carriers.includes('vxlan'), carriers.includes('auto')]
  if (!always && !elsewhere) return false
  return Array.from(limits).some(([id, { softwareChecksums }]) => {
    const host = hostOf(id)
    if (!softwareChecksums || host === undefined) return false
    return always || !sharesSegment(host, self)
  })
}

/** True when packets need no router between the two, by the family that is used between them. */
export function sharesSegment(host: Host, self: Host): boolean {
  for (const local of self.underlay) {
    const remote = host.underlay.find((each) => familyOf(each.address) === familyOf(local.address))
    if (remote !== undefined) return remote.prefix === local.prefix
  }
  return false
}
