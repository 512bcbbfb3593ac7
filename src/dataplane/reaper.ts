/**
 * The reaper's thread: what of a detach would hold an attach up (R22), and the walk through all tracked
 * connections. Each request puts pairs aside and is
 * answered; the pairs are deleted a little later, many in one message, because each deletion waits for the
 * kernel's grace period, however many it is for.
 */

import { openKernel } from '../kernel/real.ts'
import { isNetworkError } from '../lib/errors.ts'
import { type Aside, putAside, reap } from './put-aside.ts'
import { forgetFlows, type StaleFlow } from './stale-flows.ts'

export interface ReaperRequest {
  readonly id: number
  /** Empty: only delete what is marked. */
  readonly asides: readonly Aside[]
  /** Connections to be forgotten. */
  readonly stale: readonly StaleFlow[]
}

export type ReaperReply =
  | { readonly kind: 'done'; readonly id: number; readonly error?: string }
  /** Marked pairs were deleted, or connections forgotten that nobody waits for; or could not be. */
  | { readonly kind: 'reaped'; readonly error?: string }

declare const self: {
  onmessage: ((event: { readonly data: ReaperRequest }) => void) | null
  postMessage(message: ReaperReply): void
}

/** Detaches come in rows: the deletion waits until the row ends, or is this long. */
const PAUSE_MS = 100
const MOST_WAITING = 256
/** Nobody waits for what bypasses a new port: many ports are looked for in one walk. */
const GATHER_MS = 50

const kernel = openKernel()
let waiting = 0
let timer: ReturnType<typeof setTimeout> | undefined
const bypassing: StaleFlow[] = []
let gathering: ReturnType<typeof setTimeout> | undefined

self.onmessage = ({ data: { id, asides, stale } }) => {
  for (const flow of stale) if (flow.kind === 'bypassing') bypassing.push(flow)
  if (bypassing.length > 0 && gathering === undefined) {
    gathering = setTimeout(forgetBypassing, GATHER_MS)
  }
  const error = attempt(() => {
    for (const aside of asides) putAside(kernel, aside)
    forgetFlows(
      kernel,
      stale.filter(({ kind }) => kind !== 'bypassing'),
    )
  })
  self.postMessage({ kind: 'done', id, ...error })
  waiting += asides.length
  clearTimeout(timer)
  if (waiting >= MOST_WAITING) reapNow()
  else timer = setTimeout(reapNow, PAUSE_MS)
}

function reapNow(): void {
  waiting = 0
  self.postMessage({ kind: 'reaped', ...attempt(() => reap(kernel)) })
}

function forgetBypassing(): void {
  gathering = undefined
  self.postMessage({
    kind: 'reaped',
    ...attempt(() => forgetFlows(kernel, bypassing.splice(0))),
  })
}

function attempt(work: () => unknown): { readonly error?: string } {
  try {
    work()
    return {}
  } catch (error) {
    if (!isNetworkError(error)) throw error
    return { error: error.message }
  }
}
