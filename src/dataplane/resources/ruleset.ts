/**
 * The belt (R7): whatever happens to programs, packets of endpoint devices never reach the host's stack.
 * Programs hand packets on before netfilter sees them, so a packet that comes here has passed no program.
 */

import type { Ruleset } from '../../hoststate/state.ts'
import { MARK } from '../../hoststate/state.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import type { Resource } from '../resource.ts'

/** Family of the table and hook of its one chain: IP before routing, ARP where the host would answer. */
const BELTS = [
  { family: 'inet', hook: 'prerouting', priority: -300 },
  { family: 'arp', hook: 'input', priority: 0 },
] as const

export function rulesets(kernel: Kernel): Resource<Ruleset> {
  return {
    kind: 'ruleset',
    equal: (want, have) => want.endpointGroup === have.endpointGroup,
    list() {
      const tables = BELTS.map(({ family }) => kernel.nft.listTable(family, MARK.table))
      if (tables.every((table) => table === undefined)) return []
      const groups = tables.map((table, i) => droppedGroup(table ?? [], BELTS[i]?.hook))
      const same = groups.every((group) => group === groups[0]) ? groups[0] : undefined
      return [{ kind: 'ruleset', table: MARK.table, endpointGroup: same ?? 0 }]
    },
    put: (want) => kernel.nft.run(BELTS.map((belt) => belted(want, belt)).join('')),
    remove: (have) =>
      kernel.nft.run(
        BELTS.map(
          ({ family }) =>
            `add table ${family} ${have.table}\ndelete table ${family} ${have.table}\n`,
        ).join(''),
      ),
  }
}

/** The table anew, in one transaction with the end of the old one. */
function belted(want: Ruleset, { family, hook, priority }: (typeof BELTS)[number]): string {
  const table = `${family} ${want.table}`
  return `add table ${table}
delete table ${table}
add table ${table}
add chain ${table} endpoints { type filter hook ${hook} priority ${priority}; policy accept; }
add rule ${table} endpoints meta iifgroup ${want.endpointGroup} counter drop
`
}

/** The group that the table drops, or undefined when chain or rule are not as we write them. */
function droppedGroup(
  table: readonly Readonly<Record<string, unknown>>[],
  hook: string | undefined,
): number | undefined {
  const chains = table.flatMap(({ chain }) => (isRecord(chain) ? [chain] : []))
  const rules = table.flatMap(({ rule }) => (isRecord(rule) ? [rule] : []))
  const [rule, chain] = [rules[0], chains[0]]
  if (chains.length !== 1 || rules.length !== 1 || chain?.['hook'] !== hook) return undefined
  const expressions = rule?.['expr']
  if (!Array.isArray(expressions) || expressions.length !== 3) return undefined
  const [match, , verdict] = expressions as unknown[]
  if (!isRecord(match) || !isRecord(verdict) || !('drop' in verdict)) return undefined
  const comparison = match['match']
  if (!isRecord(comparison) || !JSON.stringify(comparison['left']).includes('iifgroup')) {
    return undefined
  }
  return Number(comparison['right'])
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
