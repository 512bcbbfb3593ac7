/** CNI as the daemon serves it: the calls, those that came while it was away, and what no runtime will ever end. */

import { join } from 'node:path'
import { createCniApi } from './api/cni/api.ts'
import type { CniUses } from './api/cni/call.ts'
import { Delegates } from './api/cni/delegate.ts'
import { PLUGINS } from './api/cni/delegate-process.ts'
import type { CniDoor } from './api/cni/door.ts'
import { removeLost } from './api/cni/lost.ts'
import { Spool } from './api/cni/spool.ts'
import type { SpooledDelete } from './cni/exchange.ts'
import type { Clock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'

/** In the state directory: the plug-in's process knows it by this name too. */
const SPOOL = 'cni-spool'

export interface CniServiceOptions {
  readonly control: CniUses
  readonly door: CniDoor
  readonly stateDir: string
  readonly clock: Clock
  readonly log: Log
}

/** Serves until disposed. */
export function startCni({
  control,
  door,
  stateDir,
  clock,
  log,
}: CniServiceOptions): AsyncDisposable {
  const own = log.child('cni')
  const ending = new AbortController()
  const delegates = new Delegates(PLUGINS, own)
  const spool = new Spool({
    directory: join(stateDir, SPOOL),
    replay: (spooled: SpooledDelete) => api.replay(spooled),
    log: own,
  })
  const replaySpool = (): Promise<void> => spool.drain()
  const { signal } = ending
  const api = createCniApi({ control, delegates, replaySpool, clock, log, signal })
  const drained = spool.drain()
  const serving = door.serve(api)
  const lost = removeLost({ control, delegates, clock, log: own, signal })
  return {
    async [Symbol.asyncDispose]() {
      serving[Symbol.dispose]()
      ending.abort(new Error('closing'))
      spool[Symbol.dispose]()
      await Promise.all([drained, lost])
    },
  }
}
