/** GC: takes away what its runtime does not know any more, going on past errors, and passes the list on. */

import { messageOf } from '../../lib/errors.ts'
import { type CniCall, type CniDeps, delegatedCall } from './call.ts'
import { readValidAttachments } from './config.ts'
import { drop } from './del.ts'
import type { CniCode } from './errors.ts'
import { cniCodeOf, cniError } from './errors.ts'

/** Two runtimes may share a network, and one of them may just be attaching. */
const YOUNG_MS = 10_000

export async function gc(deps: CniDeps, call: CniCall, nowMs: number): Promise<void> {
  const { control, delegates, log } = deps
  const { config } = call
  const valid = readValidAttachments(config).map(({ containerId: container, ifname }) => {
    return { container, ifname }
  })
  await deps.replaySpool()
  const stale = control.staleCni(config.name, valid, nowMs - YOUNG_MS)
  const ended = await Promise.allSettled(stale.map((attachment) => drop(deps, attachment)))
  const errors = ended.flatMap((result, i) => {
    if (result.status === 'fulfilled') return []
    const { container, ifname } = stale[i] ?? {}
    return [{ what: `${container}/${ifname}`, error: result.reason as unknown }]
  })
  const removed = stale.length - errors.length
  if (removed > 0) log.info('stale attachments removed', { cniNetwork: config.name, removed })
  if (config.delegate !== undefined) {
    try {
      await delegates.tell(delegatedCall(call, config.delegate, 'GC'))
    } catch (error) {
      errors.push({ what: `IPAM plug-in ${config.delegate}`, error })
    }
  }
  const [first] = errors
  if (first === undefined) return
  const told = errors.map(({ what, error }) => `${what}: ${messageOf(error)}`).join('; ')
  throw cniError(
    cniCodeOf(first.error) as CniCode,
    `Cannot collect all garbage of CNI network ${config.name}: ${removed} of ${stale.length} stale attachments removed; ${told}`,
    { hint: 'carrick status   # tells what the daemon is at; the next GC tries again' },
  )
}
