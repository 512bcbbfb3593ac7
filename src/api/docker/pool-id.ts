/**
 * Names of pools as an engine keeps them for ever: `<space>/<prefix>[/<range>]`. The same request has the same
 * name, and the name alone says everything that was requested.
 */

import { type Prefix, parsePrefix } from '../../net/prefix.ts'

/** Equal prefixes in different spaces are different pools: swarm's managers and its nodes ask separately. */
export const SPACES = { local: 'carrick_local', global: 'carrick_global' } as const
export type Space = (typeof SPACES)[keyof typeof SPACES]

export interface PoolName {
  readonly space: Space
  readonly prefix: Prefix
  /** Part of the prefix in which addresses are chosen. */
  readonly range?: Prefix
}

export function poolIdOf({ space, prefix, range }: PoolName): string {
  return range === undefined ? `${space}/${prefix}` : `${space}/${prefix}/${range}`
}

/** Undefined for names that are not ours. */
export function parsePoolId(text: string): PoolName | undefined {
  const [space, address, length, ...rest] = text.split('/')
  const known = Object.values(SPACES).find((each) => each === space)
  const prefix = parsePrefix(`${address}/${length}`)
  if (known === undefined || prefix === undefined) return undefined
  if (rest.length === 0) return { space: known, prefix }
  const range = parsePrefix(rest.join('/'))
  return range === undefined ? undefined : { space: known, prefix, range }
}
