/**
 * Filters that are BPF programs with direct action, on the wire. linux/pkt_cls.h TCA_BPF_*
 * A shared block is named by a magic device and the block's number in the parent's place.
 */
import { NetworkError } from '../../lib/errors.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import type { Filter, FilterPlace, Filters } from '../traffic-control.ts'
import { RTM } from './protocol.ts'
import { TC_HEADER_BYTES, tcHeader } from './qdiscs.ts'

const TCA = { KIND: 1, OPTIONS: 2 } as const
const TCA_BPF = { FD: 6, NAME: 7, FLAGS: 8, TAG: 10, ID: 11 } as const
const TCA_BPF_FLAG_ACT_DIRECT = 1
const TCM_IFINDEX_MAGIC_BLOCK = 0xffffffff
const TC_H_MIN = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const
/** ETH_P_ALL, in network order in the lower half of tcm_info. */
const ALL_PROTOCOLS = 0x0300
/** CLS_BPF_NAME_LEN less the closing zero. */
const NAME_BYTES = 255

/** The filter; undefined for every other kind and for the header of a priority's list. */
export function readFilter(body: Uint8Array, place: FilterPlace): Filter | undefined {
  if (body.length < TC_HEADER_BYTES) return undefined
  const header = viewOf(body)
  const attributes = new Attributes(body.subarray(TC_HEADER_BYTES))
  const handle = header.getUint32(8, true)
  if (attributes.string(TCA.KIND) !== 'bpf' || handle === 0) return undefined
  const options = attributes.nested(TCA.OPTIONS)
  return {
    place,
    priority: header.getUint32(16, true) >>> 16,
    handle,
    name: options.string(TCA_BPF.NAME) ?? '',
    programId: options.u32(TCA_BPF.ID) ?? 0,
    programTag: Buffer.from(options.bytes(TCA_BPF.TAG) ?? []).toString('hex'),
  }
}

export function listFilters(place: FilterPlace): Request {
  return {
    operation: `list filters of ${shown(place)}`,
    type: RTM.GETTFILTER,
    flags: NLM_F.DUMP,
    body: filterHeader(place, 0, 0).finish(),
    accept: nothingThere,
  }
}

export function putFilter(filter: Parameters<Filters['put']>[0]): Request {
  if (
    filter.priority < 1 ||
    filter.priority > 0xffff ||
    Buffer.byteLength(filter.name) > NAME_BYTES
  ) {
    throw new NetworkError(
      'invalid',
      `Cannot put filter "${filter.name}": needs a priority from 1 to 65535 and a name of ${NAME_BYTES} bytes`,
    )
  }
  const message = filterHeader(filter.place, filter.handle, filter.priority)
  message.attrString(TCA.KIND, 'bpf')
  message.nested(TCA.OPTIONS, () =>
    message
      .attrU32(TCA_BPF.FD, filter.programFd)
      .attrString(TCA_BPF.NAME, filter.name)
      .attrU32(TCA_BPF.FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
  )
  return {
    operation: `put filter "${filter.name}" on ${shown(filter.place)}`,
    type: RTM.NEWTFILTER,
    flags: NLM_F.CREATE | NLM_F.REPLACE,
    body: message.finish(),
  }
}

export function removeFilter(filter: Parameters<Filters['remove']>[0]): Request {
  return {
    operation: `remove filter ${filter.priority} of ${shown(filter.place)}`,
    type: RTM.DELTFILTER,
    flags: 0,
    body: filterHeader(filter.place, filter.handle, filter.priority)
      .attrString(TCA.KIND, 'bpf')
      .finish(),
    accept: nothingThere,
  }
}

function filterHeader(place: FilterPlace, handle: number, priority: number) {
  const info = priority === 0 ? 0 : priority * 0x10000 + ALL_PROTOCOLS
  return 'block' in place
    ? tcHeader(TCM_IFINDEX_MAGIC_BLOCK, handle, place.block, info)
    : tcHeader(place.device, handle, TC_H_MIN[place.direction], info)
}

/** No filter, no device, or (in the acknowledgement's words only) no qdisc or block. */
function nothingThere(errno: string, ack: string): boolean {
  if (errno === 'ENOENT' || errno === 'ENODEV') return true
  return errno === 'EINVAL' && /Parent Qdisc|Block of given index|Cannot find/.test(ack)
}

function shown(place: FilterPlace): string {
  return 'block' in place ? `block ${place.block}` : `device ${place.device} ${place.direction}`
}
