/** What main hands to a suite, and what it gets back. */
import type { Bound, Row } from './rows.ts'

export interface SuiteOptions {
  /** Answer within a minute: fewer and shorter runs. */
  readonly quick: boolean
  /** Interleaved runs; the suite's own number when absent. */
  readonly rounds: number | undefined
  /** Only these subjects; all when absent. */
  readonly subjects: ReadonlySet<string> | undefined
  readonly progress: (line: string) => void
}

export interface Suite {
  readonly name: string
  readonly bounds: readonly Bound[]
  run(options: SuiteOptions): Promise<readonly Row[]>
}
