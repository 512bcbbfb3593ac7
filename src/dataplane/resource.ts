/** What the comparison needs to know of one kind of kernel object. All of it is synchronous. */

import type { Wanted } from '../hoststate/state.ts'

/** `Have` is what can be read back of a thing: as wanted, and perhaps some facts more. */
export interface Resource<W extends Wanted = Wanted, Have extends W = W> {
  readonly kind: W['kind']
  /** True when a whole list does not look at what is wanted, so that nobody need collect that. */
  readonly listsAlone?: true
  /** True when the kernel's object is as wanted; what cannot be read back does not count. */
  equal(want: W, have: Have): boolean
  /**
   * What is there, ours only: with `whole` everything, leftovers too; else only what stands where `wanted`
   * would. Things inside other namespaces can only be looked for where they are wanted.
   */
  list(wanted: readonly W[], whole: boolean): Iterable<Have>
  /** Creates or corrects. Throws NetworkError. */
  put(want: W): void
  /** The same for many at once, where the kernel offers it; on failure nothing is known of any of them. */
  putMany?(wants: readonly W[]): void
  /** Content when already gone. */
  remove(have: W): void
  /** The same for many at once, where the kernel offers it; on failure nothing is known of any of them. */
  removeMany?(haves: readonly W[]): void
}

/** One resource per kind; the comparison hands each only what it listed itself or what the plan wants. */
export type Resources = { readonly [W in Wanted as W['kind']]: Resource<W, never> | Resource<W> }
