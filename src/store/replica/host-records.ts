/** What hosts tell of themselves, checked field by field. */

import type { Alive, Host, HostFacts, HostStatus, ObjectFailure } from '../../model/host.ts'
import { PATH_CARRIERS, PATH_PROBLEMS, type PathReport } from '../../model/path.ts'
import { parseIP } from '../../net/ip.ts'
import { parseMac } from '../../net/mac.ts'
import { parsePrefix } from '../../net/prefix.ts'
import { asObject, type Fields, listOf, textOf } from './fields.ts'

/** A sign of life; undefined when malformed, as for all of these. */
export function readAlive({ bootId, instance, since }: Fields): Alive | undefined {
  if (typeof bootId !== 'string' || typeof instance !== 'string') return undefined
  return typeof since === 'string' ? { bootId, instance, since } : undefined
}

/** What only the host's kernel knows. */
export function readFacts(fields: Fields): HostFacts | undefined {
  const routes = listOf(fields['routes'], (value) => {
    const route = asObject(value)
    const prefix = textOf(parsePrefix)(route?.['prefix'])
    const device = route?.['device']
    return prefix !== undefined && typeof device === 'string' ? { prefix, device } : undefined
  })
  return routes && { schema: 1, routes }
}

/** How far the host has come. */
export function readStatus(fields: Fields): HostStatus | undefined {
  const { appliedRevision, endpoints, updatedAt } = fields
  const failures = listOf(fields['failures'], failure)
  if (typeof appliedRevision !== 'number' || typeof endpoints !== 'number') return undefined
  if (failures === undefined || typeof updatedAt !== 'string') return undefined
  const status = { schema: 1, appliedRevision, endpoints, failures, updatedAt } as const
  const paths = listOf(fields['paths'], path)
  return paths === undefined ? status : { ...status, paths }
}

function path(value: unknown): PathReport | undefined {
  const { hostId, expectedBytes, mtuBytes, probedAt, ...rest } = asObject(value) ?? {}
  const carrier = PATH_CARRIERS.find((known) => known === rest['carrier'])
  const problems = listOf(
    rest['problems'],
    textOf((text) => text),
  )
  if (typeof hostId !== 'string' || carrier === undefined || problems === undefined)
    return undefined
  if (typeof expectedBytes !== 'number' || typeof mtuBytes !== 'number') return undefined
  if (typeof probedAt !== 'string') return undefined
  // a later version may know more of them
  const known = PATH_PROBLEMS.filter((problem) => problems.includes(problem))
  return { hostId, carrier, expectedBytes, mtuBytes, problems: known, probedAt }
}

function failure(value: unknown): ObjectFailure | undefined {
  const { object, code, message, since, attempts } = asObject(value) ?? {}
  if (typeof object !== 'string' || typeof code !== 'string') return undefined
  if (typeof message !== 'string' || typeof since !== 'string') return undefined
  return typeof attempts === 'number' ? { object, code, message, since, attempts } : undefined
}

/** One of a host's underlay addresses. */
export function readUnderlay(value: unknown): Host['underlay'][number] | undefined {
  const fields = asObject(value)
  const address = textOf(parseIP)(fields?.['address'])
  const prefix = textOf(parsePrefix)(fields?.['prefix'])
  const mac = textOf(parseMac)(fields?.['mac'])
  const mtuBytes = fields?.['mtuBytes']
  if (address === undefined || prefix === undefined || mac === undefined) return undefined
  return typeof mtuBytes === 'number' ? { address, prefix, mac, mtuBytes } : undefined
}
