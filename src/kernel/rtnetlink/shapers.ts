/**
 * A token bucket (tbf) at the root of a device, on the wire: struct tcmsg, TCA attributes and TCA_TBF options.
 * linux/pkt_sched.h
 */

import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import type { Shaper } from '../traffic-control.ts'
import { RTM } from './protocol.ts'
import { TC_HEADER_BYTES, tcHeader } from './qdiscs.ts'

const TCA = { KIND: 1, OPTIONS: 2 } as const
const TCA_TBF = { PARMS: 1, RATE64: 4, BURST: 6 } as const
const TC_H_ROOT = 0xffffffff
const TC_LINKLAYER_ETHERNET = 1
/** struct tc_tbf_qopt: two rates of 12 bytes, limit, buffer, mtu. */
const PARMS = { BYTES: 36, RATE: 8, LIMIT: 24, BUFFER: 28 } as const
const MOST_U32 = 0xffffffff
/** The kernel tells the bucket as the time that fills it, in units of so many nanoseconds. */
const TICK_NS = 64

/** The bucket; undefined for every other qdisc, and for one that is not at a device's root. */
export function readShaper(body: Uint8Array): Shaper | undefined {
  if (body.length < TC_HEADER_BYTES) return undefined
  const header = viewOf(body)
  const attributes = new Attributes(body.subarray(TC_HEADER_BYTES))
  if (attributes.string(TCA.KIND) !== 'tbf' || header.getUint32(12, true) !== TC_H_ROOT) {
    return undefined
  }
  const options = attributes.nested(TCA.OPTIONS)
  const bytes = options.bytes(TCA_TBF.PARMS)
  if (bytes === undefined || bytes.length < PARMS.BYTES) return undefined
  const parms = viewOf(bytes)
  const large = options.bytes(TCA_TBF.RATE64)
  const bytesPerSecond =
    large?.length === 8
      ? Number(viewOf(large).getBigUint64(0, true))
      : parms.getUint32(PARMS.RATE, true)
  const fullSeconds = (parms.getUint32(PARMS.BUFFER, true) * TICK_NS) / 1e9
  return {
    device: header.getInt32(4, true),
    handle: header.getUint32(8, true) >>> 16,
    bytesPerSecond,
    burstBytes: Math.round(fullSeconds * bytesPerSecond),
    queueBytes: parms.getUint32(PARMS.LIMIT, true),
  }
}

export function getShaper(device: number, handle: number): Request {
  return {
    operation: `get qdisc ${handle} of device ${device}`,
    type: RTM.GETQDISC,
    flags: NLM_F.ECHO,
    body: tcHeader(device, handle * 0x10000, TC_H_ROOT, 0).finish(),
    accept: isAbsent,
  }
}

export function putShaper(shaper: Shaper): Request {
  const { device, handle, bytesPerSecond, burstBytes, queueBytes } = shaper
  const parms = new Uint8Array(PARMS.BYTES)
  const view = viewOf(parms)
  view.setUint8(1, TC_LINKLAYER_ETHERNET)
  view.setUint32(PARMS.RATE, Math.min(bytesPerSecond, MOST_U32), true)
  view.setUint32(PARMS.LIMIT, queueBytes, true)
  const message = tcHeader(device, handle * 0x10000, TC_H_ROOT, 0).attrString(TCA.KIND, 'tbf')
  message.nested(TCA.OPTIONS, () => {
    message.attr(TCA_TBF.PARMS, parms).attrU32(TCA_TBF.BURST, burstBytes)
    if (bytesPerSecond > MOST_U32) {
      const rate = new Uint8Array(BigUint64Array.of(BigInt(bytesPerSecond)).buffer)
      message.attr(TCA_TBF.RATE64, rate)
    }
  })
  return {
    operation: `put qdisc tbf ${handle} at the root of device ${device}`,
    type: RTM.NEWQDISC,
    flags: NLM_F.CREATE | NLM_F.REPLACE,
    body: message.finish(),
  }
}

export function removeShaper(device: number, handle: number): Request {
  return {
    operation: `remove qdisc ${handle} from the root of device ${device}`,
    type: RTM.DELQDISC,
    flags: 0,
    body: tcHeader(device, handle * 0x10000, TC_H_ROOT, 0).finish(),
    accept: isAbsent,
  }
}

/** Nothing stands there, or another one does, or there is no such device. */
function isAbsent(errno: string): boolean {
  return ['ENOENT', 'EINVAL', 'ENODEV'].includes(errno)
}
