/** How people name things: by name, by id, or by the first four or more letters of an id. */

import { NetworkError } from '../lib/errors.ts'

const SHORTEST = 4

export interface Named {
  readonly id: string
  readonly name?: string
}

/**
 * The one thing among `all` that `reference` names. Throws `not-found`, or `invalid` when several match;
 * `what` is the noun for the message, `command` the noun of the command line.
 */
export function resolve<T extends Named>(
  what: string,
  reference: string,
  all: Iterable<T>,
  command = what,
): T {
  const named: T[] = []
  const begun: T[] = []
  for (const candidate of all) {
    if (candidate.id === reference) return candidate
    if (candidate.name === reference) named.push(candidate)
    else if (reference.length >= SHORTEST && candidate.id.startsWith(reference)) {
      begun.push(candidate)
    }
  }
  const found = named.length > 0 ? named : begun
  const [first, ...others] = found
  if (first === undefined) {
    throw new NetworkError('not-found', `Cannot find ${what} "${reference}": there is none`, {
      details: { [what]: reference },
      hint: `carrick ${command} ls`,
    })
  }
  if (others.length === 0) return first
  throw new NetworkError(
    'invalid',
    `Cannot tell which ${what} "${reference}" is meant: ${found.map(({ id }) => id).join(', ')} match`,
    { details: { [what]: reference } },
  )
}
