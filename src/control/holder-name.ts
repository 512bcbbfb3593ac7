/** Whom a message names when something is taken: what users know, rather than what we call it. */

import type { PublishedEndpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'

/** `container web`, `endpoint db`, or `endpoint` and an id where nobody has named it. */
export function holderName({
  id,
  name,
  labels,
}: Pick<PublishedEndpoint, 'id' | 'name' | 'labels'>): string {
  const container = labels[ENGINE_LABELS.container]
  return container === undefined ? `endpoint ${name ?? id}` : `container ${container}`
}
