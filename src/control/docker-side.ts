/** How a network of ours may appear on container engines, and what we call one that an engine has named. Pure. */

import { type FieldError, NetworkError } from '../lib/errors.ts'
import type { DockerSide } from '../model/engine-network.ts'
import type { Network } from '../model/network.ts'
import { common } from './ipam/areas.ts'

/** Of a name of ours: model/names.ts. */
export const LONGEST_NAME = 63

/** Throws when the network cannot appear so: `invalid`, or `already-exists` when another has the name there. */
export function checkDocker(
  { name, prefixes, id }: Pick<Network, 'name' | 'prefixes'> & Partial<Pick<Network, 'id'>>,
  docker: DockerSide,
  networks: Iterable<Network>,
): void {
  const other = [...networks].find((each) => each.id !== id && each.docker?.name === docker.name)
  if (other !== undefined) {
    throw new NetworkError(
      'already-exists',
      `Cannot show network ${name} to engines as "${docker.name}": network ${other.name} is shown so`,
      { details: { network: other.name }, hint: `carrick network get ${other.name}` },
    )
  }
  const fields: FieldError[] = []
  if (docker.name === '' || docker.name.length > 255 || /\p{Cc}/u.test(docker.name)) {
    const message = `"${docker.name}" cannot name a network of Docker: 1 to 255 characters, none of them a control character`
    fields.push({ pointer: '/docker/name', message })
  }
  for (const [i, range] of docker.ranges.entries()) {
    if (prefixes.some((prefix) => common(prefix, range) === range)) continue
    const message = `range ${range} is not in the network, which has ${prefixes.join(' and ')}`
    fields.push({ pointer: `/docker/ranges/${i}`, message })
  }
  const [first] = fields
  if (first === undefined) return
  throw new NetworkError('invalid', `Cannot show network ${name} to engines: ${first.message}`, {
    fields,
  })
}

/** `shop_front` becomes `shop-front`; what has no letter or digit becomes `network`. */
export function slugOf(engineName: string): string {
  const dashed = engineName.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  const slug = dashed.replace(/^-+/, '').slice(0, LONGEST_NAME).replace(/-+$/, '')
  return slug === '' ? 'network' : slug
}
