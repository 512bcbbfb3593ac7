/** The dataplane behind its threads: numbered requests to the worker, a poke to the reaper. */

import type { Kind } from '../hoststate/state.ts'
import { KIND_ORDER } from '../hoststate/state.ts'
import { ERROR_CODES, type ErrorCode, NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { HostFacts } from '../model/host.ts'
import type { Dataplane, DataplaneSettings } from './dataplane.ts'
import type { Answers, ErrorData, Numbered, Reply, Request } from './messages.ts'
import type { OwedFlow } from './owed-flows.ts'
import type { Aside } from './put-aside.ts'
import type { ReaperReply, ReaperRequest } from './reaper.ts'
import type { ObjectChange, Repair } from './reconcile.ts'
import { RightOfWay } from './right-of-way.ts'
import type { Underlay } from './underlay.ts'

interface Pending {
  readonly resolve: (answer: Answers[Request['kind']]) => void
  readonly reject: (reason: unknown) => void
}

/** Objects announced in one message. */
const CHUNK = 500
/** A thread costs some megabytes: the reaper's ends when nothing was detached for this long. */
const REAPER_REST_MS = 10_000

/** Starts both threads and loads the datapath. `held` tells which namespaces are open now. */
export async function startDataplane(
  settings: DataplaneSettings,
  held: () => readonly (readonly [number, number])[],
  log: Log,
): Promise<Dataplane> {
  const worker = new Worker(threadUrl('worker.ts'))
  const pending = new Map<number, Pending>()
  const listeners: ((repair: Repair) => void)[] = []
  const factListeners: ((facts: HostFacts) => void)[] = []
  let facts: HostFacts | undefined
  const underlayListeners: ((underlay: Underlay) => void)[] = []
  let underlay: Underlay | undefined
  let obstacles: readonly string[] = []
  let next = 1
  const rightOfWay = new RightOfWay()
  const reaper = new Reaper(log, rightOfWay)

  const ask = <K extends Request['kind']>(request: Request & { kind: K }): Promise<Answers[K]> =>
    new Promise((resolve, reject) => {
      const id = next++
      // The worker answers a request with the answer of its kind.
      pending.set(id, { resolve: resolve as Pending['resolve'], reject })
      const message: Numbered = { id, request }
      worker.postMessage(message)
    })

  worker.onmessage = ({ data }: { data: Reply }) => {
    if (data.kind === 'repair') {
      for (const listener of listeners) listener(data.repair)
    } else if (data.kind === 'facts') {
      facts = data.facts
      for (const listener of factListeners) listener(facts)
    } else if (data.kind === 'underlay') {
      underlay = data.underlay
      for (const listener of underlayListeners) listener(underlay)
    } else if (data.kind === 'left') {
      void reaper.putAside([], data.stale)
    } else if (data.kind === 'obstacles') {
      obstacles = data.warnings
    } else {
      const waiting = pending.get(data.id)
      pending.delete(data.id)
      if (data.kind === 'answer') waiting?.resolve(data.answer)
      else waiting?.reject(errorOf(data.error))
    }
  }
  worker.onerror = broken

  let behind: Promise<unknown> | undefined
  /** Sends what changes the kernel in the order of asking, though one of them has to wait for something. */
  const inOrder = async <T>(
    wait: Promise<void> | undefined,
    send: () => Promise<T>,
  ): Promise<T> => {
    if (wait !== undefined || behind !== undefined) {
      const turn = Promise.all([behind, wait])
      behind = turn
      await turn
      if (behind === turn) behind = undefined
    }
    return await send()
  }

  const { warnings } = await ask({ kind: 'start', settings, rightOfWay: rightOfWay.shared })
  return {
    get warnings() {
      return [...warnings, ...obstacles]
    },
    async apply(changes) {
      const hasWay = changes.some(makesPairs)
      const applied = await inOrder(reaper.beforeReuse(changes), () => {
        if (hasWay) rightOfWay.take()
        return ask({ kind: 'apply', changes, held: held(), hasWay })
      })
      const { failures, asides, stale } = applied
      if (asides.length > 0 || stale.length > 0) {
        const done = reaper.putAside(asides, stale)
        // What can be put off nobody waits for: it does no harm to others.
        if (asides.length > 0 || stale.some(({ kind }) => kind === 'forwarded')) await done
      }
      return failures
    },
    async resync(everything, spareOthers) {
      // In parts: whole, it would stand in memory three times over. One part is planned while the last is read.
      let before: Promise<null> = Promise.resolve(null)
      for (const changes of chunksOf(everything, CHUNK)) {
        const now = inOrder(undefined, () => ask({ kind: 'announce', changes }))
        await before
        before = now
      }
      await before
      return (await ask({ kind: 'resync', held: held(), spareOthers })).failures
    },
    audit: (kinds: readonly Kind[] = KIND_ORDER) => ask({ kind: 'audit', kinds }),
    sweep: () => ask({ kind: 'sweep' }),
    onRepair: (listener) => {
      listeners.push(listener)
    },
    onFacts: (listener) => {
      factListeners.push(listener)
      if (facts !== undefined) listener(facts)
    },
    onUnderlay: (listener) => {
      underlayListeners.push(listener)
      if (underlay !== undefined) listener(underlay)
    },
    drops: () => ask({ kind: 'drops' }),
    async [Symbol.asyncDispose]() {
      await ask({ kind: 'stop' })
      worker.terminate()
      await reaper.forgetNow()
      reaper[Symbol.dispose]()
    },
  }
}

function makesPairs({ wanted }: ObjectChange): boolean {
  return wanted.some(({ kind }) => kind === 'veth')
}

/** A broken invariant in a thread ends the process: restarting is safe, going on is not. */
function broken(event: { readonly message: string }): void {
  throw new Error(`a dataplane thread broke: ${event.message}`)
}

/** The reaper behind its thread: started when there is something to do, ended when there is nothing for long. */
class Reaper implements Disposable {
  readonly #log: Log
  readonly #rightOfWay: RightOfWay
  readonly #pending = new Map<number, () => void>()
  /** Addresses of containers whose connections may still be there, and the request that told of them. */
  readonly #owed = new Map<string, number>()
  #worker: Worker | undefined
  #next = 1
  #rest: ReturnType<typeof setTimeout> | undefined

  constructor(log: Log, rightOfWay: RightOfWay) {
    this.#log = log
    this.#rightOfWay = rightOfWay
  }

  /**
   * Resolves when the containers' ends are out of the way and the forwarded connections forgotten; pairs are
   * deleted later, and the connections of containers forgotten.
   */
  putAside(asides: readonly Aside[], stale: readonly OwedFlow[]): Promise<void> {
    for (const flow of stale) if (flow.kind === 'endpoint') this.#owed.set(flow.address, this.#next)
    return this.#ask({ asides, stale, now: false })
  }

  /** Resolves when every connection is forgotten that was put off. */
  async forgetNow(): Promise<void> {
    if (this.#owed.size > 0) await this.#ask({ asides: [], stale: [], now: true })
  }

  /** What to wait for before these changes: an address comes into use here whose last connections are not forgotten. */
  beforeReuse(changes: readonly ObjectChange[]): Promise<void> | undefined {
    if (this.#owed.size === 0) return undefined
    const reused = changes.some(({ wanted }) =>
      wanted.some((want) => want.kind === 'endpoint' && this.#owed.has(want.address)),
    )
    return reused ? this.forgetNow() : undefined
  }

  #ask(request: Omit<ReaperRequest, 'id' | 'rightOfWay'>): Promise<void> {
    clearTimeout(this.#rest)
    const id = this.#next++
    return new Promise((resolve) => {
      this.#pending.set(id, resolve)
      const rightOfWay = this.#rightOfWay.shared
      this.#start().postMessage({ ...request, id, rightOfWay } satisfies ReaperRequest)
    })
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#rest)
    this.#worker?.terminate()
    this.#worker = undefined
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(threadUrl('reaper.ts'))
    worker.onmessage = ({ data }: { data: ReaperReply }) => this.#heard(data)
    worker.onerror = broken
    this.#worker = worker
    return worker
  }

  #heard(reply: ReaperReply): void {
    if (reply.error !== undefined) this.#log.warn('not all put aside', { error: reply.error })
    if (reply.kind === 'done') {
      this.#pending.get(reply.id)?.()
      this.#pending.delete(reply.id)
    }
    for (const [address, id] of this.#owed) {
      if (id <= (reply.forgottenUpTo ?? 0)) this.#owed.delete(address)
    }
    if (this.#pending.size === 0) {
      clearTimeout(this.#rest)
      this.#rest = setTimeout(() => this[Symbol.dispose](), REAPER_REST_MS)
    }
  }
}

function* chunksOf<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let chunk: T[] = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length < size) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}

/**
 * In the one executable a thread's file keeps its place below the root, while the code that starts it is
 * merged into a chunk at the root.
 */
function threadUrl(name: string): string {
  const compiled = import.meta.url.startsWith('file:///$bunfs/')
  return new URL(compiled ? `./dataplane/${name}` : `./${name}`, import.meta.url).href
}

function errorOf({ code, message, hint, details }: ErrorData): NetworkError {
  const known = ERROR_CODES.find((each) => each === code) ?? 'kernel'
  return new NetworkError(known satisfies ErrorCode, message, {
    details,
    ...(hint === undefined ? {} : { hint }),
  })
}
