/** What is said of networks on container engines, checked field by field. */

import type { DockerSide, EngineNetwork, EnginePool } from '../../model/engine-network.ts'
import { type IP, parseIP } from '../../net/ip.ts'
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
  const aux = addressesOf(rest['aux'])
  if (typeof poolId !== 'string' || prefix === undefined || aux === undefined) return undefined
  return {
    ...{ poolId, prefix },
    ...(range === undefined ? {} : { range }),
    ...(gateway === undefined ? {} : { gateway }),
    aux,
  }
}

/** How a network appears on engines; what cannot be read does not. */
export function readDockerSide(value: unknown): DockerSide | undefined {
  const { name, ...rest } = asObject(value) ?? {}
  const [options, labels] = [textsOf(rest['options']), textsOf(rest['labels'])]
  const ranges = listOf(rest['ranges'], textOf(parsePrefix))
  if (typeof name !== 'string' || options === undefined) return undefined
  if (labels === undefined || ranges === undefined) return undefined
  const aux = rest['aux'] === undefined ? {} : addressesOf(rest['aux'])
  if (aux === undefined) return undefined
  return {
    ...{ name, options, labels, ranges },
    ...(Object.keys(aux).length === 0 ? {} : { aux }),
    ...(rest['takenUp'] === true ? { takenUp: true } : {}),
  }
}

/** Addresses by name. */
function addressesOf(value: unknown): Readonly<Record<string, IP>> | undefined {
  const fields = asObject(value)
  if (fields === undefined) return undefined
  const known = Object.entries(fields).flatMap(([name, text]): [string, IP][] => {
    const address = textOf(parseIP)(text)
    return address === undefined ? [] : [[name, address]]
  })
  return known.length === Object.keys(fields).length ? Object.fromEntries(known) : undefined
}

function textsOf(value: unknown): Readonly<Record<string, string>> | undefined {
  const fields = asObject(value)
  if (fields === undefined) return undefined
  if (!Object.values(fields).every((each) => typeof each === 'string')) return undefined
  return fields as Readonly<Record<string, string>> // every value was looked at
}
