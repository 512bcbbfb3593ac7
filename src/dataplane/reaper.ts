/**
 * The reaper's thread: deletes the links that detaching has put aside, all in one message, because that
 * waits for the kernel's grace period and would hold an attach up for tens of milliseconds (R22).
 */

import { MARK } from '../hoststate/state.ts'
import { openKernel } from '../kernel/real.ts'
import { isNetworkError } from '../lib/errors.ts'

declare const self: {
  onmessage: (() => void) | null
  postMessage(message: { readonly error?: string }): void
}

const kernel = openKernel()

self.onmessage = () => {
  try {
    if (kernel.links.list({ group: MARK.dyingGroup }).length > 0) {
      kernel.links.removeGroup(MARK.dyingGroup)
    }
    self.postMessage({})
  } catch (error) {
    if (!isNetworkError(error)) throw error
    self.postMessage({ error: error.message })
  }
}
