/**
 * What single kinds of device add to a link message, inside IFLA_INFO_DATA. linux/if_link.h, linux/veth.h
 */
import type { NewMacvlan, NewVeth } from '../kernel.ts'
import type { Request } from '../netlink/message.ts'
import type { Writer } from '../netlink/writer.ts'
import { createLink, IFLA, writeBirth } from './links.ts'

const VETH_INFO_PEER = 1
const IFLA_MACVLAN_MODE = 1
const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const

/**
 * A veth that is not told its number of queues gets one for each processor and gives all but the first back,
 * which waits for a grace period: a third of the time it takes to make one.
 */
const VETH_QUEUES = 1

/** Makes both ends. */
export function createVeth(link: NewVeth): Request {
  const near = { queues: VETH_QUEUES, ...link }
  return createLink('veth', near, (message) => writePeer(message, link))
}

/** The other end: a link message of its own, header and all. */
function writePeer(message: Writer, { peer }: NewVeth): void {
  message.nested(VETH_INFO_PEER, () => {
    message.u32(0).i32(0).u32(0).u32(0)
    writeBirth(message, { queues: VETH_QUEUES, ...peer })
    if (peer.netns !== undefined) message.attrU32(IFLA.NET_NS_FD, peer.netns.fd)
  })
}

export function createMacvlan(link: NewMacvlan): Request {
  const { mode, lower } = link
  const write = (message: Writer): void => {
    if (mode !== undefined) message.attrU32(IFLA_MACVLAN_MODE, MACVLAN_MODES[mode])
  }
  return createLink('macvlan', link, write, lower)
}
