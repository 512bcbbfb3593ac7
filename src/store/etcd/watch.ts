/**
 * One watch on an etcd server: a stream of its own that demands a leader, put together again from pieces
 * and cut into one batch per revision. It ends with the caller's signal, or by throwing `unavailable`; the
 * caller lists and watches again.
 */

import { create } from '@bufbuild/protobuf'
import { isNetworkError, NetworkError } from '../../lib/errors.ts'
import type { WatchBatch, WatchEvent, WatchOptions } from '../store.ts'
import { type Connection, type Member, REQUIRE_LEADER, storeError } from './connection.ts'
import {
  type WatchRequest,
  WatchRequestSchema,
  type WatchResponse,
} from './gen/etcdserverpb/rpc_pb.js'
import { eventOf, eventRevision, revisionOf, wireRange } from './messages.ts'

/** Watches until the signal ends it, the revision was compacted, or the stream breaks. */
export async function* watchStore(
  connection: Connection,
  options: WatchOptions,
  timeoutMs: number,
): AsyncGenerator<WatchBatch, void, undefined> {
  const { signal } = options
  signal.throwIfAborted()
  const member = await connection.member()
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  signal.addEventListener('abort', abort, { once: true })
  // a member that accepts the stream and never answers is no better than none
  const timer = setTimeout(abort, timeoutMs)
  try {
    const answers = member.watch.watch(requestsOf(options, stop.signal), {
      signal: stop.signal,
      headers: REQUIRE_LEADER,
    })
    for await (const batch of batchesOf(answers, options, member, () => clearTimeout(timer))) {
      yield batch
      if (batch.kind === 'compacted') return
    }
    throw new NetworkError('unavailable', `The store at ${member.url} ended the watch`)
  } catch (error) {
    signal.throwIfAborted()
    if (stop.signal.aborted) member.session.verify()
    const problem = stop.signal.aborted
      ? new NetworkError(
          'unavailable',
          `The store at ${member.url} did not begin the watch in time`,
        )
      : storeError(error, member.url)
    if (isNetworkError(problem, 'unavailable')) connection.distrust(member)
    throw problem
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    stop.abort()
  }
}

/** The one request, on a stream that stays open until we are done. */
async function* requestsOf(
  options: WatchOptions,
  signal: AbortSignal,
): AsyncGenerator<WatchRequest, void, undefined> {
  yield create(WatchRequestSchema, {
    requestUnion: {
      case: 'createRequest',
      value: {
        ...wireRange(options.range),
        startRevision: BigInt(options.fromRevision ?? 0),
        progressNotify: true,
        fragment: true,
      },
    },
  })
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function* batchesOf(
  answers: AsyncIterable<WatchResponse>,
  options: WatchOptions,
  member: Member,
  begun: () => void,
): AsyncGenerator<WatchBatch, void, undefined> {
  let pieces: WatchEvent[] = []
  for await (const answer of answers) {
    begun()
    if (answer.canceled) {
      const compactRevision = Number(answer.compactRevision)
      if (compactRevision === 0) throw cancelled(answer, member)
      yield { kind: 'compacted', compactRevision }
      return
    }
    if (answer.created) {
      if (options.fromRevision === undefined) {
        yield { kind: 'progress', revision: revisionOf(answer.header) }
      }
      continue
    }
    for (const event of answer.events) {
      const told = eventOf(event)
      if (told !== undefined) pieces.push(told)
    }
    if (answer.fragment) continue
    if (pieces.length === 0) yield { kind: 'progress', revision: revisionOf(answer.header) }
    else yield* byRevision(pieces)
    pieces = []
  }
}

function* byRevision(events: readonly WatchEvent[]): Generator<WatchBatch, void, undefined> {
  let batch: WatchEvent[] = []
  let revision = 0
  for (const event of events) {
    const own = eventRevision(event)
    if (own !== revision && batch.length > 0) {
      yield { kind: 'events', revision, events: batch }
      batch = []
    }
    revision = own
    batch.push(event)
  }
  if (batch.length > 0) yield { kind: 'events', revision, events: batch }
}

function cancelled(answer: WatchResponse, member: Member): NetworkError {
  const found = answer.cancelReason === '' ? 'no reason given' : answer.cancelReason
  return new NetworkError('unavailable', `The store at ${member.url} ended the watch: ${found}`)
}
