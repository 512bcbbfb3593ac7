/** Neighbours on the wire: struct ndmsg and NDA attributes. linux/neighbour.h */
import type { Neighbour } from '../kernel.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import {
  absent,
  familyFrom,
  familyNumber,
  ipValue,
  macText,
  macValue,
  nameOf,
  RTM,
} from './protocol.ts'

const NDA = { DST: 1, LLADDR: 2, IFINDEX: 8 } as const
const STATES: Readonly<Record<string, number>> = {
  none: 0,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
}
const NUD_PERMANENT = 0x80
const HEADER_BYTES = 12

export function readNeighbour(body: Uint8Array): Neighbour | undefined {
  if (body.length < HEADER_BYTES) return undefined
  const header = viewOf(body)
  const attributes = new Attributes(body.subarray(HEADER_BYTES))
  const address = attributes.ip(NDA.DST)
  if (familyFrom(header.getUint8(0)) === undefined || address === undefined) return undefined
  const state = nameOf(STATES, header.getUint16(8, true))
  return {
    device: header.getInt32(4, true),
    address,
    mac: macText(attributes.bytes(NDA.LLADDR)),
    state: typeof state === 'string' ? state : `unknown(0x${state.toString(16)})`,
  }
}

export function listNeighbours(device: number | undefined): Request {
  const message = new Writer().u32(0).i32(0).u32(0)
  if (device !== undefined) message.attrU32(NDA.IFINDEX, device)
  return {
    operation: 'list neighbours',
    type: RTM.GETNEIGH,
    flags: NLM_F.DUMP,
    body: message.finish(),
  }
}

export function putNeighbour(neighbour: {
  readonly device: number
  readonly address: string
  readonly mac: string
}): Request {
  const { family, bytes } = ipValue(neighbour.address)
  return {
    operation: `put neighbour ${neighbour.address} on device ${neighbour.device}`,
    type: RTM.NEWNEIGH,
    flags: NLM_F.CREATE | NLM_F.REPLACE,
    body: neighbourHeader(family, neighbour.device, NUD_PERMANENT)
      .attr(NDA.DST, bytes)
      .attr(NDA.LLADDR, macValue(neighbour.mac))
      .finish(),
  }
}

export function removeNeighbour(neighbour: Pick<Neighbour, 'device' | 'address'>): Request {
  const { family, bytes } = ipValue(neighbour.address)
  return {
    operation: `remove neighbour ${neighbour.address} from device ${neighbour.device}`,
    type: RTM.DELNEIGH,
    flags: 0,
    body: neighbourHeader(family, neighbour.device, 0).attr(NDA.DST, bytes).finish(),
    accept: absent('ENOENT', 'ENODEV'),
  }
}

function neighbourHeader(family: 4 | 6, device: number, state: number): Writer {
  return new Writer().u32(familyNumber(family)).i32(device).u16(state).u16(0)
}
