/**
 * Why a store refuses a request, in one table: our error code, and the status and text by which clients of
 * etcd recognise the reason. The served store writes these texts, the etcd client reads them.
 * Source: etcd api/v3rpc/rpctypes/error.go; status numbers: grpc doc/statuscodes.md.
 */

import { type ErrorCode, type ErrorOptions, NetworkError } from '../lib/errors.ts'

interface Refusal {
  readonly code: ErrorCode
  readonly status: number
  readonly text: string
}

export const REFUSALS = {
  compacted: row('conflict', 11, 'etcdserver: mvcc: required revision has been compacted'),
  'future-revision': row('invalid', 11, 'etcdserver: mvcc: required revision is a future revision'),
  'empty-key': row('invalid', 3, 'etcdserver: key is not provided'),
  'key-not-found': row('not-found', 3, 'etcdserver: key not found'),
  'value-given': row('invalid', 3, 'etcdserver: value is provided'),
  'lease-given': row('invalid', 3, 'etcdserver: lease is provided'),
  'too-many-operations': row('invalid', 3, 'etcdserver: too many operations in txn request'),
  'duplicate-key': row('invalid', 3, 'etcdserver: duplicate key given in txn request'),
  'too-large': row('invalid', 3, 'etcdserver: request is too large'),
  'lease-not-found': row('not-found', 5, 'etcdserver: requested lease not found'),
  'lease-exists': row('already-exists', 9, 'etcdserver: lease already exists'),
  'lease-too-long': row('invalid', 11, 'etcdserver: too large lease TTL'),
  'permission-denied': row('forbidden', 7, 'etcdserver: permission denied'),
  'no-space': row('unavailable', 8, 'etcdserver: mvcc: database space exceeded'),
  'no-leader': row('unavailable', 14, 'etcdserver: no leader'),
} as const satisfies Readonly<Record<string, Refusal>>

export type Reason = keyof typeof REFUSALS

/** A refusal; `details.reason` tells programs which one. */
export function refusal(reason: Reason, message: string, options: ErrorOptions = {}): NetworkError {
  const details = { ...options.details, reason }
  return new NetworkError(REFUSALS[reason].code, message, { ...options, details })
}

/** The reason a store error carries; undefined when it is no refusal of this table. */
export function reasonOf(error: unknown): Reason | undefined {
  if (!(error instanceof NetworkError)) return undefined
  const reason = error.details['reason']
  return typeof reason === 'string' && reason in REFUSALS ? (reason as Reason) : undefined // checked
}

/** The reason behind a text an etcd server sent. */
export function reasonOfText(text: string): Reason | undefined {
  for (const [reason, refused] of Object.entries(REFUSALS)) {
    if (refused.text === text) return reason as Reason // the key of its own table
  }
  return undefined
}

function row(code: ErrorCode, status: number, text: string): Refusal {
  return { code, status, text }
}
