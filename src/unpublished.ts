/** Endpoints and published ports that the cluster does not hear of, as failures that a status shows. */

import type { ObjectFailure } from './model/host.ts'

/** `obstacles`: why, by key of the record. */
export function unpublishedFailures(
  obstacles: ReadonlyMap<string, string>,
  now: Date,
): readonly ObjectFailure[] {
  return Array.from(obstacles, ([key, obstacle]) => ({
    object: key,
    code: 'conflict',
    message: `Cannot tell the cluster of it: ${obstacle}`,
    since: now.toISOString(),
    attempts: 1,
  }))
}
