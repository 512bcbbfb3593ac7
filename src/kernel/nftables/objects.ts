/**
 * What can be asked of rulesets besides whole tables of ours: which chains packets meet, how each rule
 * judges them, and what a set holds. Asked object by object, so that a large ruleset costs nothing.
 */

/** Families of tables that judge packets of this host's stack. */
export type NftFamily = 'inet' | 'ip' | 'ip6'

export interface NftTable {
  readonly family: NftFamily
  readonly name: string
  /** True when only the program that made it may change it. NFT_TABLE_F_OWNER */
  readonly owned: boolean
}

export interface NftChain {
  readonly family: NftFamily
  readonly table: string
  readonly name: string
  /** Where packets come in; undefined for a chain that others call. */
  readonly base:
    | {
        readonly type: string
        /** Number of the hook. linux/netfilter.h enum nf_inet_hooks */
        readonly hook: number
        readonly priority: number
        readonly policy: 'accept' | 'drop'
      }
    | undefined
}

export interface NftRule {
  readonly handle: bigint
  readonly comment: string | undefined
  /** Bits of the packet mark that it looks at; undefined when it looks at none, or at all. */
  readonly markMask: number | undefined
  /** What becomes of packets that it means; undefined when they go on to the next rule. */
  readonly verdict:
    | { readonly kind: 'accept' | 'drop' | 'return' }
    | { readonly kind: 'jump' | 'goto'; readonly chain: string }
    | undefined
  /** True when it does not mean every packet, or what it does with them is not known here. */
  readonly conditional: boolean
  /** True when it does nothing but count and log. */
  readonly passive: boolean
}

export interface NftElement {
  /** As registers hold it: each part of a concatenation padded to four bytes. */
  readonly key: Uint8Array
  /** What a map leads to; empty for sets and maps of verdicts. */
  readonly value: Uint8Array
  /** The chain that a map of verdicts leads to. */
  readonly chain: string | undefined
}

/** Elements of one set or map that come or go; of those that go only the key matters. */
export interface NftElementChange {
  readonly verb: 'add' | 'delete'
  readonly family: NftFamily
  readonly table: string
  readonly name: string
  /** A map of verdicts jumps to their chains. */
  readonly elements: readonly NftElement[]
}

export interface NftQueries {
  /** Tables and chains of other families are left out. */
  tables(): readonly NftTable[]
  chains(): readonly NftChain[]
  /** Empty when there is no such chain. */
  rules(chain: Pick<NftChain, 'family' | 'table' | 'name'>): readonly NftRule[]
  /**
   * Tables of the older iptables, `filter` and others, which stand beside nftables and are changed by its own
   * programs only.
   */
  legacyTables(): readonly string[]
  /** Undefined when there is no such set or map. */
  elements(set: {
    readonly family: NftFamily
    readonly table: string
    readonly name: string
  }): readonly NftElement[] | undefined
}
