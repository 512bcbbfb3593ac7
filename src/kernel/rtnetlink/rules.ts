/** Routing rules on the wire: struct fib_rule_hdr and FRA attributes. linux/fib_rules.h */
import type { NewRule, Rule } from '../kernel.ts'
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, viewOf } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import {
  absent,
  familyFrom,
  familyNumber,
  nameOf,
  prefixText,
  prefixValue,
  RTM,
} from './protocol.ts'

const FRA = {
  DST: 1,
  SRC: 2,
  IIFNAME: 3,
  PRIORITY: 6,
  FWMARK: 10,
  TABLE: 15,
  FWMASK: 16,
  OIFNAME: 17,
  PROTOCOL: 21,
} as const
const ACTIONS: Readonly<Record<string, number>> = {
  lookup: 1,
  goto: 2,
  nop: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
}
const HEADER_BYTES = 12

export function readRule(body: Uint8Array): Rule | undefined {
  if (body.length < HEADER_BYTES) return undefined
  const header = viewOf(body)
  const family = familyFrom(header.getUint8(0))
  if (family === undefined) return undefined
  const attributes = new Attributes(body.subarray(HEADER_BYTES))
  const prefix = (type: number, length: number) =>
    length === 0 ? undefined : prefixText(attributes.ip(type), family, length)
  return {
    family,
    priority: attributes.u32(FRA.PRIORITY) ?? 0,
    table: attributes.u32(FRA.TABLE) ?? header.getUint8(4),
    mark: attributes.u32(FRA.FWMARK),
    mask: attributes.u32(FRA.FWMASK),
    source: prefix(FRA.SRC, header.getUint8(2)),
    destination: prefix(FRA.DST, header.getUint8(1)),
    inputDevice: attributes.string(FRA.IIFNAME),
    outputDevice: attributes.string(FRA.OIFNAME),
    protocol: attributes.u8(FRA.PROTOCOL) ?? 0,
    action: nameOf(ACTIONS, header.getUint8(7)) as Rule['action'],
  }
}

/** `family` 0 asks for both. */
export function listRules(family: 0 | 4 | 6): Request {
  return {
    operation: 'list rules',
    type: RTM.GETRULE,
    flags: NLM_F.DUMP,
    body: new Writer()
      .u8(family === 0 ? 0 : familyNumber(family))
      .u8(0)
      .u8(0)
      .u8(0)
      .u32(0)
      .u32(0)
      .finish(),
    accept: absent('EAFNOSUPPORT'),
  }
}

export function putRule(rule: NewRule): Request {
  return {
    operation: `put rule ${rule.priority}`,
    type: RTM.NEWRULE,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    body: writeRule(rule),
    accept: absent('EEXIST'),
  }
}

export function removeRule(rule: NewRule): Request {
  return {
    operation: `remove rule ${rule.priority}`,
    type: RTM.DELRULE,
    flags: 0,
    body: writeRule(rule),
    accept: absent('ENOENT', 'EAFNOSUPPORT'),
  }
}

function writeRule(rule: NewRule): Uint8Array {
  const source = rule.source === undefined ? undefined : prefixValue(rule.source)
  const destination = rule.destination === undefined ? undefined : prefixValue(rule.destination)
  const action = rule.action ?? 'lookup'
  const message = new Writer()
    .u8(familyNumber(rule.family))
    .u8(destination?.length ?? 0)
    .u8(source?.length ?? 0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u8(typeof action === 'number' ? action : (ACTIONS[action] ?? 1))
    .u32(0)
  if (destination !== undefined) message.attr(FRA.DST, destination.bytes)
  if (source !== undefined) message.attr(FRA.SRC, source.bytes)
  if (rule.inputDevice !== undefined) message.attrString(FRA.IIFNAME, rule.inputDevice)
  message.attrU32(FRA.PRIORITY, rule.priority)
  if (rule.mark !== undefined) message.attrU32(FRA.FWMARK, rule.mark)
  if (rule.table !== 0) message.attrU32(FRA.TABLE, rule.table)
  if (rule.mask !== undefined) message.attrU32(FRA.FWMASK, rule.mask)
  if (rule.outputDevice !== undefined) message.attrString(FRA.OIFNAME, rule.outputDevice)
  if (rule.protocol !== undefined) message.attrU8(FRA.PROTOCOL, rule.protocol)
  return message.finish()
}
