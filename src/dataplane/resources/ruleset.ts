/**
 * Our table, but for its elements, and the part of the belt that concerns ARP. The rules are replaced in one
 * transaction that leaves sets and maps alone; whoever changes a rule is noticed by how the table reads.
 */

import type { Ruleset } from '../../hoststate/ruleset.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Resource } from '../resource.ts'
import { indexOfChain, rulesetText } from './ruleset-text.ts'

interface Have extends Ruleset {
  /** How the table reads: only compared with how it read when it was put. */
  readonly text: string
}

/** A table that this run did not put. */
const NOTHING: Omit<Ruleset, 'table'> = {
  kind: 'ruleset',
  endpointGroup: 0,
  packetMarkMask: 0,
  vxlanPort: 0,
}

type Listed = readonly Readonly<Record<string, unknown>>[]

export function rulesets(kernel: Kernel): Resource<Ruleset, Have> {
  let put: { readonly want: Ruleset; readonly text: string } | undefined

  const read = (table: string): string => {
    const tables = (['inet', 'arp'] as const).map((family) =>
      kernel.nft.listTable(family, table, { terse: true }),
    )
    return tables.map((listed) => JSON.stringify(withoutWhatMoves(listed ?? []))).join('\n')
  }

  return {
    kind: 'ruleset',
    equal: (want, have) => put !== undefined && put.text === have.text && same(put.want, want),
    list(wanted) {
      const [want] = wanted
      const names = new Set([put?.want.table, want?.table])
      return [...names].flatMap((table) => {
        if (
          table === undefined ||
          kernel.nft.listTable('inet', table, { terse: true }) === undefined
        )
          return []
        const text = read(table)
        return [{ ...(put?.want ?? NOTHING), table, text }]
      })
    },
    put(want) {
      try {
        kernel.nft.run(rulesetText(want))
      } catch (error) {
        if (!isNetworkError(error, 'kernel')) throw error
        // A set or a hook of an older version stands in the way; whoever has elements there puts them again.
        kernel.nft.run(`${removal(want.table)}${rulesetText(want)}`)
      }
      put = { want, text: read(want.table) }
    },
    remove(have) {
      kernel.nft.run(removal(have.table))
      put = undefined
    },
  }
}

function removal(table: string): string {
  return ['inet', 'arp']
    .map((family) => `add table ${family} ${table}\ndelete table ${family} ${table}\n`)
    .join('')
}

function same(a: Ruleset, b: Ruleset): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Without numbers that the kernel chooses or counts, and without the chains that come and go. */
function withoutWhatMoves(listed: Listed): unknown[] {
  const ours = listed.filter(
    ({ chain, rule }) => indexOfChain(nameOf(chain) ?? chainOf(rule) ?? '') === undefined,
  )
  return ours.map(plain)
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !['handle', 'counter', 'elem'].includes(key))
      .map(([key, inner]) => [key, plain(inner)]),
  )
}

function nameOf(chain: unknown): string | undefined {
  return isRecord(chain) ? `${chain['name']}` : undefined
}

function chainOf(rule: unknown): string | undefined {
  return isRecord(rule) ? `${rule['chain']}` : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
