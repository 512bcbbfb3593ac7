/** What is said of networks on container engines, checked field by field. */

import type { DockerSide, EngineNetwork, EnginePool } from '../../model/engine-network.ts'
import { parseIP } from '../../net/ip.ts'
import { parsePrefix } from '../../net/prefix.ts'
import { asObject, type Fields, listOf, textOf } from './fields.ts'

/** A network on the engine of a host; undefined when malformed, as for all of these. */
export function readEngineNetwork(fields: Fields): EngineNetwork | undefined {
  const { id, networkId, hostId, engine, name, createdAt } = fields
  const options = textsOf(fields['options'])
  const pools = listOf(fields['pools'], poolOf)
  if (typeof id !== 'string' || typeof networkId !== 'string' || typeof hostId !== 'string') return
  if (engine !== 'docker' || options === undefined || pools === undefined) return
  if (typeof createdAt !== 'string') return
  return {
    ...{ schema: 1, id, networkId, hostId, engine },
    ...(typeof name === 'string' ? { name } : {}),
    options,
    internal: fields['internal'] === true,
    pools,
    madeByUs: fields['madeByUs'] === true,
    createdAt,
  }
}

/** A pool as an engine asks for it. */
export function poolOf(value: unknown): EnginePool | undefined {
  const { poolId, ...rest } = asObject(value) ?? {}
  const prefix = textOf(parsePrefix)(rest['prefix'])
  const range = textOf(parsePrefix)(rest['range'])
  const gateway = textOf(parseIP)(rest['gateway'])
  const aux = asObject(rest['aux'])
  if (typeof poolId !== 'string' || prefix === undefined || aux === undefined) return undefined
  const set: [string, ReturnType<typeof parseIP>][] = Object.entries(aux).map(([name, text]) => {
    return [name, textOf(parseIP)(text)]
  })
  const known = set.flatMap(([name, address]) => (address === undefined ? [] : [[name, address]]))
  if (known.length < set.length) return undefined
  return {
    ...{ poolId, prefix },
    ...(range === undefined ? {} : { range }),
    ...(gateway === undefined ? {} : { gateway }),
    aux: Object.fromEntries(known),
  }
}

/** How a network appears on engines; what cannot be read does not. */
export function readDockerSide(value: unknown): DockerSide | undefined {
  const { name, ...rest } = asObject(value) ?? {}
  const [options, labels] = [textsOf(rest['options']), textsOf(rest['labels'])]
  const ranges = listOf(rest['ranges'], textOf(parsePrefix))
  if (typeof name !== 'string' || options === undefined) return undefined
  if (labels === undefined || ranges === undefined) return undefined
  return { name, options, labels, ranges }
}

function textsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  const fields = asObject(value)
  if (fields === undefined) return undefined
  if (!Object.values(fields).every((each) => typeof each === 'string')) return undefined
  return fields as Readonly<Record<string, string>> // every value was looked at
}
