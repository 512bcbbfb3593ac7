/** What a start of the daemon needs from this machine, and its patience with a store that is away. */

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from './lib/clock.ts'
import { NetworkError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'
import type { Host } from './model/host.ts'
import type { Journal } from './store/journal/journal.ts'
import { openJournal } from './store/journal/sqlite-journal.ts'
import type { Membership } from './store/membership.ts'

const CLUSTER = 'membership.cluster-id'

/** The journal; after a join the one of the former, empty cluster is replaced. */
export function openHostJournal(
  stateDir: string,
  membership: Membership | undefined,
  log: Log,
): Journal {
  const path = join(stateDir, 'state', 'journal.db')
  mkdirSync(join(stateDir, 'state'), { recursive: true, mode: 0o700 })
  const journal = openJournal({ path })
  const cluster = membership?.clusterId ?? ''
  if ((journal.settings.get(CLUSTER) ?? '') === cluster) return journal
  log.info('journal begun anew for another cluster', { host: membership?.hostId })
  journal[Symbol.dispose]()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
  const fresh = openJournal({ path })
  fresh.settings.set(CLUSTER, cluster)
  return fresh
}

/** Tries until it works or is refused for another reason than the store being away. */
export async function persist(
  attempt: () => Promise<Host>,
  signal: AbortSignal,
  patienceMs: number,
): Promise<Host> {
  const clock = systemClock()
  const deadline = clock.monotonicMs() + patienceMs
  for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
    try {
      return await attempt()
    } catch (error) {
      const away = error instanceof NetworkError && error.code === 'unavailable'
      if (!away || clock.monotonicMs() > deadline) throw error
      await clock.sleep(pauseMs, signal)
    }
  }
}

/** machine-id(5); `none` on a machine without. */
export function machineId(): string {
  const path = '/etc/machine-id'
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : 'none'
}

/** Random per boot: random(4). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
