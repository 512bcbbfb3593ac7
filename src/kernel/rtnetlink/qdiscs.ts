/** The clsact qdisc on the wire: struct tcmsg and TCA attributes. linux/pkt_sched.h, linux/rtnetlink.h */

import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import type { Clsact } from '../traffic-control.ts'
import { RTM } from './protocol.ts'

const TCA = { KIND: 1, INGRESS_BLOCK: 13, EGRESS_BLOCK: 14 } as const
const TC_H_CLSACT = 0xfffffff1
const CLSACT_HANDLE = 0xffff0000
export const TC_HEADER_BYTES = 20

/** The hook; undefined for every other qdisc. */
export function readClsact(body: Uint8Array): Clsact | undefined {
  if (body.length < TC_HEADER_BYTES) return undefined
  const attributes = new Attributes(body.subarray(TC_HEADER_BYTES))
  if (attributes.string(TCA.KIND) !== 'clsact') return undefined
  return {
    device: viewOf(body).getInt32(4, true),
    ingressBlock: attributes.u32(TCA.INGRESS_BLOCK),
    egressBlock: attributes.u32(TCA.EGRESS_BLOCK),
  }
}

export function listQdiscs(): Request {
  return {
    operation: 'list qdiscs',
    type: RTM.GETQDISC,
    flags: NLM_F.DUMP,
    body: tcHeader(0, 0, 0, 0).finish(),
  }
}

export function getQdisc(device: number): Request {
  return {
    operation: `get the clsact qdisc of device ${device}`,
    type: RTM.GETQDISC,
    flags: NLM_F.ECHO,
    body: tcHeader(device, CLSACT_HANDLE, TC_H_CLSACT, 0).finish(),
    // Absent; another qdisc stands there; no such device.
    accept: (errno) => ['ENOENT', 'EINVAL', 'ENODEV'].includes(errno),
  }
}

export function createClsact(clsact: {
  readonly device: number
  readonly ingressBlock?: number
  readonly egressBlock?: number
}): Request {
  const message = tcHeader(clsact.device, CLSACT_HANDLE, TC_H_CLSACT, 0).attrString(
    TCA.KIND,
    'clsact',
  )
  if (clsact.ingressBlock !== undefined) message.attrU32(TCA.INGRESS_BLOCK, clsact.ingressBlock)
  if (clsact.egressBlock !== undefined) message.attrU32(TCA.EGRESS_BLOCK, clsact.egressBlock)
  return {
    operation: `put the clsact qdisc on device ${clsact.device}`,
    type: RTM.NEWQDISC,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: message.finish(),
  }
}

export function removeClsact(device: number): Request {
  return {
    operation: `remove the clsact qdisc of device ${device}`,
    type: RTM.DELQDISC,
    flags: 0,
    body: tcHeader(device, CLSACT_HANDLE, TC_H_CLSACT, 0).attrString(TCA.KIND, 'clsact').finish(),
    accept: (errno, ack) =>
      errno === 'ENODEV' ||
      errno === 'ENOENT' ||
      (errno === 'EINVAL' && /find|Invalid handle/.test(ack)),
  }
}

/** struct tcmsg */
export function tcHeader(device: number, handle: number, parent: number, info: number): Writer {
  return new Writer().u32(0).u32(device).u32(handle).u32(parent).u32(info)
}
