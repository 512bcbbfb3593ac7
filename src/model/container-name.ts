/** What users call the container of an endpoint, from what its engine or runtime told of it. */

import { CNI_LABELS, POD_LABELS } from './cni.ts'
import { ENGINE_LABELS } from './engine-network.ts'

/** Engines show so many characters of an id of 64 hexadecimal digits, and take them for the whole. */
const SHORT_ID = 12

/** Its name at its engine, that of its pod, or the id its runtime gave it; undefined where nobody told of one. */
export function containerNameOf(labels: Readonly<Record<string, string>>): string | undefined {
  const told = labels[ENGINE_LABELS.container] ?? labels[POD_LABELS.name]
  if (told !== undefined) return told
  const id = labels[CNI_LABELS.container]
  return id !== undefined && /^[0-9a-f]{64}$/.test(id) ? id.slice(0, SHORT_ID) : id
}
