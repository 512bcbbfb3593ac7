/** A datapath whose network has a gateway, for packets between the network and the host's stack. */

import * as maps from '../../../src/hoststate/maps.ts'
import { DEFAULT_MARK_MASK, packetMarks } from '../../../src/hoststate/marks.ts'
import type { IP } from '../../../src/net/ip.ts'
import * as fx from './fabric.ts'
import * as pk from './packet.ts'

export const MARKS = packetMarks(DEFAULT_MARK_MASK)
export const INDEX_MARK = MARKS.ofIndex(7)
/** The mark of what comes into the host's stack. */
export const IN = MARKS.unchecked + INDEX_MARK
/** This host's own address in the network, and another host's. */
export const SELF = { ip4: pk.ip('10.80.0.254'), ip6: pk.ip('fd80::fffe') }
export const OTHER = { ip4: pk.ip('10.80.1.254'), ip6: pk.ip('fd80:0:0:1::fffe') }
export const GATEWAY_DEVICE = 4000

export type Family = 4 | 6

export function of(family: Family, ends: { readonly ip4: IP; readonly ip6: IP }): IP {
  return family === 4 ? ends.ip4 : ends.ip6
}

export function frame(packet: Uint8Array, from = fx.A.mac, to = fx.FABRIC): pk.Bytes {
  return pk.ether(to, from, (packet[0] ?? 0) >> 4 === 4 ? pk.ETH.IPV4 : pk.ETH.IPV6, packet)
}

/** The datapath; its gateway's device is `device`. */
export class Gateway extends fx.Fabric {
  constructor(device: number) {
    super()
    this.open({})
    for (const family of [4, 6] as const) {
      this.endpoint(of(family, SELF), fx.FABRIC, { kind: 'host', ifindex: device })
      this.endpoint(of(family, OTHER), fx.FABRIC, { kind: 'remote', host: 1 })
    }
  }

  /** Writes the network with a gateway, and with what is said. */
  open(more: Partial<maps.NetworkEntry>): void {
    const gateway = { ifindex: GATEWAY_DEVICE, mark: INDEX_MARK }
    this.put(maps.networks, { ...fx.NETWORK, gateway, ...more })
  }
}
