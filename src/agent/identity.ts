/**
 * Who this host is. The id is made once (or given by the join) and stays, bound to the machine; the name is
 * an attribute with an index beside it, so that no two hosts have the same. The shared store hands out a
 * small number per host, by which the datapath's entries point to it. Journal: keys.host(id) holds the
 * record as this host wants it; epoch and published sequence are the store's to say.
 */

import { type Clock, timestamp } from '../lib/clock.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { newId, type Random } from '../lib/ids.ts'
import type { Log } from '../lib/log.ts'
import type { Host } from '../model/host.ts'
import { keys } from '../model/keys.ts'
import type { Journal } from '../store/journal/journal.ts'
import { RecordReader, sameRecord } from '../store/replica/records.ts'
import type { Compare, KeyValue, Operation, Store } from '../store/store.ts'

const HOST_ID = 'identity.host-id'
const MACHINE_ID = 'identity.machine-id'
/** A lost race means that another host got its number, so this is a bound on hosts joining at once. */
const MOST_RACES = 100

export interface IdentityOptions {
  readonly journal: Journal
  /** /etc/machine-id: machine-id(5). */
  readonly machineId: string
  /** The id the join gave, as the host's certificate names it. */
  readonly joinedId?: string
  readonly clock: Clock
  readonly random: Random
}

/** What the host says of itself; everything else in its record is the cluster's. */
export type HostDescription = Pick<Host, 'name' | 'underlay' | 'vxlanPort' | 'carriers' | 'version'>

/**
 * The id of this host, made at the first start. Throws `conflict` when the state directory is another
 * machine's, or another host's than the certificate.
 */
export function openIdentity(options: IdentityOptions): string {
  const { journal, machineId, joinedId, clock, random } = options
  const { settings } = journal
  const [hostId, madeOn] = [settings.get(HOST_ID), settings.get(MACHINE_ID)]
  if (madeOn !== undefined && madeOn !== machineId) {
    throw new NetworkError(
      'conflict',
      'Cannot start: the state directory was made on another machine',
      { hint: 'On a cloned machine run carrick daemon --new-identity, then join again' },
    )
  }
  if (hostId !== undefined && joinedId !== undefined && hostId !== joinedId) {
    throw new NetworkError(
      'conflict',
      `Cannot start: the state directory is of host ${hostId}, the certificate of ${joinedId}`,
      { hint: 'Run carrick daemon --new-identity to give up the old state' },
    )
  }
  const id = hostId ?? joinedId ?? newId(clock.wallMs(), random)
  // the id last: with it, the identity is whole
  if (madeOn === undefined) settings.set(MACHINE_ID, machineId)
  if (hostId === undefined) settings.set(HOST_ID, id)
  return id
}

/**
 * Takes over what changed about this host, without the store; the publisher brings it there. The name
 * stays until `registerHost`. Undefined when the host was never registered.
 */
export function describeHost(
  journal: Journal,
  hostId: string,
  description: HostDescription,
): Host | undefined {
  const before = ownHost(journal, hostId)
  if (before === undefined) return undefined
  return journalHost(journal, { ...before, ...description, name: before.name })
}

/** This host's record as its journal has it. */
export function ownHost(journal: Journal, hostId: string): Host | undefined {
  const text = journal.get(keys.host(hostId))
  return text === undefined ? undefined : new RecordReader().readHost(text)
}

export interface RegisterOptions {
  readonly store: Store
  readonly journal: Journal
  readonly hostId: string
  readonly description: HostDescription
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/**
 * Puts the host on the cluster's list under its name, or renames it; content when nothing is different. A
 * host that the cluster has removed is not put back. Throws `already-exists` when another host has the name,
 * `unavailable` when the store does not answer.
 */
export async function registerHost(options: RegisterOptions): Promise<Host> {
  for (let race = 0; race < MOST_RACES; race++) {
    const host = await tryToRegister(options)
    if (host !== undefined) return journalHost(options.journal, host)
  }
  throw new NetworkError('unavailable', 'Cannot register the host: too many hosts at once')
}

/** One attempt; undefined when somebody else wrote meanwhile. */
async function tryToRegister(options: RegisterOptions): Promise<Host | undefined> {
  const { store, journal, hostId, description, log } = options
  const { name } = description
  const before = ownHost(journal, hostId)
  const seen = await readAll(store, [
    keys.cluster,
    keys.counter('host-index'),
    keys.host(hostId),
    keys.hostName(name),
  ])
  const [cluster, counter, record, nameIndex] = seen
  const stored = record && new RecordReader().readHost(record.value)
  if (record !== undefined && stored === undefined) {
    throw new NetworkError('unsupported', `Cannot read the record of host ${hostId} in the store`)
  }
  if (record === undefined && before !== undefined) {
    log.error('this host was removed from the cluster', { host: hostId })
    return before
  }
  if (nameIndex !== undefined && nameIndex.value !== hostId) throw nameTaken(name, nameIndex.value)
  const wanted: Host = {
    schema: 1,
    id: hostId,
    ...description,
    index: stored?.index ?? nextIndex(counter),
    publishedSequence: stored?.publishedSequence ?? 0,
    // a raised epoch must be seen as raised: only a journal without a record takes it over
    epoch: before?.epoch ?? stored?.epoch ?? 0,
  }
  if (stored !== undefined && nameIndex !== undefined && stored.name === name) return wanted

  const compare: Compare[] = [
    unchanged(keys.host(hostId), record),
    unchanged(keys.hostName(name), nameIndex),
  ]
  const success: Operation[] = [
    put(keys.host(hostId), JSON.stringify({ ...wanted, epoch: stored?.epoch ?? wanted.epoch })),
    put(keys.hostName(name), hostId),
  ]
  if (stored === undefined) {
    compare.push(unchanged(keys.counter('host-index'), counter))
    success.push(put(keys.counter('host-index'), String(wanted.index)))
  } else if (stored.name !== name && (await ownsName(store, stored.name, hostId))) {
    success.push({ kind: 'delete', range: { key: keys.hostName(stored.name) } })
  }
  if (cluster === undefined) {
    compare.push(unchanged(keys.cluster, undefined))
    success.push(put(keys.cluster, JSON.stringify(newCluster(options))))
  }
  const answer = await writeOnce(store, compare, success)
  if (answer) log.info('host registered', { host: hostId, name, index: wanted.index })
  return answer ? wanted : undefined
}

/** Commits the record if it says anything new about this host. */
function journalHost(journal: Journal, host: Host): Host {
  const before = ownHost(journal, host.id)
  // how far we published is no news: it stands in the store
  const same = before && sameRecord({ ...before, publishedSequence: host.publishedSequence }, host)
  if (same !== true) {
    journal.commit([{ kind: 'put', key: keys.host(host.id), value: JSON.stringify(host) }])
  }
  return host
}

async function readAll(
  store: Store,
  wanted: readonly string[],
): Promise<readonly (KeyValue | undefined)[]> {
  const success = wanted.map((key): Operation => ({ kind: 'range', range: { key } }))
  const { results } = await store.txn({ success })
  return results.map((result) => (result.kind === 'range' ? result.items[0] : undefined))
}

async function ownsName(store: Store, name: string, hostId: string): Promise<boolean> {
  const [index] = await readAll(store, [keys.hostName(name)])
  return index?.value === hostId
}

/** True when written; an answer that got lost counts as a lost race, and the next reading tells. */
async function writeOnce(
  store: Store,
  compare: readonly Compare[],
  success: readonly Operation[],
): Promise<boolean> {
  try {
    return (await store.txn({ compare, success })).succeeded
  } catch (error) {
    if (isNetworkError(error, 'unavailable')) return false // the reading throws when it is not back
    throw error
  }
}

function unchanged(key: string, seen: KeyValue | undefined): Compare {
  return { range: { key }, target: 'modRevision', is: '=', value: seen?.modRevision ?? 0 }
}

function put(key: string, value: string): Operation {
  return { kind: 'put', key, value }
}

function nextIndex(counter: KeyValue | undefined): number {
  const last = Number(counter?.value ?? 0)
  if (!Number.isSafeInteger(last) || last < 0) {
    throw new NetworkError('invalid', `Cannot number the host: the counter is "${counter?.value}"`)
  }
  return last + 1
}

function newCluster({ clock, random }: RegisterOptions): object {
  const now = clock.wallMs()
  return { schema: 1, id: newId(now, random), createdAt: timestamp(now) }
}

function nameTaken(name: string, owner: string): NetworkError {
  return new NetworkError(
    'already-exists',
    `Cannot register the host as "${name}": host ${owner} has the name`,
    {
      details: { host: owner, name },
      hint: `Choose another name, or carrick host rm ${name} if that machine is gone`,
    },
  )
}
