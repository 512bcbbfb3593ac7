/** What a test asks of the dataplane's process. */

import type { ObjectChange } from '../../../src/dataplane/reconcile.ts'
import type { Kind } from '../../../src/hoststate/state.ts'

/** Names the run of the daemon that the process stands for. */
export const RUN = 'test'

export type AgentRequest =
  | { readonly kind: 'resync' | 'apply'; readonly changes: readonly ObjectChange[] }
  | { readonly kind: 'audit'; readonly kinds?: readonly Kind[] }
  /** `repairs`: what was repaired unasked, by kind and in all. */
  | { readonly kind: 'drops' | 'repairs' }
