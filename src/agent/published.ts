/**
 * What the shared store should say of this host, and how to get there. Pure: the journal's records and what
 * the store has go in, ordered batches of writes come out.
 */

import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import { type HostRecordKey, parseHostRecordKey } from '../model/keys.ts'
import type { JournalRecord } from '../store/journal/journal.ts'
import type { RecordReader } from '../store/replica/records.ts'

/** Operations of one transaction, at most (conventions §11), less what every write asks besides. */
const MOST_RECORDS = 97
/** Bytes of values in one transaction; etcd takes requests of 1.5 MiB. */
const MOST_BYTES = 512 * 1024
/** Conventions §11; what is larger stays at home and is reported. */
export const MOST_VALUE_BYTES = 64 * 1024

/** One key to bring to the store; `value` undefined: it shall not be there. */
export interface OwnRecord {
  readonly key: string
  readonly networkId: string
  readonly value: string | undefined
  readonly sequence: number
}

export interface Batch {
  readonly records: readonly OwnRecord[]
  /** Journal sequence up to which the store has everything after this batch. */
  readonly sequence: number
}

/** The endpoint without what stays at home, as text in one spelling. */
export function publishedText(endpoint: Endpoint): string {
  const { sandbox: _sandbox, device: _device, number: _number, run: _run, ...rest } = endpoint
  const { delegate: _delegate, ...published } = rest
  return JSON.stringify(published satisfies PublishedEndpoint)
}

/** What a journal record asks of the store; undefined for what this host does not have in a network. */
export function ownRecordOf(
  record: JournalRecord,
  hostId: string,
  reader: RecordReader,
): OwnRecord | undefined {
  const parsed = parseHostRecordKey(record.key)
  if (parsed === undefined || parsed.hostId !== hostId) return undefined
  const { key, sequence } = record
  const value =
    record.value === undefined ? undefined : storeTextOf(parsed.kind, record.value, reader)
  return { key, networkId: parsed.networkId, value, sequence }
}

/** The journal's text as the store should have it; undefined when malformed. */
function storeTextOf(
  kind: HostRecordKey['kind'],
  text: string,
  reader: RecordReader,
): string | undefined {
  if (kind === 'endpoint') {
    const endpoint = reader.readOwn(text)
    return endpoint && publishedText(endpoint)
  }
  if (kind === 'engine-network') {
    const network = reader.readEngineNetwork(text)
    return network && JSON.stringify(network)
  }
  const publication = reader.readPublication(text)
  return publication && JSON.stringify(publication)
}

/**
 * What must change for the store's own part to equal the journal: missing put, different put, extra
 * deleted; oldest first, extras before all.
 */
export function differences(
  want: readonly OwnRecord[],
  have: ReadonlyMap<string, string>,
): readonly OwnRecord[] {
  const changed = want.filter(({ key, value }) => have.get(key) !== value)
  const wanted = new Set(want.map(({ key }) => key))
  const extra: OwnRecord[] = []
  for (const key of have.keys()) {
    const parsed = parseHostRecordKey(key)
    if (wanted.has(key) || parsed === undefined) continue
    extra.push({ key, networkId: parsed.networkId, value: undefined, sequence: 0 })
  }
  return [...extra, ...changed.sort((a, b) => a.sequence - b.sequence)]
}

/** The writes in order, cut so that each fits a transaction; the last one reaches `sequence`. */
export function batchesOf(records: readonly OwnRecord[], sequence: number): readonly Batch[] {
  const parts: OwnRecord[][] = [[]]
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
