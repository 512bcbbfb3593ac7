/** A vxlan device's own options in a link message, inside IFLA_INFO_DATA. linux/if_link.h */
import type { NewVxlan, VxlanOptions } from '../kernel.ts'
import type { Attributes } from '../netlink/reader.ts'
import type { Writer } from '../netlink/writer.ts'

const IFLA_VXLAN = {
  ID: 1,
  LEARNING: 7,
  PORT: 15,
  UDP_ZERO_CSUM6_TX: 19,
  UDP_ZERO_CSUM6_RX: 20,
  COLLECT_METADATA: 25,
} as const

export function writeVxlan(message: Writer, link: NewVxlan): void {
  if (link.vni !== undefined) message.attrU32(IFLA_VXLAN.ID, link.vni)
  const flag = (type: number, value: boolean | undefined) => {
    if (value !== undefined) message.attrU8(type, value ? 1 : 0)
  }
  flag(IFLA_VXLAN.LEARNING, link.learning)
  message.attrU16BE(IFLA_VXLAN.PORT, link.port)
  flag(IFLA_VXLAN.UDP_ZERO_CSUM6_TX, link.udpZeroCsum6Tx)
  flag(IFLA_VXLAN.UDP_ZERO_CSUM6_RX, link.udpZeroCsum6Rx)
  flag(IFLA_VXLAN.COLLECT_METADATA, link.collectMetadata)
}

export function readVxlan(data: Attributes): VxlanOptions {
  const flag = (type: number) => (data.u8(type) ?? 0) !== 0
  const collectMetadata = flag(IFLA_VXLAN.COLLECT_METADATA)
  return {
    port: data.u16BE(IFLA_VXLAN.PORT) ?? 0,
    collectMetadata,
    vni: collectMetadata ? undefined : data.u32(IFLA_VXLAN.ID),
    learning: flag(IFLA_VXLAN.LEARNING),
    udpZeroCsum6Tx: flag(IFLA_VXLAN.UDP_ZERO_CSUM6_TX),
    udpZeroCsum6Rx: flag(IFLA_VXLAN.UDP_ZERO_CSUM6_RX),
  }
}
