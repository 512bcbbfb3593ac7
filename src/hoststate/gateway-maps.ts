/** The map `gateways`: which network the packets are for that the host's own stack sends into a device. */

import { Fields } from './layout.ts'
import { CARRIERS, type CarrierName, carrierOf, type MapLayout } from './maps.ts'
import { GATEWAY, readU32, U32, u32 } from './structs.ts'

/** A gateway device. */
export interface GatewayEntry {
  readonly ifindex: number
  readonly vni: number
  readonly carrier: CarrierName
  /** Of the network: larger packets come back to the host's stack with an ICMP error. */
  readonly mtuBytes: number
}

/** Gateway device → its network. */
export const gateways: MapLayout<GatewayEntry> = {
  name: 'gateways',
  key: U32,
  value: GATEWAY,
  maxEntries: 1 << 12,
  keyOf: ({ ifindex }) => u32(ifindex),
  valueOf: ({ vni, carrier, mtuBytes }) =>
    new Fields(GATEWAY)
      .setNumber('vni', vni)
      .setNumber('carrier', CARRIERS[carrier])
      .setNumber('mtu', mtuBytes).bytes,
  entryOf: (key, value) => {
    const v = new Fields(GATEWAY, value)
    const carrier = carrierOf(v.number('carrier'))
    if (carrier === undefined) return undefined
    return { ifindex: readU32(key), vni: v.number('vni'), carrier, mtuBytes: v.number('mtu') }
  },
}
