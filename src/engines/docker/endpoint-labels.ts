/** What a container says about itself, as labels of its endpoint. Pure. */

import type { Endpoint } from '../../model/endpoint.ts'
import { ENGINE_LABELS } from '../../model/engine-network.ts'
import { labelProblem } from '../../model/names.ts'
import type { ContainerSummary, GivenToEndpoint } from './engine-shapes.ts'

/** Labels of one record, ours included, and the bytes of a label's value. */
const MOST_LABELS = 64
const MOST_VALUE = 255
const COMPOSE_SERVICE = 'com.docker.compose.service'
/** An engine's short form of ids. */
const SHORT_ID = 12

/**
 * The labels that the endpoint shall have, or undefined when it has them. What a user gave to the endpoint itself
 * stays; labels of the container that cannot be ours are left out, as are those for which there is no room.
 */
export function labelsFor(
  endpoint: Endpoint,
  { id, name, image, labels }: Omit<ContainerSummary, 'endpointIds' | 'running'>,
  given: GivenToEndpoint,
): Readonly<Record<string, string>> | undefined {
  const names = listIn([name, ...given.names, labels[COMPOSE_SERVICE] ?? '', id.slice(0, SHORT_ID)])
  const ours = Object.entries({
    [ENGINE_LABELS.container]: name === '' ? id.slice(0, SHORT_ID) : name,
    [ENGINE_LABELS.image]: image,
    [ENGINE_LABELS.names]: names,
    [ENGINE_LABELS.linkLocal]: listIn(given.linkLocals),
  }).filter(([, value]) => value !== '' && value.length <= MOST_VALUE)
  const wanted = new Map([...Object.entries(endpoint.labels), ...ours])
  for (const [key, value] of Object.entries(labels).sort(composeFirst)) {
    if (wanted.size >= MOST_LABELS) break
    if (!wanted.has(key) && labelProblem(key, value) === undefined) wanted.set(key, value)
  }
  const had = Object.entries(endpoint.labels)
  const same = had.length === wanted.size && had.every(([key, value]) => wanted.get(key) === value)
  return same ? undefined : Object.fromEntries(wanted)
}

/** Each once, as far as they fit; names with commas or blanks are none that anybody could look up. */
function listIn(names: readonly string[]): string {
  let text = ''
  for (const name of new Set(names)) {
    if (name === '' || /[,\s]/.test(name)) continue
    const longer = text === '' ? name : `${text},${name}`
    if (longer.length <= MOST_VALUE) text = longer
  }
  return text
}

function composeFirst([a]: [string, string], [b]: [string, string]): number {
  const rank = (key: string): number => (key.startsWith('com.docker.compose.') ? 0 : 1)
  return rank(a) - rank(b) || (a < b ? -1 : 1)
}
