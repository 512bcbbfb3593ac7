/** What the comparison needs to know of one kind of kernel object. All of it is synchronous. */

import type { Wanted } from '../hoststate/state.ts'

export interface Resource<W extends Wanted = Wanted> {
  readonly kind: W['kind']
  /** True when the kernel's object is as wanted; what cannot be read back does not count. */
  equal(want: W, have: W): boolean
  /** What is there, ours only. */
  list(): Iterable<W>
  /** Creates or corrects. Throws NetworkError. */
  put(want: W): void
  /** The same for many at once, where the kernel offers it; on failure nothing is known of any of them. */
  putMany?(wants: readonly W[]): void
  /** Content when already gone. */
  remove(have: W): void
}

/** One resource per kind. */
export type Resources = { readonly [W in Wanted as W['kind']]: Resource<W> }
