/** Addresses on the wire: struct ifaddrmsg and IFA attributes. linux/if_addr.h */
import type { Address, Addresses, NewAddress } from '../kernel.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import {
  absent,
  familyFrom,
  familyNumber,
  ipValue,
  RTM,
  scopeFrom,
  scopeNumber,
} from './protocol.ts'

const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const
const IFA_F = { NODAD: 0x02, DADFAILED: 0x08, TENTATIVE: 0x40, NOPREFIXROUTE: 0x200 } as const
const HEADER_BYTES = 8

export function readAddress(body: Uint8Array): Address | undefined {
  if (body.length < HEADER_BYTES) return undefined
  const header = viewOf(body)
  const attributes = new Attributes(body.subarray(HEADER_BYTES))
  // On point-to-point devices ADDRESS is the other side's; LOCAL, where told, is ours.
  const address = attributes.ip(IFA.LOCAL) ?? attributes.ip(IFA.ADDRESS)
  if (familyFrom(header.getUint8(0)) === undefined || address === undefined) return undefined
  const flags = attributes.u32(IFA.FLAGS) ?? header.getUint8(2)
  return {
    device: header.getUint32(4, true),
    address,
    prefixLength: header.getUint8(1),
    scope: scopeFrom(header.getUint8(3)),
    noDad: (flags & IFA_F.NODAD) !== 0,
    tentative: (flags & (IFA_F.TENTATIVE | IFA_F.DADFAILED)) !== 0,
    noPrefixRoute: (flags & IFA_F.NOPREFIXROUTE) !== 0,
  }
}

export function listAddresses(device: number | undefined): Request {
  return {
    operation: 'list addresses',
    type: RTM.GETADDR,
    flags: NLM_F.DUMP,
    body: new Writer()
      .u32(0)
      .u32(device ?? 0)
      .finish(),
    accept: absent('ENODEV'),
  }
}

export function putAddress(address: NewAddress): Request {
  const { family, bytes } = ipValue(address.address)
  const flags =
    (address.noDad === true && family === 6 ? IFA_F.NODAD : 0) |
    (address.noPrefixRoute === true ? IFA_F.NOPREFIXROUTE : 0)
  const scope = address.scope ?? (family === 4 && bytes[0] === 127 ? 'host' : 'global')
  const message = new Writer()
    .u8(familyNumber(family))
    .u8(address.prefixLength)
    .u8(0)
    .u8(scopeNumber(scope))
    .u32(address.device)
    .attr(IFA.LOCAL, bytes)
    .attr(IFA.ADDRESS, bytes)
    .attrU32(IFA.FLAGS, flags)
  return {
    operation: `put address ${address.address}/${address.prefixLength} on device ${address.device}`,
    type: RTM.NEWADDR,
    flags: NLM_F.CREATE | NLM_F.REPLACE,
    body: message.finish(),
  }
}

export function removeAddress(address: Parameters<Addresses['remove']>[0]): Request {
  const { family, bytes } = ipValue(address.address)
  const message = new Writer()
    .u8(familyNumber(family))
    .u8(address.prefixLength)
    .u8(0)
    .u8(0)
    .u32(address.device)
    .attr(IFA.LOCAL, bytes)
    .attr(IFA.ADDRESS, bytes)
  return {
    operation: `remove address ${address.address}/${address.prefixLength} from device ${address.device}`,
    type: RTM.DELADDR,
    flags: 0,
    body: message.finish(),
    accept: absent('EADDRNOTAVAIL', 'ENODEV'),
  }
}
