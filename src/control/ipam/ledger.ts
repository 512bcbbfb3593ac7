/**
 * What this host must remember about addresses beyond its endpoints, durably and before it acts: blocks and
 * single addresses it is giving back (never to use again, whatever an old copy of the store says) and
 * addresses of its blocks that it granted to others. Kept in the journal's settings.
 */

import { type IP, parseIP } from '../../net/ip.ts'
import { type Prefix, parsePrefix } from '../../net/prefix.ts'
import type { Journal } from '../../store/journal/journal.ts'

const RETURNING = 'ipam.returning'
const GRANTED = 'ipam.granted'

interface Returning {
  readonly networkId: string
  readonly what: Prefix | IP
  /** Store revision at which it was gone; absent while that is not known. */
  readonly revision?: number
}

interface Granted {
  readonly networkId: string
  readonly address: IP
  /** To whom. */
  readonly hostId: string
}

export class Ledger {
  readonly #journal: Pick<Journal, 'settings' | 'cache'>
  readonly #returning = new Map<string, Returning>()
  readonly #granted = new Map<string, Granted>()

  constructor(journal: Pick<Journal, 'settings' | 'cache'>) {
    this.#journal = journal
    for (const row of readRows(journal.settings.get(RETURNING))) {
      const text = String(row['what'])
      const what = parsePrefix(text) ?? parseIP(text)
      if (what === undefined) continue
      const entry = { networkId: String(row['networkId']), what }
      const revision = row['revision']
      this.#returning.set(
        `${entry.networkId} ${what}`,
        typeof revision === 'number' ? { ...entry, revision } : entry,
      )
    }
    for (const row of readRows(journal.settings.get(GRANTED))) {
      const address = parseIP(String(row['address']))
      if (address === undefined) continue
      const hostId = String(row['hostId'])
      const entry = { networkId: String(row['networkId']), address, hostId }
      this.#granted.set(`${entry.networkId} ${address}`, entry)
    }
  }

  /** What is being given back and whose fate in the store is not known. */
  undecided(): readonly Returning[] {
    return [...this.#returning.values()].filter((entry) => entry.revision === undefined)
  }

  /** True when it was given back and a view of the store at `revision` may not know it yet. */
  isReturned(networkId: string, what: Prefix | IP, revision: number): boolean {
    const entry = this.#returning.get(`${networkId} ${what}`)
    return entry !== undefined && (entry.revision === undefined || entry.revision > revision)
  }

  startReturn(networkId: string, what: Prefix | IP): void {
    this.#returning.set(`${networkId} ${what}`, { networkId, what })
    this.#saveReturning()
  }

  finishReturn(networkId: string, what: Prefix | IP, revision: number): void {
    const copied = this.#journal.cache.revision ?? 0
    for (const [key, entry] of this.#returning) {
      // The copy on disk has passed it: even a restart without the store knows.
      if (entry.revision !== undefined && entry.revision < copied) this.#returning.delete(key)
    }
    this.#returning.set(`${networkId} ${what}`, { networkId, what, revision })
    this.#saveReturning()
  }

  /** The store went back to `revision`: what was given back after it stands there again. */
  reopenAfter(revision: number): void {
    let reopened = false
    for (const [key, { networkId, what, ...entry }] of this.#returning) {
      if (entry.revision === undefined || entry.revision <= revision) continue
      this.#returning.set(key, { networkId, what })
      reopened = true
    }
    if (reopened) this.#saveReturning()
  }

  /** It is this host's (again), as the store has just said. */
  forgetReturn(networkId: string, what: Prefix | IP): void {
    if (this.#returning.delete(`${networkId} ${what}`)) this.#saveReturning()
  }

  grantedIn(networkId: string): readonly IP[] {
    return [...this.#granted.values()]
      .filter((entry) => entry.networkId === networkId)
      .map((entry) => entry.address)
  }

  allGranted(): readonly Granted[] {
    return [...this.#granted.values()]
  }

  /** The host to which the address was granted, or nearly so. */
  grantedTo(networkId: string, address: IP): string | undefined {
    return this.#granted.get(`${networkId} ${address}`)?.hostId
  }

  grant(networkId: string, address: IP, hostId: string): void {
    this.#granted.set(`${networkId} ${address}`, { networkId, address, hostId })
    this.#saveGranted()
  }

  endGrant(networkId: string, address: IP): void {
    if (this.#granted.delete(`${networkId} ${address}`)) this.#saveGranted()
  }

  #saveReturning(): void {
    this.#journal.settings.set(RETURNING, JSON.stringify([...this.#returning.values()]))
  }

  #saveGranted(): void {
    this.#journal.settings.set(GRANTED, JSON.stringify([...this.#granted.values()]))
  }
}

function readRows(text: string | undefined): readonly Readonly<Record<string, unknown>>[] {
  return text === undefined ? [] : JSON.parse(text)
}
