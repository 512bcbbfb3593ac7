/** Whom a message names when something is taken: what users know, rather than what we call it. */

import { containerNameOf } from '../model/container-name.ts'
import type { PublishedEndpoint } from '../model/endpoint.ts'
import { ENGINE_LABELS } from '../model/engine-network.ts'

/** `container web`, `endpoint db`, or `endpoint` and an id where nobody has named it. */
export function holderName({
  id,
  name,
  labels,
}: Pick<PublishedEndpoint, 'id' | 'name' | 'labels'>): string {
  const ofEngine = labels[ENGINE_LABELS.container]
  const container = ofEngine ?? (name === undefined ? containerNameOf(labels) : undefined)
  return container === undefined ? `endpoint ${name ?? id}` : `container ${container}`
}
