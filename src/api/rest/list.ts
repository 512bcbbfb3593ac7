/**
 * Lists page by page. A page is cut by id, and the token to go on with is the last id: front ends keep no
 * state, so instead of one revision for all pages the promise is that an object present throughout is
 * listed exactly once.
 */

import { NetworkError } from '../../lib/errors.ts'
import type { ListOf } from './schema-parts.ts'
import { type Labels, parseSelector } from './selector.ts'

/** One kind of object as the list and watch requests see it. */
export interface Collection<T extends Listed, View> {
  readonly kind: string
  all(): readonly T[]
  /** Undefined when it is gone or does not belong to the collection. */
  find(id: string): T | undefined
  views(items: readonly T[]): View[]
}

export interface Listed {
  readonly id: string
  readonly labels: Labels
}

export interface PageQuery {
  readonly limit?: number | undefined
  readonly continue?: string | undefined
  readonly labelSelector?: string | undefined
}

const DEFAULT_LIMIT = 500

/** One page of the collection, ordered by id. */
export function listPage<T extends Listed, View, Kind extends string>(
  collection: Collection<T, View> & { readonly kind: Kind },
  query: PageQuery,
): ListOf<View> & { kind: `${Kind}List`; metadata: { continue?: string } } {
  const selected = selection(query)
  const after = query.continue === undefined ? '' : readToken(query.continue)
  const rest = collection
    .all()
    .filter((item) => item.id > after && selected(item.labels))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  const page = rest.slice(0, query.limit ?? DEFAULT_LIMIT)
  const last = page.at(-1)
  return {
    apiVersion: 'v1',
    kind: `${collection.kind}List`,
    metadata:
      last !== undefined && rest.length > page.length ? { continue: makeToken(last.id) } : {},
    items: collection.views(page),
  }
}

/** The label condition of a query; everything when there is none. */
export function selection(query: PageQuery): (labels: Labels) => boolean {
  return query.labelSelector === undefined ? () => true : parseSelector(query.labelSelector)
}

function makeToken(id: string): string {
  return Buffer.from(`after:${id}`).toString('base64url')
}

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString()
  if (!text.startsWith('after:')) {
    throw new NetworkError('invalid', 'Cannot continue the list: the token is not one of ours', {
      fields: [{ pointer: '/continue', message: 'not a token of a list' }],
    })
  }
  return text.slice('after:'.length)
}
