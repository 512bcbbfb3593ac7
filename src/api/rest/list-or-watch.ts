/** One answer for both forms of a list request: a page now, or an event stream. */

import { NetworkError } from '../../lib/errors.ts'
import { type Collection, type Listed, listPage, type PageQuery } from './list.ts'
import { type Subscribe, watchResponse } from './watch.ts'

export function listOrWatch<T extends Listed, View, Kind extends string>(
  collection: Collection<T, View> & { readonly kind: Kind },
  query: PageQuery & { readonly watch?: 'true' | 'false' | undefined },
  subscribe: Subscribe | undefined,
) {
  if (query.watch !== 'true') return listPage(collection, query)
  if (subscribe === undefined) {
    throw new NetworkError('unsupported', 'Cannot watch: this daemon does not tell of changes')
  }
  return watchResponse(collection, query, subscribe)
}
