/**
 * `carrick ipam check`: reads the books of the shared store twice, a moment apart, because an attach under way
 * looks like a leak for as long as it lasts, and tells what was wrong both times. Repairs are transactions that
 * do nothing when what they are about has changed.
 */

import type { Clock } from '../lib/clock.ts'
import { isNetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { keys } from '../model/keys.ts'
import type { KeyValue, Store } from '../store/store.ts'
import { audit, BOOK_ROOTS, type Books, type Finding, type FindingKind } from './ipam-books.ts'

/** Longer than the way from a claim to the endpoint's record in the store, when the store answers. */
const CONFIRM_MS = 2_000
const PAGE = 1_000

export interface IpamFinding {
  readonly kind: FindingKind
  /** Key in the store. */
  readonly object: string
  readonly message: string
  readonly repaired: boolean
  /** Why it was left, or what to do about it; absent when it was repaired. */
  readonly advice?: string
}

export interface IpamCheck {
  /** Revision of the store that was looked at last. */
  readonly revision: number
  readonly findings: readonly IpamFinding[]
}

export interface IpamCheckDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

export async function checkIpam(
  deps: IpamCheckDeps,
  options: { readonly repair: boolean },
  signal: AbortSignal,
): Promise<IpamCheck> {
  const first = await readBooks(deps.store)
  const suspected = new Set(audit(first).map(nameOf))
  if (suspected.size === 0) return { revision: first.revision, findings: [] }
  await deps.clock.sleep(CONFIRM_MS, signal)
  const { revision, ...books } = await readBooks(deps.store)
  const findings: IpamFinding[] = []
  for (const finding of audit(books)) {
    if (!suspected.has(nameOf(finding))) continue
    findings.push(await settle(deps, finding, options.repair))
  }
  return { revision, findings }
}

/** The same trouble with the same record. */
function nameOf({ kind, object, message, revision }: Finding): string {
  return `${kind} ${object} ${revision} ${message}`
}

async function settle(
  { store, log }: IpamCheckDeps,
  { kind, object, message, repair, advice }: Finding,
  wanted: boolean,
): Promise<IpamFinding> {
  const found = { kind, object, message }
  if (repair === undefined) {
    return { ...found, repaired: false, ...(advice === undefined ? {} : { advice }) }
  }
  if (!wanted) return { ...found, repaired: false, advice: 'carrick ipam check --repair' }
  try {
    const { succeeded } = await store.txn(repair)
    if (!succeeded)
      return { ...found, repaired: false, advice: 'it has changed meanwhile: look again' }
    log.info('addresses repaired', { object, reason: kind })
    return { ...found, repaired: true }
  } catch (error) {
    if (!isNetworkError(error, 'forbidden')) throw error
    const advice = 'only the host that serves the store may change it: run the command there'
    return { ...found, repaired: false, advice }
  }
}

/** All records that addresses depend on, at one revision. */
async function readBooks(store: Store): Promise<Books & { readonly revision: number }> {
  const signs = await store.range({ prefix: keys.alive('') }, { keysOnly: true })
  const { revision } = signs
  const items: KeyValue[] = []
  for (const root of BOOK_ROOTS) {
    let from: string = root
    for (;;) {
      const page = await store.range(
        { from, to: `${root.slice(0, -1)}0` }, // '0' follows '/' in ASCII
        { limit: PAGE, revision },
      )
      items.push(...page.items)
      const last = page.items.at(-1)
      if (!page.more || last === undefined) break
      from = `${last.key}\0`
    }
  }
  const alive = new Set(signs.items.map(({ key }) => key.slice(keys.alive('').length)))
  return { items, alive, revision }
}
