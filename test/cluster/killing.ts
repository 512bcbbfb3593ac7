/** Daemons that die at a chosen step, and come back. */

import assert from 'node:assert/strict'
import type { Cluster } from '../../src/lab/cluster.ts'

/** Ends the daemon, if it lives, and starts it anew; with a failpoint it will not live long. */
export async function restart(cluster: Cluster, host: string, failpoint?: string): Promise<void> {
  await cluster.endDaemon(host, 'SIGTERM')
  cluster.startDaemon(
    host,
    failpoint === undefined ? {} : { env: { CARRICK_FAILPOINT: failpoint } },
  )
  await cluster.settled(host)
}

/** Fails unless the daemon has been killed by its failpoint, or soon is. */
export async function assertKilled(cluster: Cluster, host: string, step: string): Promise<void> {
  const daemon = cluster.daemon(host)
  const deadline = AbortSignal.timeout(5_000)
  const late = new Promise<never>((_, reject) => {
    deadline.addEventListener('abort', () => reject(new Error(`the daemon lives past "${step}"`)))
  })
  await Promise.race([cluster.endDaemon(host), late])
  assert.equal(daemon.signalCode, 'SIGKILL', step)
}
