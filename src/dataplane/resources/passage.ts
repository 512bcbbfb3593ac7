/**
 * Living beside firewalls (R17): a chain of somebody else's that drops what nobody has judged also drops what
 * our table has let pass, because every chain on a hook must accept. So each gets one rule of ours, which
 * accepts packets with our mark, where such a chain would drop them: last of all, after every rule of the
 * administrator's, whose own deny wins. Nothing else of theirs is touched.
 */

import type { Passage, PassageHook } from '../../hoststate/ports.ts'
import { MARK } from '../../hoststate/state.ts'
import { errnoOf } from '../../kernel/errno.ts'
import type { KernelView } from '../../kernel/kernel.ts'
import type { NftChain, NftRule } from '../../kernel/nftables/objects.ts'
import { isNetworkError, messageOf } from '../../lib/errors.ts'
import type { Resource } from '../resource.ts'

/** linux/netfilter.h NF_INET_LOCAL_IN, NF_INET_FORWARD */
const HOOKS: Readonly<Record<PassageHook, number>> = { input: 1, forward: 2 }
/** Our own chains mark at this priority: a chain before them sees no mark. */
const OUR_PRIORITY = -10
/** Chains call each other no deeper than this. linux/netfilter/nf_tables.h NFT_JUMP_STACK_SIZE */
const DEEPEST = 16
/** The comment by which our rule is known again; iptables shows it too. */
const COMMENT = MARK.table

interface Have extends Passage {
  /** True when every rule of ours stands where it should, and nowhere else. */
  readonly sound: boolean
}

/** Where in a chain our rule belongs: before the rule of that handle, or at the end. */
interface Place {
  readonly chain: NftChain
  readonly before: bigint | undefined
}

/** A rule of ours that stands. */
interface Standing {
  readonly chain: NftChain
  readonly handle: bigint
}

interface Survey {
  readonly missing: readonly Place[]
  readonly stray: readonly Standing[]
  /** Of tables in which we may not change anything. */
  readonly warnings: readonly string[]
}

/** `onWarnings` is told, whenever it was looked, in which chains packets are dropped and why nothing can be done. */
export function passages(
  kernel: Pick<KernelView, 'nft'>,
  onWarnings: (warnings: readonly string[]) => void,
): Resource<Passage, Have> {
  /** Chains that ours may stand in: those of an earlier run too, until all were seen once. */
  let places: ReadonlySet<string> | undefined

  return {
    kind: 'passage',
    equal: (want, have) =>
      have.sound && want.mark === have.mark && want.hooks.join() === have.hooks.join(),
    list(wanted) {
      const [want] = wanted
      if (want !== undefined) {
        const { missing, stray, warnings } = survey(want)
        onWarnings(warnings)
        return [{ ...want, sound: missing.length === 0 && stray.length === 0 }]
      }
      const nothing: Passage = { kind: 'passage', mark: 0, hooks: [] }
      return survey(nothing).stray.length === 0 ? [] : [{ ...nothing, sound: false }]
    },
    put(want) {
      const { missing, stray, warnings } = survey(want)
      const refused = missing.flatMap((place) => attempt(addition(place, want.mark), place))
      for (const rule of stray) attempt(deletion(rule), rule)
      onWarnings([...warnings, ...refused])
    },
    remove() {
      places = undefined
      const { stray } = survey({ kind: 'passage', mark: 0, hooks: [] })
      for (const rule of stray) attempt(deletion(rule), rule)
      onWarnings([])
    },
  }

  /** Compares what stands with where our rule belongs. */
  function survey(want: Passage): Survey {
    const chains = kernel.nft.chains().filter(({ table }) => table !== MARK.table)
    const read = new Map<string, readonly NftRule[]>()
    const rulesOf = (chain: NftChain): readonly NftRule[] => {
      const known = read.get(nameOf(chain)) ?? kernel.nft.rules(chain)
      read.set(nameOf(chain), known)
      return known
    }
    const locked = new Set(
      kernel.nft
        .tables()
        .filter(({ owned }) => owned)
        .map(({ family, name }) => `${family} ${name}`),
    )
    const wanted = chains
      .filter((chain) => isMeant(chain, want))
      .flatMap((chain) => placeIn(chain, chains, rulesOf) ?? [])
    const searched = chains.filter(
      (chain) => places === undefined || isOnHook(chain) || places.has(nameOf(chain)),
    )
    const standing = searched.flatMap((chain) =>
      rulesOf(chain)
        .filter(({ comment }) => comment === COMMENT)
        .map(({ handle }): Standing => ({ chain, handle })),
    )
    places = new Set([...wanted, ...standing].map(({ chain }) => nameOf(chain)))
    const sound = new Set<Standing>()
    const missing: Place[] = []
    for (const place of unique(wanted)) {
      const there = standing.find((rule) => stands(rule, place, rulesOf(place.chain), want.mark))
      if (there === undefined) missing.push(place)
      else sound.add(there)
    }
    const isLocked = ({ chain }: Place | Standing): boolean =>
      locked.has(`${chain.family} ${chain.table}`)
    return {
      missing: missing.filter((place) => !isLocked(place)),
      stray: standing.filter((rule) => !sound.has(rule) && !isLocked(rule)),
      warnings: [
        ...new Set(missing.filter(isLocked).map(({ chain }) => lockedText(chain.table))),
        ...(kernel.nft.legacyTables().includes('filter') ? want.hooks : []).map((hook) =>
          legacyText(hook, want.mark),
        ),
      ],
    }
  }

  /** Gives the warning that a refusal becomes. A chain that is gone by now needs nothing. */
  function attempt(command: string, { chain }: Place | Standing): readonly string[] {
    try {
      kernel.nft.run(command)
      return []
    } catch (error) {
      if (!isNetworkError(error) || errnoOf(error) === 'ENOENT') return []
      if (errnoOf(error) === 'EPERM') return [lockedText(chain.table)]
      return [
        `The firewall's chain ${chain.table} ${chain.name} may drop packets of networks: ${messageOf(error)}`,
      ]
    }
  }
}

/** A base chain of a firewall, on a hook that packets of networks pass, after our own chain there. */
function isMeant({ base }: NftChain, { hooks }: Passage): boolean {
  return (
    base?.type === 'filter' &&
    base.priority > OUR_PRIORITY &&
    hooks.some((hook) => HOOKS[hook] === base.hook)
  )
}

/** True for base chains on a hook where ours may be wanted. */
function isOnHook({ base }: NftChain): boolean {
  return base !== undefined && Object.values(HOOKS).includes(base.hook)
}

function nameOf({ family, table, name }: NftChain): string {
  return `${family} ${table} ${name}`
}

/** Where a packet that no rule has judged is dropped; undefined when it is not. */
function placeIn(
  chain: NftChain,
  chains: readonly NftChain[],
  rulesOf: (chain: NftChain) => readonly NftRule[],
  depth = 0,
): Place | undefined {
  if (depth > DEEPEST) return undefined
  const rules = rulesOf(chain).filter(({ comment }) => comment !== COMMENT)
  for (const [i, { verdict, conditional }] of rules.entries()) {
    if (verdict === undefined) continue
    if (conditional) {
      // Some leave a called chain here: what it drops later it denies.
      if (verdict.kind === 'return' && chain.base === undefined) return undefined
      continue
    }
    if (verdict.kind === 'drop') return { chain, before: beforeLog(rules, i) }
    if (verdict.kind === 'accept') return undefined
    if (!('chain' in verdict)) break
    // Everything goes there: does any of it come back?
    const called = calledBy(chain, verdict.chain, chains)
    const inside = called && placeIn(called, chains, rulesOf, depth + 1)
    if (inside !== undefined) return inside
    if (verdict.kind === 'goto') break
  }
  return chain.base?.policy === 'drop' ? { chain, before: undefined } : undefined
}

function calledBy(
  { family, table }: NftChain,
  name: string,
  chains: readonly NftChain[],
): NftChain | undefined {
  return chains.find((each) => each.family === family && each.table === table && each.name === name)
}

/** What a chain writes into its log before it drops is not true of what we accept. */
function beforeLog(rules: readonly NftRule[], drop: number): bigint | undefined {
  let first = drop
  while (first > 0 && rules[first - 1]?.passive === true) first--
  return rules[first]?.handle
}

/** Two base chains may hand what they drop to the same chain. */
function unique(places: readonly Place[]): readonly Place[] {
  return places.filter((place, i) => places.findIndex((each) => each.chain === place.chain) === i)
}

/** True when a rule of ours for this mark stands directly where it belongs. */
function stands(
  { chain, handle }: Standing,
  place: Place,
  rules: readonly NftRule[],
  mark: number,
): boolean {
  if (chain !== place.chain) return false
  const at = rules.findIndex((rule) => rule.handle === handle)
  return rules[at]?.markMask === mark && rules[at + 1]?.handle === place.before
}

function addition({ chain, before }: Place, mark: number): string {
  const { family, table, name } = chain
  const rule = `meta mark & ${hex(mark)} == ${hex(mark)} counter accept comment "${COMMENT}"`
  return before === undefined
    ? `add rule ${family} ${table} ${name} ${rule}`
    : `insert rule ${family} ${table} ${name} handle ${before} ${rule}`
}

function deletion({ chain: { family, table, name }, handle }: Standing): string {
  return `delete rule ${family} ${table} ${name} handle ${handle}`
}

function lockedText(table: string): string {
  return `The firewall's table ${table} drops packets of networks, and only the program that made it may change it: give the devices ${MARK.devicePrefix}g* a zone or rule there that accepts`
}

function legacyText(hook: PassageHook, mark: number): string {
  const chain = hook.toUpperCase()
  return `iptables-legacy has a filter table, whose chain ${chain} may drop packets of networks: iptables-legacy -A ${chain} -m mark --mark ${hex(mark)}/${hex(mark)} -j ACCEPT`
}

function hex(mark: number): string {
  return `0x${mark.toString(16)}`
}
