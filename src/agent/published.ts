/**
 * What the shared store should say of this host, and how to get there. Pure: the journal's records and what
 * the store has go in, ordered batches of writes come out.
 */

import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import { parseKey } from '../model/keys.ts'
import type { JournalRecord } from '../store/journal/journal.ts'
import { type RecordReader, sameRecord } from '../store/replica/records.ts'

/** Operations of one transaction, at most (conventions §11), less what every write asks besides. */
const MOST_RECORDS = 97
/** Bytes of values in one transaction; etcd takes requests of 1.5 MiB. */
const MOST_BYTES = 512 * 1024
/** Conventions §11; what is larger stays at home and is reported. */
export const MOST_VALUE_BYTES = 64 * 1024

/** One key to bring to the store; `value` undefined: it shall not be there. */
export interface Publication {
  readonly key: string
  readonly networkId: string
  readonly value: string | undefined
  readonly sequence: number
}

export interface Batch {
  readonly records: readonly Publication[]
  /** Journal sequence up to which the store has everything after this batch. */
  readonly sequence: number
}

/** The endpoint without what stays at home, as text in one spelling. */
export function publishedText(endpoint: Endpoint): string {
  const { sandbox: _sandbox, device: _device, number: _number, ...published } = endpoint
  return JSON.stringify(published satisfies PublishedEndpoint)
}

/** What a journal record asks of the store; undefined for records that are not this host's endpoints. */
export function publicationOf(
  record: JournalRecord,
  hostId: string,
  reader: RecordReader,
): Publication | undefined {
  const parsed = parseKey(record.key)
  if (parsed?.kind !== 'endpoint' || parsed.hostId !== hostId) return undefined
  const endpoint = record.value === undefined ? undefined : reader.readOwn(record.value)
  const value = endpoint && publishedText(endpoint)
  return { key: record.key, networkId: parsed.networkId, value, sequence: record.sequence }
}

/**
 * What must change for the store's own part to equal the journal: missing put, different put, extra
 * deleted; oldest first, extras before all.
 */
export function differences(
  want: readonly Publication[],
  have: ReadonlyMap<string, string>,
): readonly Publication[] {
  const changed = want.filter(({ key, value }) => have.get(key) !== value)
  const wanted = new Set(want.map(({ key }) => key))
  const extra: Publication[] = []
  for (const key of have.keys()) {
    const parsed = parseKey(key)
    if (wanted.has(key) || parsed?.kind !== 'endpoint') continue
    extra.push({ key, networkId: parsed.networkId, value: undefined, sequence: 0 })
  }
  return [...extra, ...changed.sort((a, b) => a.sequence - b.sequence)]
}

/** The writes in order, cut so that each fits a transaction; the last one reaches `sequence`. */
export function batchesOf(records: readonly Publication[], sequence: number): readonly Batch[] {
  const parts: Publication[][] = [[]]
  let bytes = 0
  for (const record of records) {
    const size = Buffer.byteLength(record.value ?? '')
    const full = (parts.at(-1)?.length ?? 0) >= MOST_RECORDS || bytes + size > MOST_BYTES
    if (full) parts.push([])
    bytes = full ? size : bytes + size
    parts.at(-1)?.push(record)
  }
  return parts.map((part, i) => {
    const [last, next] = [part.at(-1)?.sequence ?? 0, parts[i + 1]?.[0]?.sequence]
    // a commit that goes on in the next batch is not yet published
    const reached = next === undefined ? sequence : next > last ? last : last - 1
    return { records: part, sequence: Math.max(reached, 0) }
  })
}

/** Endpoints about which the store and the journal of an older disk disagree. */
export interface Adoption {
  /** Published by this host, unknown to its journal: the disk has lost them. */
  readonly unknown: readonly PublishedEndpoint[]
  /** In the journal and, as far as it knows, published, but no longer in the store. */
  readonly missing: readonly Endpoint[]
}

/**
 * Sorts what an old disk holds against what the store has. Records above `intent` were made after the disk
 * was put back and stand on their own.
 */
export function adoptionOf(
  journal: readonly JournalRecord[],
  store: ReadonlyMap<string, string>,
  intent: number,
  reader: RecordReader,
): Adoption {
  const unknown: PublishedEndpoint[] = []
  const missing: Endpoint[] = []
  const local = new Map(journal.map((record) => [record.key, record]))
  for (const [key, text] of store) {
    const published = reader.readPublished(text)
    const record = local.get(key)
    const own = record?.value === undefined ? undefined : reader.readOwn(record.value)
    const newer = record !== undefined && record.sequence > intent
    const known = own !== undefined && sameRecord(JSON.parse(publishedText(own)), published)
    if (published !== undefined && !newer && !known) unknown.push(published)
  }
  for (const { key, value, sequence } of journal) {
    const own = value === undefined || store.has(key) ? undefined : reader.readOwn(value)
    if (own !== undefined && sequence <= intent) missing.push(own)
  }
  return { unknown, missing }
}
