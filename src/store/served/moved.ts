/**
 * How members learn that the store is elsewhere now, when they cannot ask it: the host that serves it sends
 * them a datagram, signed with the cluster's authority, whose key nobody else has. What it says is believed
 * only as an address to try; the connection there is checked as ever.
 */

import { sign, verify } from 'node:crypto'

/** Longer than any announcement of ours. */
const MOST_BYTES = 1_200
const PURPOSE = 'carrick store moved\n'

export interface Moved {
  readonly clusterId: string
  readonly storeEndpoints: readonly string[]
  /** Milliseconds since 1970 by the store's clock: an older one says nothing. */
  readonly atMs: number
}

/** The datagram. `key`: the authority's private key, PEM. */
export function writeMoved({ clusterId, storeEndpoints, atMs }: Moved, key: string): Uint8Array {
  const said = JSON.stringify({ clusterId, storeEndpoints, atMs })
  const signature = sign('sha256', Buffer.from(PURPOSE + said), key).toString('base64')
  return Buffer.from(JSON.stringify({ said, signature }))
}

/** What a datagram says, if the authority (its certificate, PEM) has signed it. */
export function readMoved(bytes: Uint8Array, ca: string): Moved | undefined {
  if (bytes.length > MOST_BYTES) return undefined
  const { said, signature } = fieldsOf(Buffer.from(bytes).toString('utf8'))
  if (typeof said !== 'string' || typeof signature !== 'string') return undefined
  const proof = Buffer.from(signature, 'base64')
  if (!verify('sha256', Buffer.from(PURPOSE + said), ca, proof)) return undefined
  const { clusterId, storeEndpoints, atMs } = fieldsOf(said)
  if (typeof clusterId !== 'string' || typeof atMs !== 'number') return undefined
  if (!Array.isArray(storeEndpoints) || storeEndpoints.length === 0) return undefined
  return { clusterId, storeEndpoints: storeEndpoints.map(String), atMs }
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {} // JSON.parse throws nothing but SyntaxError
  }
}
