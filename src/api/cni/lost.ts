/**
 * Attachments whose container is gone without a DEL: podman sends none when the namespace has vanished, `ctr run -d`
 * never does, and a reboot ends all of them. Their addresses, ports and names are taken back when neither the
 * namespace nor the pair was there at two looks in a row.
 */

import { attachmentOf } from '../../control/cni-index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { CniUses } from './call.ts'
import { drop } from './del.ts'
import type { Delegates } from './delegate.ts'

export interface LostOptions {
  readonly control: CniUses
  readonly delegates: Delegates
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

const PERIOD_MS = 10_000

/** Looks until `signal` aborts; never rejects. */
export async function removeLost(options: LostOptions): Promise<void> {
  const { clock, signal, log } = options
  let suspects: ReadonlySet<string> = new Set()
  while (!signal.aborted) {
    try {
      suspects = await look(options, suspects)
    } catch (error) {
      log.warn('lost attachments not looked for', { error })
    }
    await clock.sleep(PERIOD_MS, signal).catch(() => undefined)
  }
}

/** Ids of those to look at again: found lost for the first time, or not removed. */
async function look(
  { control, delegates, log }: LostOptions,
  suspects: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const endpoint of control.cniEndpoints()) {
    const { id } = endpoint
    if (!control.inspector.isLost(endpoint)) continue
    const attachment = attachmentOf(endpoint)
    if (!suspects.has(id) || attachment === undefined) {
      found.add(id)
      continue
    }
    // Made again meanwhile: another one.
    if (control.cniEndpoint(attachment)?.id !== id) continue
    try {
      await drop({ control, delegates }, attachment)
      log.info('lost attachment removed', { endpoint: id, ...attachment })
    } catch (error) {
      found.add(id) // it keeps none of the others
      log.warn('lost attachment not removed yet', { endpoint: id, ...attachment, error })
    }
  }
  return found
}
