/**
 * Which addresses a name had last on this host, so that a container that is made anew gets them again while
 * they are free. It keeps nothing from anybody: others are given these addresses last, that is all. Kept in
 * the journal's settings, a moment late; what a crash loses is a preference.
 */

import type { Clock } from '../../lib/clock.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type IP, parseIP } from '../../net/ip.ts'
import type { Journal } from '../../store/journal/journal.ts'

const REMEMBERED = 'ipam.remembered'
/** Names remembered at once; the one that left longest ago is forgotten first. */
const MOST = 1_000
const SAVE_MS = 1_000

export interface RememberedDeps {
  readonly journal: Pick<Journal, 'settings'>
  readonly clock: Clock
  readonly log: Log
}

interface Entry {
  readonly networkId: string
  readonly name: string
  readonly addresses: readonly IP[]
}

export class Remembered implements AsyncDisposable {
  readonly #deps: RememberedDeps
  /** By network and name, those that left last at the end. */
  readonly #entries = new Map<string, Entry>()
  /** Network id to its remembered addresses. */
  readonly #addresses = new Map<string, Map<IP, string>>()
  readonly #stop = new AbortController()
  #saving: Promise<void> | undefined

  constructor(deps: RememberedDeps) {
    this.#deps = deps
    for (const entry of readEntries(deps.journal.settings.get(REMEMBERED))) this.#add(entry)
  }

  /** What the name had last in the network. */
  of(networkId: string, name: string): readonly IP[] {
    return this.#entries.get(`${networkId} ${name}`)?.addresses ?? []
  }

  /** True when somebody may come back for the address. */
  has(networkId: string, address: IP): boolean {
    return this.#addresses.get(networkId)?.has(address) === true
  }

  /** The name has left; who had the address before has lost it. */
  remember(networkId: string, name: string, addresses: readonly IP[]): void {
    this.#add({ networkId, name, addresses })
    this.#saving ??= this.#saveLater()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('closing'))
    await this.#saving
  }

  #add(entry: Entry): void {
    const { networkId, name, addresses } = entry
    const key = `${networkId} ${name}`
    this.#forget(key)
    const known = this.#addresses.get(networkId) ?? new Map<IP, string>()
    this.#addresses.set(networkId, known)
    for (const address of addresses) {
      const before = known.get(address)
      if (before !== undefined) this.#forget(before)
      known.set(address, key)
    }
    // Forgetting the former owner of the last address may have taken the network's table along.
    this.#addresses.set(networkId, known)
    this.#entries.set(key, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > MOST && oldest !== undefined) this.#forget(oldest)
  }

  #forget(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    const known = this.#addresses.get(entry.networkId)
    for (const address of entry.addresses) {
      if (known?.get(address) === key) known.delete(address)
    }
    if (known?.size === 0) this.#addresses.delete(entry.networkId)
  }

  async #saveLater(): Promise<void> {
    const { clock, journal, log } = this.#deps
    await clock.sleep(SAVE_MS, this.#stop.signal).catch(() => undefined)
    this.#saving = undefined
    try {
      journal.settings.set(REMEMBERED, JSON.stringify([...this.#entries.values()]))
    } catch (error) {
      // A full disk costs a preference, not the daemon.
      log.warn('former addresses not written', { error: messageOf(error) })
    }
  }
}

function readEntries(text: string | undefined): readonly Entry[] {
  const rows: readonly Readonly<Record<string, unknown>>[] =
    text === undefined ? [] : JSON.parse(text)
  return rows.map(({ networkId, name, addresses }) => ({
    networkId: String(networkId),
    name: String(name),
    addresses: Array.isArray(addresses)
      ? addresses.flatMap((address) => parseIP(String(address)) ?? [])
      : [],
  }))
}
