/** What whoever changes the set of prefixes looks at in the shared store, all at one revision. */

import { ROOT } from '../model/keys.ts'
import { type Prefix, parsePrefix } from '../net/prefix.ts'
import type { KeyRange, KeyValue, Store } from '../store/store.ts'

export const NETWORKS = `${ROOT}networks/`

/** Written, and compared, by every change to the set of prefixes or to how they travel. */
export const FLAT_GUARD = `${ROOT}guards/flat-prefixes`

/** Prefixes of networks that are just being made follow it, each on a lease of its own. */
export const CHOSEN = `${ROOT}guards/chosen-prefixes/`

/** What stands under `CHOSEN`. */
export function chosenIn(items: readonly KeyValue[]): readonly Prefix[] {
  return items.flatMap(({ value }) => parsePrefix(value) ?? [])
}

/** Several ranges as they were at one revision. */
export async function readTogether(
  store: Store,
  ranges: readonly KeyRange[],
): Promise<readonly (readonly KeyValue[])[]> {
  const { results } = await store.txn({
    success: ranges.map((range) => ({ kind: 'range', range })),
  })
  return results.map((result) => (result.kind === 'range' ? result.items : []))
}
