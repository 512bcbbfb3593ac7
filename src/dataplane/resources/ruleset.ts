/**
 * Our table, but for its elements, and the part of the belt that concerns ARP. The rules are replaced in one
 * transaction that leaves sets and maps alone; whoever changes a rule is noticed by how the table reads. What
 * was put and how it read then is noted in a file as one digest, so that a restart leaves the rules and their
 * counters alone.
 */

import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Ruleset } from '../../hoststate/ruleset.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { isNetworkError } from '../../lib/errors.ts'
import type { Resource } from '../resource.ts'
import { indexOfChain } from './index-chains.ts'
import { rulesetText } from './ruleset-text.ts'

interface Have extends Ruleset {
  /** How the table reads: only compared with how it read when it was put. */
  readonly text: string
}

type Listed = readonly Readonly<Record<string, unknown>>[]

/** `noteFile` ends with the boot, as the table does; its directory exists. */
export function rulesets(kernel: Kernel, noteFile: string): Resource<Ruleset, Have> {
  let noted = readNote(noteFile)

  const read = (table: string): string => {
    const tables = (['inet', 'arp'] as const).map((family) =>
      kernel.nft.listTable(family, table, { terse: true }),
    )
    return tables.map((listed) => JSON.stringify(withoutWhatMoves(listed ?? []))).join('\n')
  }

  return {
    kind: 'ruleset',
    equal: (want, have) => noted === digestOf(want, have.text),
    list: (wanted) =>
      wanted
        .filter(({ table }) => kernel.nft.listTable('inet', table, { terse: true }) !== undefined)
        .map((want) => ({ ...want, text: read(want.table) })),
    put(want) {
      try {
        kernel.nft.run(rulesetText(want))
      } catch (error) {
        if (!isNetworkError(error, 'kernel')) throw error
        // A set or a hook of an older version stands in the way; whoever has elements there puts them again.
        kernel.nft.run(`${removal(want.table)}${rulesetText(want)}`)
      }
      noted = digestOf(want, read(want.table))
      writeNote(noteFile, noted)
    },
    remove(have) {
      kernel.nft.run(removal(have.table))
      noted = undefined
      rmSync(noteFile, { force: true })
    },
  }
}

function digestOf(want: Ruleset, text: string): string {
  return createHash('sha256')
    .update(`${rulesetText(want)}\n${text}`)
    .digest('hex')
}

function readNote(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Without a note the rules are put once more at the next start: nothing that a full disk should stop. */
function writeNote(path: string, note: string): void {
  try {
    writeFileSync(path, note)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

function removal(table: string): string {
  return ['inet', 'arp']
    .map((family) => `add table ${family} ${table}\ndelete table ${family} ${table}\n`)
    .join('')
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
