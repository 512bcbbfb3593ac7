/**
 * Which cluster this host belongs to, on disk: nothing for a host with its own embedded store; after a join
 * a file that names the store, beside the certificates that the join gave. The file is written last, by
 * rename, so that a join happened whole or not at all.
 */

import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { NetworkError } from '../lib/errors.ts'
import {
  readTlsMaterial,
  type TlsMaterial,
  writeAuthorityCertificate,
  writeIdentity,
  writeSecret,
} from '../pki/files.ts'
import { discardJournal } from './journal/sqlite-journal.ts'

const SCHEMA = 1

export interface Membership {
  readonly hostId: string
  readonly clusterId: string
  readonly storeEndpoints: readonly string[]
  readonly tls: TlsMaterial
}

/** Reads what an earlier join wrote; undefined on a host that never joined. `unauthenticated` when expired. */
export function readMembership(stateDir: string, now: Date): Membership | undefined {
  const path = join(stateDir, 'cluster.json')
  if (!existsSync(path)) return undefined
  const { schema, hostId, clusterId, storeEndpoints } = readRecord(path)
  if (typeof schema === 'number' && schema > SCHEMA) {
    throw new NetworkError(
      'unsupported',
      `Cannot read ${path}: it has schema ${schema}, this program knows ${SCHEMA}`,
    )
  }
  const tls = readTlsMaterial(certificatesOf(stateDir), 'host', now)
  if (
    typeof hostId !== 'string' ||
    typeof clusterId !== 'string' ||
    !Array.isArray(storeEndpoints)
  ) {
    throw notOurs(path)
  }
  if (tls === undefined) {
    throw new NetworkError(
      'not-found',
      `Cannot find the certificates in ${certificatesOf(stateDir)}`,
      {
        hint: `remove ${path} and join again`,
      },
    )
  }
  return { hostId, clusterId, storeEndpoints: storeEndpoints.map(String), tls }
}

/** Remembers a join. */
export function writeMembership(stateDir: string, membership: Membership): void {
  const { hostId, clusterId, storeEndpoints, tls } = membership
  writeAuthorityCertificate(certificatesOf(stateDir), tls.ca)
  writeIdentity(certificatesOf(stateDir), 'host', tls)
  writeSecret(
    join(stateDir, 'cluster.json'),
    `${JSON.stringify({ schema: SCHEMA, hostId, clusterId, storeEndpoints })}\n`,
  )
}

function readRecord(path: string): Readonly<Record<string, unknown>> {
  try {
    const record: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof record === 'object' && record !== null) return record as Record<string, unknown>
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw notOurs(path, cause)
  }
  throw notOurs(path)
}

function notOurs(path: string, cause?: unknown): NetworkError {
  const message = `Cannot read ${path}: it is not what a join writes`
  return new NetworkError('invalid', message, { cause, hint: 'put a backup in its place' })
}

/**
 * Begins anew: what this host was stays beside it, and nothing of it is read again. Gives the place.
 * `conflict` while a daemon runs on it.
 */
export function setStateAside(stateDir: string, now: Date): string {
  const journal = join(stateDir, 'state', 'journal.db')
  if (existsSync(journal)) discardJournal(journal)
  const place = join(stateDir, `aside-${now.toISOString().replaceAll(':', '-')}`)
  mkdirSync(place, { mode: 0o700 })
  // The membership first: without it the certificates mean nothing.
  for (const name of ['cluster.json', 'state', 'store', 'tls']) {
    if (existsSync(join(stateDir, name))) renameSync(join(stateDir, name), join(place, name))
  }
  return place
}

function certificatesOf(stateDir: string): string {
  return join(stateDir, 'tls', 'joined')
}
