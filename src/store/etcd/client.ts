/**
 * The shared store in an etcd v3 cluster, or in our own served store, which speaks the same. Every call
 * has a deadline; a broken watch is the caller's to begin again. Importing this file brings the gRPC
 * library in: only the daemon does.
 */

import { NetworkError } from '../../lib/errors.ts'
import type { TlsMaterial } from '../../pki/files.ts'
import { checkRange, checkTransaction } from '../limits.ts'
import type {
  KeyRange,
  Lease,
  RangeOptions,
  RangeResult,
  Store,
  Transaction,
  TransactionResult,
  WatchBatch,
  WatchOptions,
} from '../store.ts'
import { Connection } from './connection.ts'
import { rangeRequest, rangeResult, revisionOf, txnRequest, txnResult } from './messages.ts'
import { watchStore } from './watch.ts'

const TIMEOUT_MS = 5000
const PING_INTERVAL_MS = 15_000

export interface EtcdOptions {
  /** `http://host:port` or `https://host:port` of one or more members. */
  readonly endpoints: readonly string[]
  /** For https: the authority of the servers, and our certificate. */
  readonly tls?: TlsMaterial
  /** Deadline of every call; 5 s when absent. */
  readonly timeoutMs?: number
  /** How often a connection with a silent watch is pinged; 15 s when absent, servers forbid below 5. */
  readonly pingIntervalMs?: number
}

/**
 * Makes a store that connects with its first call. Throws `invalid` for no endpoints, or https without
 * certificates.
 */
export function connectEtcd(options: EtcdOptions): EtcdClient {
  const { endpoints, tls, timeoutMs = TIMEOUT_MS, pingIntervalMs = PING_INTERVAL_MS } = options
  if (endpoints.length === 0) {
    throw new NetworkError('invalid', 'Cannot use a store without address')
  }
  const secure = endpoints.find((endpoint) => endpoint.startsWith('https:'))
  if (secure !== undefined && tls === undefined) {
    throw new NetworkError('invalid', `Cannot use the store at ${secure}: TLS needs certificates`)
  }
  return new EtcdStore(new Connection({ endpoints, tls, timeoutMs, pingIntervalMs }), timeoutMs)
}

/** A store that can be told where it is now. */
export interface EtcdClient extends Store {
  /** Asks these members from now on, by new connections. */
  moveTo(endpoints: readonly string[]): void
}

class EtcdStore implements EtcdClient {
  readonly #connection: Connection
  readonly #timeoutMs: number

  constructor(connection: Connection, timeoutMs: number) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
  }

  moveTo(endpoints: readonly string[]): void {
    this.#connection.moveTo(endpoints)
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<RangeResult> {
    checkRange(range)
    const request = rangeRequest(range, options)
    const answer = await this.#connection.read(({ kv }, call) => kv.range(request, call))
    return rangeResult(answer, revisionOf(answer.header))
  }

  async txn(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction)
    const request = txnRequest(transaction)
    const reads = [...transaction.success, ...(transaction.failure ?? [])].every(
      (operation) => operation.kind === 'range',
    )
    const attempt = reads ? 'read' : 'write'
    return txnResult(await this.#connection[attempt](({ kv }, call) => kv.txn(request, call)))
  }

  watch(options: WatchOptions): AsyncIterable<WatchBatch> {
    checkRange(options.range)
    return watchStore(this.#connection, options, this.#timeoutMs)
  }

  async grantLease(ttlSeconds: number): Promise<Lease> {
    const request = { TTL: BigInt(Math.ceil(ttlSeconds)) }
    // asked twice, a lease too many is granted, and ends by itself
    const { ID, TTL } = await this.#connection.read(({ lease }, call) =>
      lease.leaseGrant(request, call),
    )
    return { id: String(ID), ttlSeconds: Number(TTL) }
  }

  async keepAlive(id: string): Promise<number | undefined> {
    const remaining = await this.#connection.read(async ({ lease }, call) => {
      for await (const answer of lease.leaseKeepAlive(once({ ID: BigInt(id) }), call)) {
        return Number(answer.TTL)
      }
      throw new NetworkError('unavailable', `Cannot keep lease ${id} alive: the store said nothing`)
    })
    return remaining > 0 ? remaining : undefined
  }

  async revokeLease(id: string): Promise<void> {
    const request = { ID: BigInt(id) }
    await this.#connection.write(({ lease }, call) => lease.leaseRevoke(request, call))
  }

  async compact(revision: number): Promise<void> {
    const request = { revision: BigInt(revision) }
    await this.#connection.write(({ kv }, call) => kv.compact(request, call))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close()
  }
}

async function* once<T>(item: T): AsyncGenerator<T, void, undefined> {
  yield item
}
