/** Tells the cluster how far this host has come, when that changed, and not more often than it matters. */

import type { HostStatus } from '../model/host.ts'

const PERIOD_MS = 2_000
/** Paths are probed all the time: that one was, and is as before, is told this often. */
const PROBED_MS = 30 * 60_000

export interface StatusSource {
  readonly read: () => Omit<HostStatus, 'updatedAt' | 'schema'>
  /** An applied revision that others wait for: when it grows, the status is worth telling. */
  readonly milestone: () => number
}

/**
 * Reports what `read` says, now and then every two seconds while it differs, until the signal aborts.
 * Returns the way to look at once.
 */
export function reportStatus(
  { read, milestone }: StatusSource,
  report: (status: HostStatus, milestone: number) => void,
  now: () => Date,
  signal: AbortSignal,
): () => void {
  let last = ''
  const look = (): void => {
    const [status, reached] = [read(), milestone()]
    const text = JSON.stringify([gistOf(status), reached])
    if (text === last) return
    last = text
    report({ schema: 1, ...status, updatedAt: now().toISOString() }, reached)
  }
  look()
  const timer = setInterval(look, PERIOD_MS)
  signal.addEventListener('abort', () => clearInterval(timer))
  return look
}

/** What is worth a new report: not how far the revision is, nor each probe. */
function gistOf(status: ReturnType<StatusSource['read']>): unknown {
  const { paths = [] } = status
  const probedMs = Math.max(0, ...paths.map(({ probedAt }) => Date.parse(probedAt)))
  return {
    ...status,
    appliedRevision: 0,
    paths: paths.map((path) => ({ ...path, probedAt: undefined })),
    probed: Math.floor(probedMs / PROBED_MS),
  }
}
