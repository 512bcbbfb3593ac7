/**
 * The network in which hosts probe their ways to each other: this host's device and address in it, and where
 * the addresses of the others are. A datagram from here to there is encapsulated, carried and taken out of
 * its outer header as a container's is. It exists while some network has packets with outer headers.
 */

import type { Wanted } from '../hoststate/state.ts'
import { FABRIC_MAC, MARK } from '../hoststate/state.ts'
import type { Host } from '../model/host.ts'
import type { Network } from '../model/network.ts'
import { PROBE_PREFIX, PROBE_VNI, probeAddress } from '../model/probe-network.ts'
import { carrierPlan, carriersOf } from './carriers/carrier.ts'

/** linux/rtnetlink.h RT_TABLE_MAIN */
const MAIN_TABLE = 254

/** Nothing for a host alone, or when nothing is encapsulated. */
export function planProbes(
  self: Host,
  hosts: Iterable<Host>,
  networks: Iterable<Network>,
  packetMarkMask: number,
): readonly Wanted[] {
  const others = [...hosts].filter(({ id }) => id !== self.id).sort((a, b) => a.index - b.index)
  if (others.length === 0 || !encapsulates(networks)) return []
  const device = MARK.probeDevice
  const own = probeAddress(self.index)
  const mtuBytes = probeMtuBytes(self)
  const entry = { kind: 'endpoint', vni: PROBE_VNI, mac: FABRIC_MAC } as const
  return [
    {
      kind: 'network',
      vni: PROBE_VNI,
      prefixes: [PROBE_PREFIX],
      gateways: [],
      gateway: { device, mark: 0 },
      openMetadata: false,
      internal: false,
    },
    {
      kind: 'gateway',
      device,
      peer: MARK.probePeer,
      mac: FABRIC_MAC,
      mtuBytes,
      alias: 'carrick: probes of paths',
      addresses: [own],
      // What the hardware makes of them is the question.
      softwareChecksums: false,
      loopback: false,
    },
    {
      kind: 'gateway-entry',
      device,
      vni: PROBE_VNI,
      carrier: 'vxlan',
      mtuBytes,
      around: [PROBE_PREFIX],
    },
    {
      kind: 'gateway-rules',
      device,
      index: 0,
      packetMarkMask,
      addresses: [own],
      hairpin: [],
      prefixes: [PROBE_PREFIX],
      routed: [],
    },
    { kind: 'host-route', prefix: PROBE_PREFIX, table: MAIN_TABLE, device, source: own },
    { ...entry, address: own, at: { device }, host: true },
    ...others.map(
      ({ index }): Wanted => ({
        ...entry,
        address: probeAddress(index),
        at: { hostIndex: index },
      }),
    ),
  ]
}

function encapsulates(networks: Iterable<Network>): boolean {
  for (const network of networks) {
    const carriers = carriersOf(network)
    if (carriers.includes('vxlan') || carriers.includes('auto')) return true
  }
  return false
}

/** The most that fits behind the shortest outer header: what fits less is for the probes to find out. */
function probeMtuBytes({ underlay }: Host): number {
  const mtus = underlay.map((each) => each.mtuBytes)
  return Math.min(...mtus) - carrierPlan('vxlan').overheadBytes(4)
}
