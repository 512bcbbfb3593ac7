/** CNI as the daemon serves it: the calls, those that came while it was away, and what no runtime will ever end. */

import { join } from 'node:path'
import { createCniApi } from './api/cni/api.ts'
import type { CniUses } from './api/cni/call.ts'
import { drop } from './api/cni/del.ts'
import { Delegates } from './api/cni/delegate.ts'
import { PLUGINS } from './api/cni/delegate-process.ts'
import type { CniDoor } from './api/cni/door.ts'
import { removeLost } from './api/cni/lost.ts'
import { Spool } from './api/cni/spool.ts'
import { Underway } from './api/cni/underway.ts'
import type { SpooledDelete } from './cni/exchange.ts'
import type { CniAttachment } from './control/cni-control.ts'
import type { Clock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'

/** In the state directory: the plug-in's process knows it by this name too. */
const SPOOL = 'cni-spool'
/** In the run directory, which a reboot empties. */
const UNDERWAY = 'cni-adds'

export interface CniServiceOptions {
  readonly control: CniUses
  readonly door: CniDoor
  readonly stateDir: string
  readonly runDir: string
  readonly clock: Clock
  readonly log: Log
}

/** Serves until disposed. */
export function startCni({
  control,
  door,
  stateDir,
  runDir,
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
  const underway = new Underway(join(runDir, UNDERWAY))
  const withdraw = async (attachment: CniAttachment): Promise<void> => {
    try {
      await drop({ control, delegates }, attachment)
      underway.forget(attachment)
      own.info('interrupted attach withdrawn', { ...attachment })
    } catch (error) {
      own.warn('interrupted attach not withdrawn yet', { ...attachment, error })
    }
  }
  const { signal } = ending
  const api = createCniApi({
    ...{ control, delegates, underway, clock, log, signal },
    replaySpool: () => spool.drain(),
  })
  // Begun before the first call is let in, which waits for them where it is about the same.
  const before = Promise.all([spool.drain(), ...underway.interrupted().map(withdraw)])
  const serving = door.serve(api)
  const lost = removeLost({ control, delegates, clock, log: own, signal })
  return {
    async [Symbol.asyncDispose]() {
      serving[Symbol.dispose]()
      ending.abort(new Error('closing'))
      spool[Symbol.dispose]()
      await Promise.all([before, lost])
    },
  }
}
