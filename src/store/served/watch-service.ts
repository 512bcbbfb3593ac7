/**
 * Watches of the etcd v3 API. One stream carries several watches; each pulls from the engine and puts its
 * answers into the stream's bounded channel, so that a client that does not read stops its own watches and
 * nobody else's, and finds what it missed in the history, or is told that it was compacted.
 */

import { create } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import {
  type Watch,
  type WatchCreateRequest,
  WatchCreateRequest_FilterType,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from '../etcd/gen/etcdserverpb/rpc_pb.js'
import { type Event, Event_EventType, EventSchema } from '../etcd/gen/mvccpb/kv_pb.js'
import { REFUSALS } from '../reasons.ts'
import type { Engine } from '../sqlite/engine.ts'
import type { Change } from '../sqlite/mvcc.ts'
import type { Watcher, WatchNews } from '../sqlite/watchers.ts'
import { Channel } from './channel.ts'
import { headerOf, intervalOfWire, keyValueOf, previousOf } from './messages.ts'

/** Answers of one stream that wait for a client that does not read. */
const WAITING_ANSWERS = 16
/** Watches one stream may carry. */
const MAX_WATCHES = 1024
/** About how large an answer gets before it is cut, for clients that ask for pieces. */
const FRAGMENT_BYTES = 1024 * 1024
/** How often a silent watch that asked for it is told how far it is. */
const PROGRESS_MS = 60_000
/** Stands in for the watch in answers that concern the whole stream. etcd clientv3.InvalidWatchID */
const NO_WATCH = -1n

export function watchService(engine: Engine): ServiceImpl<typeof Watch> {
  return {
    async *watch(requests, context) {
      const stream = new WatchStream(engine)
      const end = (): void => stream.close()
      context.signal.addEventListener('abort', end, { once: true })
      try {
        stream.serve(requests)
        yield* stream.answers()
      } finally {
        context.signal.removeEventListener('abort', end)
        stream.close()
      }
    },
  }
}

interface Watching {
  readonly watcher: Watcher
  readonly request: WatchCreateRequest
  /** Every change up to this revision is in the channel. */
  toldRevision: number
}

class WatchStream {
  readonly #engine: Engine
  readonly #channel = new Channel<WatchResponse>(WAITING_ANSWERS)
  readonly #watching = new Map<bigint, Watching>()
  #nextId = 0n
  readonly #ended = new AbortController()

  constructor(engine: Engine) {
    this.#engine = engine
    // ends with the stream; pushing never fails, it answers false on a closed channel
    this.#tellProgress(this.#ended.signal).catch(() => undefined)
  }

  answers(): AsyncGenerator<WatchResponse, void, undefined> {
    return this.#channel.items()
  }

  /** Reads the client's requests until it has no more; that ends the stream. */
  serve(requests: AsyncIterable<WatchRequest>): void {
    const read = async (): Promise<void> => {
      for await (const { requestUnion } of requests) {
        if (requestUnion.case === 'createRequest') await this.#create(requestUnion.value)
        else if (requestUnion.case === 'cancelRequest')
          await this.#cancel(requestUnion.value.watchId)
        else if (requestUnion.case === 'progressRequest') await this.#progress()
      }
    }
    // a client that goes away breaks the reading; either way the stream is over
    read().then(
      () => this.close(),
      () => this.close(),
    )
  }

  close(): void {
    this.#ended.abort()
    for (const { watcher } of this.#watching.values()) watcher[Symbol.dispose]()
    this.#watching.clear()
    this.#channel.close()
  }

  async #create(request: WatchCreateRequest): Promise<void> {
    const watchId = request.watchId === 0n ? this.#unusedId() : request.watchId
    if (this.#watching.has(watchId) || this.#watching.size >= MAX_WATCHES) {
      const cancelReason = 'carrick: duplicate watch id, or too many watches on one stream'
      await this.#say({ watchId: NO_WATCH, created: true, canceled: true, cancelReason })
      return
    }
    const { filters } = request
    const key = request.key.length === 0 ? new Uint8Array(1) : request.key
    const watcher = this.#engine.watch({
      interval: intervalOfWire(key, request.rangeEnd),
      fromRevision: Number(request.startRevision),
      puts: !filters.includes(WatchCreateRequest_FilterType.NOPUT),
      deletes: !filters.includes(WatchCreateRequest_FilterType.NODELETE),
    })
    const watching = { watcher, request, toldRevision: watcher.next - 1 }
    this.#watching.set(watchId, watching)
    await this.#say({ watchId, created: true })
    this.#pump(watchId, watching).then(
      () => undefined,
      () => this.close(),
    )
  }

  async #cancel(watchId: bigint): Promise<void> {
    const watching = this.#watching.get(watchId)
    if (watching === undefined) return
    watching.watcher[Symbol.dispose]()
    this.#watching.delete(watchId)
    await this.#say({ watchId, canceled: true })
  }

  /** Tells the revision below which nothing more will come on this stream. */
  async #progress(): Promise<void> {
    let revision = this.#engine.revision
    for (const watching of this.#watching.values()) revision = Math.min(revision, told(watching))
    await this.#say({ watchId: NO_WATCH }, revision)
  }

  async #pump(watchId: bigint, watching: Watching): Promise<void> {
    for (;;) {
      const news = await watching.watcher.pull()
      if (news === undefined) return
      if (news.kind === 'compacted') {
        this.#watching.delete(watchId)
        const compactRevision = BigInt(news.compactRevision)
        const cancelReason = REFUSALS.compacted.text
        await this.#say({ watchId, canceled: true, compactRevision, cancelReason })
        return
      }
      if (!(await this.#tell(watchId, watching.request, news))) return
      watching.toldRevision = news.revision
    }
  }

  /** One revision is one answer, or a row of pieces of which the last says that it is the last. */
  async #tell(
    watchId: bigint,
    request: WatchCreateRequest,
    news: Extract<WatchNews, { kind: 'commit' }>,
  ): Promise<boolean> {
    const events = news.changes.map((change) => eventOf(change, request.prevKv))
    const pieces = request.fragment ? cut(events) : [events]
    for (const [index, piece] of pieces.entries()) {
      const fragment = index < pieces.length - 1
      if (!(await this.#say({ watchId, events: piece, fragment }, news.revision))) return false
    }
    return true
  }

  #say(
    fields: Partial<Omit<WatchResponse, 'header' | '$typeName' | '$unknown'>>,
    revision = this.#engine.revision,
  ): Promise<boolean> {
    const header = headerOf(this.#engine, revision)
    return this.#channel.push(create(WatchResponseSchema, { ...fields, header }))
  }

  #unusedId(): bigint {
    while (this.#watching.has(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  async #tellProgress(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#engine.clock.sleep(PROGRESS_MS, signal)
      for (const [watchId, { watcher, request }] of this.#watching) {
        const revision = watcher.toldRevision
        if (request.progressNotify && revision !== undefined) await this.#say({ watchId }, revision)
      }
    }
  }
}

function told(watching: Watching): number {
  return watching.watcher.toldRevision ?? watching.toldRevision
}

function eventOf(change: Change, withPrevious: boolean): Event {
  const deleted = change.kind === 'delete'
  return create(EventSchema, {
    type: deleted ? Event_EventType.DELETE : Event_EventType.PUT,
    kv: keyValueOf(change.entry),
    ...(withPrevious ? previousOf(change) : {}),
  })
}

function cut(events: readonly Event[]): Event[][] {
  const pieces: Event[][] = []
  let bytes = FRAGMENT_BYTES
  for (const event of events) {
    const size = (event.kv?.value.length ?? 0) + (event.prevKv?.value.length ?? 0) + 256
    if (bytes + size > FRAGMENT_BYTES) {
      pieces.push([])
      bytes = 0
    }
    pieces.at(-1)?.push(event)
    bytes += size
  }
  return pieces
}
