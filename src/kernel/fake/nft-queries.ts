/**
 * Questions to the fake kernel's nftables: of chains and rules that came as JSON, and of elements that came
 * as text, `key : value`, which are given back as the bytes of that text, or as they are.
 */
import type { NftChain, NftElement, NftFamily, NftQueries, NftRule } from '../nftables/objects.ts'
import type { FakeNamespace } from './state.ts'

type Fields = Readonly<Record<string, unknown>>
const FAMILIES: readonly string[] = ['inet', 'ip', 'ip6'] satisfies NftFamily[]
/** linux/netfilter.h enum nf_inet_hooks */
const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting']

export function fakeNftQueries(own: FakeNamespace): NftQueries {
  const tables = () => [...own.nftTables.values()].filter(({ family }) => FAMILIES.includes(family))
  const objects = (family: string, table: string, kind: string): readonly Fields[] =>
    (own.nftTables.get(`${family} ${table}`)?.objects ?? []).flatMap((each) =>
      each[kind] === undefined ? [] : [each[kind] as Fields],
    )
  return {
    tables: () =>
      tables().map(({ family, name }) => ({ family: family as NftFamily, name, owned: false })),
    chains: () =>
      tables().flatMap(({ family, name }) =>
        objects(family, name, 'chain').map((chain) => chainOf(family as NftFamily, name, chain)),
      ),
    rules: ({ family, table, name }) =>
      objects(family, table, 'rule')
        .filter((rule) => rule['chain'] === name)
        .map(ruleOf),
    legacyTables: () => [],
    elements: ({ family, table, name }) => {
      const set = [...objects(family, table, 'set'), ...objects(family, table, 'map')].find(
        (each) => each['name'] === name,
      )
      if (set === undefined) return undefined
      return ((set['elem'] ?? []) as readonly unknown[]).map((element) => {
        if (typeof element !== 'string') return element as NftElement
        const [key = '', value = ''] = `${element}`.split(' : ')
        return { key: Buffer.from(key), value: Buffer.from(value), chain: undefined }
      })
    },
  }
}

function chainOf(family: NftFamily, table: string, chain: Fields): NftChain {
  const hook = HOOKS.indexOf(`${chain['hook']}`)
  const policy = chain['policy'] === 'drop' ? 'drop' : 'accept'
  const base =
    hook < 0
      ? undefined
      : { type: `${chain['type']}`, hook, priority: Number(chain['prio'] ?? 0), policy }
  return { family, table, name: `${chain['name']}`, base } as NftChain
}

function ruleOf(rule: Fields): NftRule {
  const expressions = (rule['expr'] ?? []) as readonly Fields[]
  const acting = expressions.filter((each) => !('counter' in each) && !('log' in each))
  const last = acting.at(-1) ?? {}
  const name = Object.keys(last)[0] ?? ''
  const kind = name === 'reject' ? 'drop' : name
  const known = ['accept', 'drop', 'return', 'jump', 'goto'].includes(kind)
  const chain = (last[name] as Fields | null | undefined)?.['target']
  return {
    handle: BigInt(Number(rule['handle'] ?? 0)),
    comment: rule['comment'] as string | undefined,
    markMask: undefined,
    verdict: known ? ({ kind, chain } as NftRule['verdict']) : undefined,
    conditional: acting.length > (known ? 1 : 0),
    passive: acting.length === 0,
  }
}
