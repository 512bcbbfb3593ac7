/**
 * Plug-ins behind ours in a chain may give the interface another MAC (`tuning`), of which nobody tells us: a look a moment
 * after the ADD, when the chain is through. Without it packets would be taken for somebody else's. A CHECK looks too.
 */

import type { CniAttachment, CniControl } from '../../control/cni-control.ts'
import type { Clock } from '../../lib/clock.ts'
import { isNetworkError } from '../../lib/errors.ts'

/** The longest chain of reference plug-ins takes less behind us. */
const LOOK_AFTER_MS = 250

export async function followTuned(
  control: CniControl,
  attachment: CniAttachment,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const made = control.cniEndpoint(attachment)
  await clock.sleep(LOOK_AFTER_MS, signal).catch(() => undefined)
  const endpoint = control.cniEndpoint(attachment)
  if (signal.aborted || endpoint === undefined || endpoint.id !== made?.id) return
  try {
    const { inode, link } = control.inspector.inspect(endpoint.sandbox.path, endpoint.ifname)
    if (inode === endpoint.sandbox.inode && link?.mac !== undefined) {
      control.followMac(endpoint.id, link.mac)
    }
  } catch (error) {
    // The namespace is gone already.
    if (!isNetworkError(error)) throw error
  }
}
