/** Which ways to other hosts are in use, and between which addresses each is probed. Pure. */

import type { Host, UnderlayAddress } from '../../model/host.ts'
import type { Network } from '../../model/network.ts'
import type { PathCarrier } from '../../model/path.ts'
import { probeAddress } from '../../model/probe-network.ts'
import { type Family, familyOf, type IP } from '../../net/ip.ts'
import { carrierPlan, carriersOf } from '../../plan/carriers/carrier.ts'

export interface Target {
  readonly hostId: string
  readonly carrier: PathCarrier
  /** Where the probes of this way leave and arrive: underlay addresses, or those of the probes' network. */
  readonly local: IP
  readonly remote: IP
  /** What both underlays take, in bytes from the outer IP header on. */
  readonly expectedBytes: number
  /** Of the outer header. */
  readonly overheadBytes: number
}

/** What tells two ways apart, at one time. */
export function targetKey({ hostId, carrier }: Pick<Target, 'hostId' | 'carrier'>): string {
  return `${hostId}/${carrier}`
}

/** The ways that packets of these networks may take from this host. */
export function targetsOf(
  self: Host,
  hosts: Iterable<Host>,
  networks: Iterable<Pick<Network, 'carrier' | 'alsoAccepts'>>,
): readonly Target[] {
  const carriers = new Set(Array.from(networks, carriersOf).flat())
  const encapsulating = carriers.has('vxlan')
  const found: Target[] = []
  for (const host of hosts) {
    const [pair] = host.id === self.id ? [] : sharedFamilies(self, host)
    if (pair === undefined) continue
    const { local, remote, family } = pair
    const onLink = local.prefix === remote.prefix
    const expectedBytes = Math.min(local.mtuBytes, remote.mtuBytes)
    const common = { hostId: host.id, expectedBytes }
    if (onLink && (carriers.has('direct') || carriers.has('auto'))) {
      const ends = { local: local.address, remote: remote.address }
      found.push({ ...common, ...ends, carrier: 'direct', overheadBytes: 0 })
    }
    if (encapsulating || (carriers.has('auto') && !onLink)) {
      const ends = { local: probeAddress(self.index), remote: probeAddress(host.index) }
      const overheadBytes = carrierPlan('vxlan').overheadBytes(family)
      found.push({ ...common, ...ends, carrier: 'vxlan', overheadBytes })
    }
  }
  return found
}

export interface Pair {
  readonly family: Family
  readonly local: UnderlayAddress
  readonly remote: UnderlayAddress
}

/** The addresses by which two hosts reach each other, per family that both have; the first is the one in use. */
export function sharedFamilies(self: Host, host: Host): readonly Pair[] {
  return self.underlay.flatMap((local) => {
    const family = familyOf(local.address)
    const remote = host.underlay.find((each) => familyOf(each.address) === family)
    return remote === undefined ? [] : [{ family, local, remote }]
  })
}
