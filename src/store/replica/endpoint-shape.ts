/** What an endpoint's record says about its interface where that differs from what its network gives. */

import type { Delegate } from '../../model/cni.ts'
import type { Bandwidth, Endpoint, EndpointRoute, RateLimit } from '../../model/endpoint.ts'
import { parsePrefix } from '../../net/prefix.ts'
import { asObject, type Fields, listOf, textOf } from './fields.ts'

type Shape = Pick<Endpoint, 'routes' | 'defaultRoute' | 'mtuBytes' | 'bandwidth'>

/** Only what is there; what is malformed is as if it were not. */
export function readEndpointShape(fields: Fields): Shape {
  const routes = listOf(fields['routes'], readRoute)
  const bandwidth = readBandwidth(fields['bandwidth'])
  const mtuBytes = positive(fields['mtuBytes'])
  return {
    ...(routes === undefined ? {} : { routes }),
    ...(fields['defaultRoute'] === false ? { defaultRoute: false } : {}),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  }
}

/** Undefined when there is none, or it is malformed. */
export function readDelegate(value: unknown): Delegate | undefined {
  const fields = asObject(value)
  const path =
    fields &&
    listOf(
      fields['path'],
      textOf((text) => text),
    )
  if (fields === undefined || path === undefined) return undefined
  const { type, config, args } = fields
  if (typeof type !== 'string' || typeof config !== 'string') return undefined
  return typeof args === 'string' ? { type, path, config, args } : undefined
}

const ROUTE_NUMBERS = ['metric', 'table', 'mtuBytes', 'advmssBytes'] as const

function readRoute(value: unknown): EndpointRoute | undefined {
  const fields = asObject(value)
  const to = fields && textOf(parsePrefix)(fields['to'])
  if (to === undefined) return undefined
  const numbers = ROUTE_NUMBERS.flatMap((key) => {
    const number = positive(fields?.[key])
    return number === undefined ? [] : [[key, number] as const]
  })
  return { to, ...Object.fromEntries(numbers) }
}

function readBandwidth(value: unknown): Bandwidth | undefined {
  const fields = asObject(value)
  if (fields === undefined) return undefined
  const toContainer = readLimit(fields['toContainer'])
  const fromContainer = readLimit(fields['fromContainer'])
  return {
    ...(toContainer === undefined ? {} : { toContainer }),
    ...(fromContainer === undefined ? {} : { fromContainer }),
  }
}

function readLimit(value: unknown): RateLimit | undefined {
  const fields = asObject(value)
  const bitsPerSecond = positive(fields?.['bitsPerSecond'])
  const burstBits = positive(fields?.['burstBits'])
  if (bitsPerSecond === undefined) return undefined
  return { bitsPerSecond, ...(burstBits === undefined ? {} : { burstBits }) }
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}
