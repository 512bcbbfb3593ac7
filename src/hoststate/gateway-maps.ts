/** The map `gateways`: which network the packets are for that the host's own stack sends into a device. */

import { type Prefix, prefixFamily } from '../net/prefix.ts'
import { Fields } from './layout.ts'
import { CARRIERS, type CarrierName, carrierOf, type MapLayout } from './maps.ts'
import { readPrefix, writePrefix } from './prefix-bytes.ts'
import { GATEWAY, readU32, U32, u32 } from './structs.ts'

const FAMILIES = [4, 6] as const

/** A gateway device. */
export interface GatewayEntry {
  readonly ifindex: number
  readonly vni: number
  readonly carrier: CarrierName
  /** Of the network: larger packets come back to the host's stack with an ICMP error. */
  readonly mtuBytes: number
  /** Of each family that the network has, the smallest prefix with all of the network's; IPv4 first. */
  readonly around: readonly Prefix[]
}

/** Gateway device → its network. */
export const gateways: MapLayout<GatewayEntry> = {
  name: 'gateways',
  key: U32,
  value: GATEWAY,
  maxEntries: 1 << 12,
  keyOf: ({ ifindex }) => u32(ifindex),
  valueOf: ({ vni, carrier, mtuBytes, around }) => {
    const { bytes } = new Fields(GATEWAY)
      .setNumber('vni', vni)
      .setNumber('carrier', CARRIERS[carrier])
      .setNumber('mtu', mtuBytes)
    for (const family of FAMILIES) {
      const prefix = around.find((each) => prefixFamily(each) === family)
      writePrefix(bytes, GATEWAY.fields[`around${family}`].at, prefix)
    }
    return bytes
  },
  entryOf: (key, value) => {
    const v = new Fields(GATEWAY, value)
    const carrier = carrierOf(v.number('carrier'))
    if (carrier === undefined) return undefined
    const around = FAMILIES.flatMap(
      (family) => readPrefix(value, GATEWAY.fields[`around${family}`].at) ?? [],
    )
    return {
      ...{ ifindex: readU32(key), vni: v.number('vni'), carrier },
      ...{ mtuBytes: v.number('mtu'), around },
    }
  },
}
