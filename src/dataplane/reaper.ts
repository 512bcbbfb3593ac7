/**
 * The reaper's thread: what of a detach would hold an attach up (R22), and the walk through all tracked
 * connections. Each request puts pairs aside and is answered; the pairs are deleted a little later, many in
 * one message, because each deletion waits for the kernel's grace period, however many it is for. The
 * connections of containers that left are forgotten then, too, in one walk for all, or before an address of
 * theirs is used again.
 */

import { openKernel } from '../kernel/real.ts'
import { isNetworkError } from '../lib/errors.ts'
import { type OwedFlow, settle } from './owed-flows.ts'
import { type Aside, putAside, reap } from './put-aside.ts'
import { RightOfWay } from './right-of-way.ts'
import { forgetFlows } from './stale-flows.ts'

export interface ReaperRequest {
  readonly id: number
  /** Empty: only delete what is marked. */
  readonly asides: readonly Aside[]
  /** Connections to be forgotten: those of containers later, the others before the answer. */
  readonly stale: readonly OwedFlow[]
  /** Whatever was put off is not put off any longer. */
  readonly now: boolean
  /** Of `RightOfWay`: whoever makes pairs goes first. */
  readonly rightOfWay: SharedArrayBuffer
}

export type ReaperReply =
  | ({ readonly kind: 'done'; readonly id: number } & Outcome)
  /** Marked pairs were deleted, or connections forgotten that nobody waits for; or could not be. */
  | ({ readonly kind: 'reaped' } & Outcome)

interface Outcome {
  readonly error?: string
  /** No connection is left of those that came with this request, or an earlier one. */
  readonly forgottenUpTo?: number
}

declare const self: {
  onmessage: ((event: { readonly data: ReaperRequest }) => void) | null
  postMessage(message: ReaperReply): void
}

/** Detaches come in rows: the deletion waits until the row ends, or is this long. */
const PAUSE_MS = 100
/** One pair is taken away after this even while others are being made. */
const LONGEST_WAY_MS = 5
const MOST_WAITING = 256
/** Nobody waits for what bypasses a new port: many ports are looked for in one walk. */
const GATHER_MS = 50

const kernel = openKernel()
let waiting = 0
let timer: ReturnType<typeof setTimeout> | undefined
/** What may wait to be forgotten. */
const putOff: OwedFlow[] = []
let gathering: ReturnType<typeof setTimeout> | undefined
/** Number of the last request. */
let heard = 0

self.onmessage = ({ data: { id, asides, stale, now, ...shared } }) => {
  const rightOfWay = new RightOfWay(shared.rightOfWay)
  heard = id
  putOff.push(...stale)
  const urgent = now || stale.some(({ kind }) => kind === 'forwarded')
  if (!urgent && stale.some(({ kind }) => kind === 'bypassing')) {
    gathering ??= setTimeout(
      () => self.postMessage({ kind: 'reaped', ...attempt(forget) }),
      GATHER_MS,
    )
  }
  const outcome = attempt(() => {
    for (const aside of asides) {
      rightOfWay.giveWay(LONGEST_WAY_MS)
      putAside(kernel, aside)
    }
    return urgent ? forget() : {}
  })
  self.postMessage({ kind: 'done', id, ...outcome })
  if (now) return
  waiting += asides.length
  clearTimeout(timer)
  if (waiting >= MOST_WAITING) reapNow()
  else timer = setTimeout(reapNow, PAUSE_MS)
}

function reapNow(): void {
  waiting = 0
  self.postMessage({ kind: 'reaped', ...attempt(forget) })
  const outcome = attempt(() => {
    reap(kernel)
    return {}
  })
  self.postMessage({ kind: 'reaped', ...outcome })
}

function forget(): Outcome {
  clearTimeout(gathering)
  gathering = undefined
  const flows = putOff.splice(0)
  forgetFlows(kernel, flows)
  settle(flows)
  return { forgottenUpTo: heard }
}

function attempt(work: () => Outcome): Outcome {
  try {
    return work()
  } catch (error) {
    if (!isNetworkError(error)) throw error
    return { error: error.message }
  }
}
