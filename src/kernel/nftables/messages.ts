/** Requests for nftables' objects and their answers. Numbers are big-endian. linux/netfilter/nf_tables.h */
import { NLM_F, type Request } from '../netlink/message.ts'
import { Attributes, eachAttribute } from '../netlink/reader.ts'
import { Writer } from '../netlink/writer.ts'
import type {
  NftChain,
  NftElement,
  NftElementChange,
  NftFamily,
  NftRule,
  NftTable,
} from './objects.ts'

const NFNL_SUBSYS_NFTABLES = 10
/** struct nfgenmsg */
const HEADER_BYTES = 4
/** linux/netfilter.h NFPROTO_* */
const NFPROTO: Readonly<Record<NftFamily, number>> = { inet: 1, ip: 2, ip6: 10 }

const NFT_MSG = {
  ...{ GETTABLE: 1, GETCHAIN: 4, GETRULE: 7 },
  ...{ NEWSETELEM: 12, GETSETELEM: 13, DELSETELEM: 14 },
} as const
/** linux/netfilter/nfnetlink.h NFNL_MSG_* */
const BATCH = { BEGIN: 16, END: 17 } as const
const NFTA_TABLE = { NAME: 1, FLAGS: 2 } as const
const NFT_TABLE_F_OWNER = 2
const NFTA_CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const
const NFTA_HOOK = { HOOKNUM: 1, PRIORITY: 2 } as const
const NFTA_RULE = { TABLE: 1, CHAIN: 2, HANDLE: 3, EXPRESSIONS: 4, USERDATA: 7 } as const
const NFTA_EXPR = { NAME: 1, DATA: 2 } as const
const NFTA_IMMEDIATE_DATA = 2
const NFTA_DATA = { VALUE: 1, VERDICT: 2 } as const
const NFTA_VERDICT = { CODE: 1, CHAIN: 2 } as const
const NFTA_TARGET_NAME = 1
const NFTA_META_KEY = 2
const NFT_META_MARK = 3
const NFTA_BITWISE_MASK = 4
const NFTA_SET_ELEM_LIST = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const
const NFTA_SET_ELEM = { KEY: 1, DATA: 2 } as const
const NFTA_LIST_ELEM = 1
/** An attribute has no room for more than 64 KiB. */
const ELEMENTS_A_MESSAGE = 256
/** Verdicts: linux/netfilter.h NF_*, and nf_tables.h NFT_* below zero. */
const VERDICT = { DROP: 0, ACCEPT: 1, JUMP: -3, GOTO: -4, RETURN: -5 } as const
/** First byte of an entry of a rule's user data: a comment. libnftnl/udata.h NFTNL_UDATA_RULE_COMMENT */
const UDATA_COMMENT = 0

/** Expressions that look at nothing and decide nothing, and iptables' targets of that kind. */
const PASSIVE: readonly string[] = ['counter', 'log']
const PASSIVE_TARGETS: readonly string[] = ['LOG', 'NFLOG']

export function getTables(): Request {
  return request('list nftables tables', NFT_MSG.GETTABLE, 0, new Writer())
}

export function getChains(): Request {
  return request('list nftables chains', NFT_MSG.GETCHAIN, 0, new Writer())
}

export function getRules({ family, table, name }: Pick<NftChain, 'family' | 'table' | 'name'>) {
  const body = new Writer().attrString(NFTA_RULE.TABLE, table).attrString(NFTA_RULE.CHAIN, name)
  return request(`list chain "${table} ${name}"`, NFT_MSG.GETRULE, NFPROTO[family], body)
}

export function getElements(set: {
  readonly family: NftFamily
  readonly table: string
  readonly name: string
}): Request {
  const body = new Writer()
    .attrString(NFTA_SET_ELEM_LIST.TABLE, set.table)
    .attrString(NFTA_SET_ELEM_LIST.SET, set.name)
  const operation = `list set "${set.table} ${set.name}"`
  return request(operation, NFT_MSG.GETSETELEM, NFPROTO[set.family], body)
}

/** One transaction: what begins it, what is done, what ends it. */
export function changeElements(
  changes: readonly NftElementChange[],
): readonly [begin: Request, requests: readonly Request[], end: Request] {
  const requests = changes.flatMap((change) => {
    const parts: Request[] = []
    for (let at = 0; at < change.elements.length; at += ELEMENTS_A_MESSAGE) {
      parts.push(changeSome(change, change.elements.slice(at, at + ELEMENTS_A_MESSAGE)))
    }
    return parts
  })
  return [bracket(BATCH.BEGIN), requests, bracket(BATCH.END)]
}

function changeSome(
  { verb, family, table, name }: NftElementChange,
  elements: readonly NftElement[],
): Request {
  const body = new Writer().u8(NFPROTO[family]).u8(0).u16(0)
  body.attrString(NFTA_SET_ELEM_LIST.TABLE, table).attrString(NFTA_SET_ELEM_LIST.SET, name)
  body.nested(NFTA_SET_ELEM_LIST.ELEMENTS, () => {
    for (const element of elements) {
      body.nested(NFTA_LIST_ELEM, () => {
        body.nested(NFTA_SET_ELEM.KEY, () => body.attr(NFTA_DATA.VALUE, element.key))
        if (verb === 'add') writeData(body, element)
      })
    }
  })
  return {
    operation: `${verb} elements of "${table} ${name}"`,
    type: (NFNL_SUBSYS_NFTABLES << 8) | (verb === 'add' ? NFT_MSG.NEWSETELEM : NFT_MSG.DELSETELEM),
    flags: verb === 'add' ? NLM_F.CREATE : 0,
    body: body.finish(),
  }
}

/** What a map leads to; nothing for a set. */
function writeData(body: Writer, { value, chain }: NftElement): void {
  if (chain !== undefined) {
    body.nested(NFTA_SET_ELEM.DATA, () =>
      body.nested(NFTA_DATA.VERDICT, () =>
        body.attrU32BE(NFTA_VERDICT.CODE, VERDICT.JUMP).attrString(NFTA_VERDICT.CHAIN, chain),
      ),
    )
  } else if (value.length > 0) {
    body.nested(NFTA_SET_ELEM.DATA, () => body.attr(NFTA_DATA.VALUE, value))
  }
}

/** The number of the part of netfilter that is meant stands where others have a resource. */
function bracket(type: number): Request {
  const body = new Writer().u8(0).u8(0).u8(0).u8(NFNL_SUBSYS_NFTABLES)
  return { operation: 'change nftables', type, flags: 0, body: body.finish() }
}

export function readTable(body: Uint8Array): NftTable | undefined {
  const [family, attributes] = familyAnd(body)
  const name = attributes.string(NFTA_TABLE.NAME)
  if (family === undefined || name === undefined) return undefined
  const owned = ((attributes.u32BE(NFTA_TABLE.FLAGS) ?? 0) & NFT_TABLE_F_OWNER) !== 0
  return { family, name, owned }
}

export function readChain(body: Uint8Array): NftChain | undefined {
  const [family, attributes] = familyAnd(body)
  const table = attributes.string(NFTA_CHAIN.TABLE)
  const name = attributes.string(NFTA_CHAIN.NAME)
  if (family === undefined || table === undefined || name === undefined) return undefined
  const hook = attributes.nested(NFTA_CHAIN.HOOK)
  const number = hook.u32BE(NFTA_HOOK.HOOKNUM)
  if (number === undefined) return { family, table, name, base: undefined }
  return {
    family,
    table,
    name,
    base: {
      type: attributes.string(NFTA_CHAIN.TYPE) ?? '',
      hook: number,
      priority: (hook.u32BE(NFTA_HOOK.PRIORITY) ?? 0) | 0,
      policy: attributes.u32BE(NFTA_CHAIN.POLICY) === VERDICT.DROP ? 'drop' : 'accept',
    },
  }
}

export function readRule(body: Uint8Array): NftRule | undefined {
  const [, attributes] = familyAnd(body)
  const handle = attributes.bytes(NFTA_RULE.HANDLE)
  if (handle === undefined || handle.length !== 8) return undefined
  const expressions = Array.from(
    eachAttribute(attributes.bytes(NFTA_RULE.EXPRESSIONS) ?? new Uint8Array(0)),
    ({ payload }) => new Attributes(payload),
  )
  const acting = expressions.map(expressionIn).filter((each) => each !== 'passive')
  const last = acting.at(-1)
  return {
    handle: Buffer.from(handle).readBigUInt64BE(),
    comment: commentIn(attributes.bytes(NFTA_RULE.USERDATA)),
    markMask: markMaskIn(expressions),
    verdict: typeof last === 'object' ? last : undefined,
    conditional: acting.length > (typeof last === 'object' ? 1 : 0),
    passive: acting.length === 0,
  }
}

/** The elements of one part of a list. */
export function* readElements(body: Uint8Array): Generator<NftElement> {
  const [, attributes] = familyAnd(body)
  const list = attributes.bytes(NFTA_SET_ELEM_LIST.ELEMENTS) ?? new Uint8Array(0)
  for (const { payload } of eachAttribute(list)) {
    const element = new Attributes(payload)
    const key = element.nested(NFTA_SET_ELEM.KEY).bytes(NFTA_DATA.VALUE)
    if (key === undefined) continue
    const data = element.nested(NFTA_SET_ELEM.DATA)
    yield {
      key: new Uint8Array(key),
      value: new Uint8Array(data.bytes(NFTA_DATA.VALUE) ?? new Uint8Array(0)),
      chain: data.nested(NFTA_DATA.VERDICT).string(NFTA_VERDICT.CHAIN),
    }
  }
}

function request(operation: string, message: number, family: number, body: Writer): Request {
  const header = new Writer().u8(family).u8(0).u16(0)
  return {
    operation,
    type: (NFNL_SUBSYS_NFTABLES << 8) | message,
    flags: NLM_F.DUMP,
    list: true,
    body: header.bytes(body.finish()).finish(),
  }
}

function familyAnd(body: Uint8Array): readonly [NftFamily | undefined, Attributes] {
  const family = (['inet', 'ip', 'ip6'] as const).find((each) => NFPROTO[each] === body[0])
  return [family, new Attributes(body.subarray(HEADER_BYTES))]
}

/** What one expression does: a verdict, nothing, or something that depends on the packet. */
function expressionIn(
  expression: Attributes,
): NonNullable<NftRule['verdict']> | 'passive' | 'other' {
  const name = expression.string(NFTA_EXPR.NAME) ?? ''
  const data = expression.nested(NFTA_EXPR.DATA)
  if (PASSIVE.includes(name)) return 'passive'
  if (name === 'reject') return { kind: 'drop' }
  if (name === 'target') {
    const target = data.string(NFTA_TARGET_NAME) ?? ''
    if (PASSIVE_TARGETS.includes(target)) return 'passive'
    return target === 'REJECT' ? { kind: 'drop' } : 'other'
  }
  if (name !== 'immediate') return 'other'
  const verdict = data.nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA.VERDICT)
  const code = verdict.u32BE(NFTA_VERDICT.CODE)
  const chain = verdict.string(NFTA_VERDICT.CHAIN) ?? ''
  switch (code === undefined ? undefined : code | 0) {
    case VERDICT.DROP:
      return { kind: 'drop' }
    case VERDICT.ACCEPT:
      return { kind: 'accept' }
    case VERDICT.RETURN:
      return { kind: 'return' }
    case VERDICT.JUMP:
      return { kind: 'jump', chain }
    case VERDICT.GOTO:
      return { kind: 'goto', chain }
    default:
      return 'other'
  }
}

/** A packet mark that is loaded and then masked. The mask is in the machine's order. */
function markMaskIn(expressions: readonly Attributes[]): number | undefined {
  for (const [i, expression] of expressions.entries()) {
    const key = expression.nested(NFTA_EXPR.DATA).u32BE(NFTA_META_KEY)
    if (expression.string(NFTA_EXPR.NAME) !== 'meta' || key !== NFT_META_MARK) continue
    const next = expressions[i + 1]
    if (next?.string(NFTA_EXPR.NAME) !== 'bitwise') continue
    return next.nested(NFTA_EXPR.DATA).nested(NFTA_BITWISE_MASK).u32(NFTA_DATA.VALUE)
  }
  return undefined
}

/** User data is a row of entries: type, length, bytes. */
function commentIn(userdata: Uint8Array | undefined): string | undefined {
  const bytes = userdata ?? new Uint8Array(0)
  for (let at = 0; at + 2 <= bytes.length; at += 2 + (bytes[at + 1] ?? 0)) {
    if (bytes[at] !== UDATA_COMMENT) continue
    const text = Buffer.from(bytes.subarray(at + 2, at + 2 + (bytes[at + 1] ?? 0))).toString()
    return text.replace(/\0.*$/s, '')
  }
  return undefined
}
