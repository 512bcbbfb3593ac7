/**
 * After an old disk was put back: what this host really has. The store remembers what was published, the
 * kernel what is attached; an endpoint is kept when its interface is still to be found in some namespace, and
 * given up when it is not (R9). A publication is as the store has it, and goes with its endpoint.
 */

import type { FoundSandbox } from '../dataplane/find-sandboxes.ts'
import type { Log } from '../lib/log.ts'
import { type Endpoint, NO_SANDBOX, type PublishedEndpoint } from '../model/endpoint.ts'
import { parseHostRecordKey } from '../model/keys.ts'
import type { Mac } from '../net/mac.ts'
import type { JournalChange, JournalRecord } from '../store/journal/journal.ts'
import { type RecordReader, sameRecord } from '../store/replica/records.ts'
import { publishedText } from './published.ts'

/** Endpoints about which the store and the journal of an older disk disagree. */
export interface Adoption {
  /** Published by this host, unknown to its journal: the disk has lost them. */
  readonly unknown: readonly PublishedEndpoint[]
  /** In the journal and, as far as it knows, published, but no longer in the store. */
  readonly missing: readonly Endpoint[]
}

/**
 * Sorts the endpoints an old disk holds against what the store has. Records above `intent` were made after
 * the disk was put back and stand on their own.
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
    if (parseHostRecordKey(key)?.kind !== 'endpoint') continue
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

export interface PublicationsOptions {
  /** The journal's records of the kind. */
  readonly journal: readonly JournalRecord[]
  readonly store: ReadonlyMap<string, string>
  /** Keys changed or removed after the disk was put back: there the journal is right. */
  readonly newer: ReadonlySet<string>
  /** Ids of the endpoints that were found to live. */
  readonly living: ReadonlySet<string>
  readonly reader: RecordReader
}

/** What to change in the journal so that each publication is as the store has it, and of an endpoint that lives. */
export function adoptPublications(options: PublicationsOptions): readonly JournalChange[] {
  const { journal, store, newer, living, reader } = options
  const local = new Map(journal.map(({ key, value }) => [key, value]))
  const changes: JournalChange[] = []
  for (const [key, value] of store) {
    if (parseHostRecordKey(key)?.kind !== 'publication' || newer.has(key)) continue
    const publication = reader.readPublication(value)
    const lives = publication !== undefined && living.has(publication.endpointId)
    if (lives && local.get(key) !== value) changes.push({ kind: 'put', key, value })
  }
  for (const [key, value = ''] of local) {
    const publication = reader.readPublication(store.get(key) ?? value)
    const lives = publication !== undefined && living.has(publication.endpointId)
    if (!lives || (!store.has(key) && !newer.has(key))) changes.push({ kind: 'delete', key })
  }
  return changes
}

/** What to change in the journal so that networks on engines are as the store has them. */
export function adoptEngineNetworks({
  journal,
  store,
  newer,
}: Pick<PublicationsOptions, 'journal' | 'store' | 'newer'>): readonly JournalChange[] {
  const local = new Map(journal.map(({ key, value }) => [key, value]))
  const changes: JournalChange[] = []
  for (const [key, value] of store) {
    const isOne = parseHostRecordKey(key)?.kind === 'engine-network'
    if (isOne && !newer.has(key) && local.get(key) !== value) {
      changes.push({ kind: 'put', key, value })
    }
  }
  for (const key of local.keys()) {
    if (!store.has(key) && !newer.has(key)) changes.push({ kind: 'delete', key })
  }
  return changes
}

export interface AdoptOptions {
  readonly find: (macs: ReadonlySet<Mac>) => ReadonlyMap<Mac, FoundSandbox>
  /** Numbers that other endpoints of this host have. */
  readonly takenNumbers: ReadonlySet<number>
  /** The host's end of an endpoint's pair, by its id. */
  readonly deviceNameOf: (endpointId: string) => string
  readonly log: Log
}

/** The endpoints that live, whole. */
export function adoptEndpoints(found: Adoption, options: AdoptOptions): readonly Endpoint[] {
  const questioned: readonly (PublishedEndpoint | Endpoint)[] = [...found.unknown, ...found.missing]
  const sandboxes = options.find(new Set(questioned.map(({ mac }) => mac)))
  const taken = new Set(options.takenNumbers)
  const adopted: Endpoint[] = []
  for (const endpoint of questioned) {
    // Nothing in the kernel tells of an address that is only held: the store's word counts.
    if (endpoint.attachment === 'held') {
      if ('device' in endpoint) continue
      adopted.push({ ...endpoint, sandbox: NO_SANDBOX, device: '', number: 0 })
      continue
    }
    const place = sandboxes.get(endpoint.mac)
    const fields = { endpoint: endpoint.id, address: endpoint.addresses[0], mac: endpoint.mac }
    if (place === undefined) {
      options.log.warn('endpoint of an old disk given up', fields)
      continue
    }
    options.log.warn('endpoint of an old disk adopted', { ...fields, netns: place.sandbox.path })
    // Where an engine put its end is the engine's business.
    const { sandbox, ifname } =
      endpoint.attachment === 'engine' ? { sandbox: NO_SANDBOX, ifname: endpoint.ifname } : place
    if ('device' in endpoint) {
      adopted.push({ ...endpoint, sandbox })
      continue
    }
    let number = 1
    while (taken.has(number)) number++
    taken.add(number)
    const device = options.deviceNameOf(endpoint.id)
    adopted.push({ ...endpoint, sandbox, ifname, device, number })
  }
  return adopted
}
