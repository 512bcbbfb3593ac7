/** Reads what the shared store has of one host: its record, what it has in every network, its notes. */

import { NetworkError } from '../lib/errors.ts'
import type { Host } from '../model/host.ts'
import { HOST_RECORD_ROOTS, hostRecordsIn, keys, parseHostRecordKey } from '../model/keys.ts'
import type { Journal } from '../store/journal/journal.ts'
import { RecordReader } from '../store/replica/records.ts'
import type { KeyRange, KeyValue, Operation, RangeOptions, Store } from '../store/store.ts'

/** Ranges asked in one transaction. */
const MOST_RANGES = 100

interface Question {
  readonly range: KeyRange
  readonly options?: RangeOptions
}

export interface OwnPart {
  /** Undefined when the store has no record of the host. */
  readonly host: { readonly host: Host; readonly modRevision: number } | undefined
  /** Ids of the networks that are there. */
  readonly networks: ReadonlySet<string>
  /** Texts of what the host has in networks, by key. */
  readonly records: ReadonlyMap<string, string>
  readonly notes: ReadonlyMap<string, string>
}

export interface OwnPartOptions {
  readonly hostId: string
  readonly journal: Journal
  /** Keys of the records that are not in the journal. */
  readonly notes: readonly string[]
}

/**
 * The parts are read one after the other; what changes in between changes the host's record too, and the
 * next write is refused. Throws `unsupported` when a newer version wrote the record.
 */
export async function readOwnPart(
  store: Store,
  { hostId, journal, notes }: OwnPartOptions,
): Promise<OwnPart> {
  const [[record] = [], listed = [], ...noted] = await readRanges(store, [
    { range: { key: keys.host(hostId) } },
    { range: { prefix: keys.network('') }, options: { keysOnly: true } },
    ...notes.map((key) => ({ range: { key } })),
  ])
  const host = record && new RecordReader().readHost(record.value)
  if (record !== undefined && host === undefined) {
    throw new NetworkError('unsupported', `Cannot read the record of host ${hostId} in the store`)
  }
  const networks = new Set(listed.map(({ key }) => key.slice(keys.network('').length)))
  const asked = new Set(networks)
  for (const { key } of HOST_RECORD_ROOTS.flatMap((root) => journal.list(root))) {
    const parsed = parseHostRecordKey(key)
    if (parsed !== undefined) asked.add(parsed.networkId)
  }
  const ranges = [...asked].flatMap((id) =>
    hostRecordsIn(id, hostId).map((prefix) => ({ range: { prefix } })),
  )
  const found = await readRanges(store, ranges)
  return {
    host: record && host && { host, modRevision: record.modRevision },
    networks,
    records: new Map(found.flat().map(({ key, value }) => [key, value])),
    notes: new Map(noted.flat().map(({ key, value }) => [key, value])),
  }
}

/** The items of each range, asked for in as few transactions as there may be. */
async function readRanges(
  store: Store,
  questions: readonly Question[],
): Promise<(readonly KeyValue[])[]> {
  const found: (readonly KeyValue[])[] = []
  for (let from = 0; from < questions.length; from += MOST_RANGES) {
    const success = questions
      .slice(from, from + MOST_RANGES)
      .map((question): Operation => ({ kind: 'range', ...question }))
    const { results } = await store.txn({ success })
    found.push(...results.map((result) => (result.kind === 'range' ? result.items : [])))
  }
  return found
}
