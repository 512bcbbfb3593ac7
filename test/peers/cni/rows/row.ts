/** A row of the conformance checklist: what is done, and fails where it is not as expected. */

import type { Stage } from '../stage.ts'

export interface Row {
  readonly number: number
  readonly title: string
  run(stage: Stage): Promise<void>
}
