/**
 * What a transaction of ours may contain, whoever provides the store; checked before anything is sent, so
 * that all stores refuse alike.
 */

import { NetworkError } from '../lib/errors.ts'
import { refusal } from './reasons.ts'
import type { KeyRange, Operation, Transaction } from './store.ts'

const MAX_OPERATIONS = 100
const MAX_VALUE_BYTES = 64 * 1024
/** Most bytes of one request. etcd --max-request-bytes */
export const MAX_REQUEST_BYTES = 1_572_864

/** Throws `invalid` when the transaction breaks a limit. */
export function checkTransaction(transaction: Transaction): void {
  const { compare = [], success, failure = [] } = transaction
  const most = Math.max(compare.length, success.length, failure.length)
  if (most > MAX_OPERATIONS) {
    const found = `${most} operations, at most ${MAX_OPERATIONS} are allowed`
    throw refusal('too-many-operations', `Cannot carry out a transaction: ${found}`)
  }
  let bytes = 0
  for (const operation of [...success, ...failure]) bytes += checkOperation(operation)
  if (bytes > MAX_REQUEST_BYTES) {
    const found = `${bytes} bytes of values, at most ${MAX_REQUEST_BYTES} are allowed`
    throw refusal('too-large', `Cannot carry out a transaction: ${found}`)
  }
  for (const { range } of compare) checkRange(range)
}

/** Throws `invalid` for an empty key or a range that ends before it begins. */
export function checkRange(range: KeyRange): void {
  if ('from' in range && range.from >= range.to) {
    throw new NetworkError(
      'invalid',
      `Cannot use the range "${range.from}": it ends at "${range.to}"`,
    )
  }
  if (('key' in range && range.key === '') || ('from' in range && range.from === '')) {
    throw refusal('empty-key', 'Cannot use an empty key: a key has a byte or more')
  }
}

function checkOperation(operation: Operation): number {
  if (operation.kind !== 'put') {
    checkRange(operation.range)
    return 0
  }
  checkRange({ key: operation.key })
  const bytes = Buffer.byteLength(operation.value)
  if (bytes > MAX_VALUE_BYTES) {
    const found = `${bytes} bytes, at most ${MAX_VALUE_BYTES} are allowed`
    throw refusal('too-large', `Cannot store "${operation.key}": the value has ${found}`)
  }
  return bytes
}
