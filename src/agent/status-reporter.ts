/** Tells the cluster how far this host has come, when that changed, and not more often than it matters. */

import type { HostStatus } from '../model/host.ts'

const PERIOD_MS = 2_000

/** Reports what `read` says, now and then every two seconds while it differs, until the signal aborts. */
export function reportStatus(
  read: () => Omit<HostStatus, 'updatedAt' | 'schema'>,
  report: (status: HostStatus) => void,
  now: () => Date,
  signal: AbortSignal,
): void {
  let last = ''
  const look = (): void => {
    const status = read()
    const text = JSON.stringify({ ...status, appliedRevision: 0 })
    if (text === last) return
    last = text
    report({ schema: 1, ...status, updatedAt: now().toISOString() })
  }
  look()
  const timer = setInterval(look, PERIOD_MS)
  signal.addEventListener('abort', () => clearInterval(timer))
}
