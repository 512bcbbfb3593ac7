/**
 * This host's endpoints as the journal has them: each record is read once, at the start and at each commit, for all
 * who keep something by them.
 */

import type { Endpoint } from '../model/endpoint.ts'
import { parseKey, ROOT } from '../model/keys.ts'
import type { Journal, JournalRecord } from '../store/journal/journal.ts'

/** One of the two is there, or both. */
export interface EndpointChange {
  readonly before: Endpoint | undefined
  readonly after: Endpoint | undefined
}

export class OwnEndpoints implements Disposable {
  readonly #hostId: string
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #followers = new Set<(change: EndpointChange) => void>()
  readonly #stop: () => void

  constructor(journal: Journal, hostId: string) {
    this.#hostId = hostId
    this.#changed(journal.list(`${ROOT}endpoints/`))
    this.#stop = journal.subscribe((records) => this.#changed(records))
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  get(id: string): Endpoint | undefined {
    return this.#endpoints.get(id)
  }

  get count(): number {
    return this.#endpoints.size
  }

  values(): Iterable<Endpoint> {
    return this.#endpoints.values()
  }

  /** Tells of those there are, then of each change before its commit returns; ends with what it gives back. */
  follow(follower: (change: EndpointChange) => void): () => void {
    for (const after of this.#endpoints.values()) follower({ before: undefined, after })
    this.#followers.add(follower)
    return () => void this.#followers.delete(follower)
  }

  #changed(records: readonly JournalRecord[]): void {
    for (const { key, value } of records) {
      const parsed = parseKey(key)
      if (parsed?.kind !== 'endpoint' || parsed.hostId !== this.#hostId) continue
      const before = this.#endpoints.get(parsed.id)
      const after: Endpoint | undefined = value === undefined ? undefined : JSON.parse(value)
      if (before === undefined && after === undefined) continue
      if (after === undefined) this.#endpoints.delete(parsed.id)
      else this.#endpoints.set(parsed.id, after)
      for (const follower of this.#followers) follower({ before, after })
    }
  }
}
