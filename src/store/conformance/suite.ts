/**
 * What every store has to do, as one suite: the embedded one, the same served over mutual TLS, and a real
 * etcd pass it alike. Each test works under a prefix of its own, so that a store may be shared.
 */

import type { Store } from '../store.ts'
import { testHistories } from './histories.ts'
import { testKeys } from './keys.ts'
import { checksNamed } from './kit.ts'
import { testWatches } from './watches.ts'

export interface Conformance {
  /** The name the tests carry. */
  readonly name: string
  /** The store under test; asked for in each test. */
  readonly store: () => Store
  /** How many random histories are tried. */
  readonly runs: number
}

/** Registers the suite. */
export function testConformance({ name, store, runs }: Conformance): void {
  const check = checksNamed(name, store)
  testKeys(check)
  testWatches(check)
  testHistories(check, runs)
}
