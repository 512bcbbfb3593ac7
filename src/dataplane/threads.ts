/** The dataplane behind its threads: numbered requests to the worker, a poke to the reaper. */

import type { Kind } from '../hoststate/state.ts'
import { KIND_ORDER } from '../hoststate/state.ts'
import { ERROR_CODES, type ErrorCode, NetworkError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Dataplane, DataplaneSettings } from './dataplane.ts'
import type { Answers, ErrorData, Numbered, Reply, Request } from './messages.ts'
import type { Repair } from './reconcile.ts'

interface Pending {
  readonly resolve: (answer: Answers[Request['kind']]) => void
  readonly reject: (reason: unknown) => void
}

/** Starts both threads and loads the datapath. `held` tells which namespaces are open now. */
export async function startDataplane(
  settings: DataplaneSettings,
  held: () => readonly (readonly [number, number])[],
  log: Log,
): Promise<Dataplane> {
  const worker = new Worker(threadUrl('worker.ts'))
  const reaper = new Worker(threadUrl('reaper.ts'))
  const pending = new Map<number, Pending>()
  const listeners: ((repair: Repair) => void)[] = []
  let next = 1
  let reaping: 'no' | 'yes' | 'again' = 'no'

  const ask = <K extends Request['kind']>(request: Request & { kind: K }): Promise<Answers[K]> =>
    new Promise((resolve, reject) => {
      const id = next++
      // The worker answers a request with the answer of its kind.
      pending.set(id, { resolve: resolve as Pending['resolve'], reject })
      const message: Numbered = { id, request }
      worker.postMessage(message)
    })

  const reap = (): void => {
    reaping = reaping === 'no' ? 'yes' : 'again'
    if (reaping === 'yes') reaper.postMessage({})
  }

  worker.onmessage = ({ data }: { data: Reply }) => {
    if (data.kind === 'repair') {
      for (const listener of listeners) listener(data.repair)
    } else if (data.kind === 'dying') {
      reap()
    } else {
      const waiting = pending.get(data.id)
      pending.delete(data.id)
      if (data.kind === 'answer') waiting?.resolve(data.answer)
      else waiting?.reject(errorOf(data.error))
    }
  }
  reaper.onmessage = ({ data }: { data: { readonly error?: string } }) => {
    if (data.error !== undefined) log.warn('links not deleted', { error: data.error })
    const again = reaping === 'again'
    reaping = 'no'
    if (again) reap()
  }
  // A broken invariant in a thread ends the process: restarting is safe, going on is not.
  const broken = (event: { readonly message: string }): void => {
    throw new Error(`a dataplane thread broke: ${event.message}`)
  }
  worker.onerror = broken
  reaper.onerror = broken

  const { warnings } = await ask({ kind: 'start', settings })
  return {
    warnings,
    apply: async (changes, full) =>
      (await ask({ kind: 'apply', changes, full, held: held() })).failures,
    audit: (kinds: readonly Kind[] = KIND_ORDER) => ask({ kind: 'audit', kinds }),
    onRepair: (listener) => {
      listeners.push(listener)
    },
    drops: () => ask({ kind: 'drops' }),
    async [Symbol.asyncDispose]() {
      await ask({ kind: 'stop' })
      worker.terminate()
      reaper.terminate()
    },
  }
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
