/**
 * Join tokens: `carrick1.<id>.<secret>.<ca hash>`, one printable line. The hash lets the newcomer know the
 * cluster before it says the secret; the store keeps only a hash of the secret, an expiry and how many
 * uses are left. A token is checked and spent in one transaction together with what it admits.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { NetworkError } from '../lib/errors.ts'
import { keys } from '../model/keys.ts'
import type { Compare, Operation, Store, TransactionResult } from '../store/store.ts'

const MARK = 'carrick1'
const ID_PATTERN = /^[0-9a-f]{12}$/
const SECRET_PATTERN = /^[A-Za-z0-9_-]{32}$/
const HASH_PATTERN = /^[A-Za-z0-9_-]{43}$/
const SCHEMA = 1
/** Lost races for one token before we give up; each means that somebody else spent a use of it. */
const MAX_TRIES = 16

export interface Token {
  readonly id: string
  /** 24 random bytes, base64url. */
  readonly secret: string
  /** `caHash()` of the cluster's authority. */
  readonly caHash: string
}

/** What the store keeps of a token. */
interface TokenRecord {
  readonly schema: number
  readonly hash: string
  /** RFC 3339. */
  readonly expiresAt: string
  readonly usesLeft: number
}

export function formatToken(token: Token): string {
  return `${MARK}.${token.id}.${token.secret}.${token.caHash}`
}

/** Reads a token; throws `invalid` saying which part is wrong, without repeating any of it. */
export function parseToken(text: string): Token {
  const parts = text.trim().split('.')
  const [mark, id = '', secret = '', hash = ''] = parts
  if (mark !== MARK) throw malformed(`it does not begin with "${MARK}."`)
  if (parts.length !== 4) throw malformed(`it has ${parts.length} parts, 4 are needed`)
  if (!ID_PATTERN.test(id)) throw malformed('its id is not 12 hexadecimal digits')
  if (!SECRET_PATTERN.test(secret)) throw malformed('its secret is cut or has foreign characters')
  if (!HASH_PATTERN.test(hash))
    throw malformed('its certificate hash is cut or has foreign characters')
  return { id, secret, caHash: hash }
}

/** Makes a token that admits `uses` hosts until `expiresAt` and stores what is needed to check it. */
export async function createToken(
  store: Store,
  options: { readonly caHash: string; readonly expiresAt: Date; readonly uses?: number },
): Promise<Token> {
  const id = randomBytes(6).toString('hex')
  const secret = randomBytes(24).toString('base64url')
  const record: TokenRecord = {
    schema: SCHEMA,
    hash: hashOf(secret),
    expiresAt: options.expiresAt.toISOString(),
    usesLeft: options.uses ?? 1,
  }
  const range = { key: keys.token(id) }
  const { succeeded } = await store.txn({
    compare: [{ range, target: 'createRevision', is: '=', value: 0 }],
    success: [{ kind: 'put', key: range.key, value: JSON.stringify(record) }],
  })
  if (!succeeded) throw new Error('Two tokens were given the same random id')
  return { id, secret, caHash: options.caHash }
}

/** What a spent token lets happen, in the same transaction. */
export interface Admission {
  readonly compare?: readonly Compare[]
  readonly operations: readonly Operation[]
}

/**
 * Checks a token and spends one use of it in the transaction that carries the admission out. Throws
 * `unauthenticated`: unknown and wrong secret look the same; expired is told only to who has the secret.
 * Throws `conflict`, the token unspent, when a comparison of the admission does not hold.
 */
export async function spendToken(
  store: Store,
  token: Pick<Token, 'id' | 'secret'>,
  admission: Admission,
  now: Date,
): Promise<TransactionResult> {
  const range = { key: keys.token(token.id) }
  let triedRevision = 0
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const [item] = (await store.range(range)).items
    const record = item === undefined ? undefined : readRecord(item.value)
    const secretRight = sameSecret(record?.hash ?? hashOf(''), token.secret)
    if (item === undefined || record === undefined || !secretRight) {
      throw refused('it is not known here, or it was spent')
    }
    if (now >= new Date(record.expiresAt)) throw refused(`it expired at ${record.expiresAt}`)
    if (item.modRevision === triedRevision) {
      throw new NetworkError('conflict', 'Cannot join: what would be made exists already')
    }
    triedRevision = item.modRevision
    const usesLeft = record.usesLeft - 1
    const spend: Operation =
      usesLeft > 0
        ? { kind: 'put', key: range.key, value: JSON.stringify({ ...record, usesLeft }) }
        : { kind: 'delete', range }
    const result = await store.txn({
      compare: [
        { range, target: 'modRevision', is: '=', value: item.modRevision },
        ...(admission.compare ?? []),
      ],
      success: [spend, ...admission.operations],
    })
    if (result.succeeded) return result
  }
  throw new NetworkError('unavailable', 'Cannot spend the token: too many others use it now')
}

function readRecord(text: string): TokenRecord | undefined {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { schema, hash, expiresAt, usesLeft } = value as Record<string, unknown> // an object
  if (typeof schema !== 'number' || typeof hash !== 'string') return undefined
  if (typeof expiresAt !== 'string' || typeof usesLeft !== 'number') return undefined
  if (schema > SCHEMA) {
    throw new NetworkError(
      'unsupported',
      `Cannot check the token: its record has schema ${schema}, this program knows ${SCHEMA}`,
    )
  }
  return { schema, hash, expiresAt, usesLeft }
}

function sameSecret(hash: string, secret: string): boolean {
  const have = Buffer.from(hash)
  const want = Buffer.from(hashOf(secret))
  return have.length === want.length && timingSafeEqual(have, want)
}

/** The secret has 192 random bits: one round of a plain hash is enough. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

function refused(found: string): NetworkError {
  return new NetworkError('unauthenticated', `Cannot join with this token: ${found}`, {
    hint: 'carrick token create',
  })
}

function malformed(found: string): NetworkError {
  return new NetworkError('invalid', `Cannot read the token: ${found}`, {
    hint: 'carrick token create',
  })
}
