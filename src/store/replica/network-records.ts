/** Parts of what is said of a network, checked field by field. */

import type { Forced, Overlap } from '../../model/overlap.ts'
import type { Reservation } from '../../model/reservation.ts'
import { parseIP } from '../../net/ip.ts'
import { parsePrefix } from '../../net/prefix.ts'
import { asObject, type Fields, listOf, textOf } from './fields.ts'

/** What was forced on a network; what cannot be read was not. */
export function readForced(value: unknown): Forced | undefined {
  const { uid, user, at, overlaps } = asObject(value) ?? {}
  if (typeof at !== 'string') return undefined
  return {
    ...(typeof uid === 'number' ? { uid } : {}),
    ...(typeof user === 'string' ? { user } : {}),
    at,
    overlaps: listOf(overlaps, overlapOf) ?? [],
  }
}

function overlapOf(value: unknown): Overlap | undefined {
  const { network, host, device, underlay, ...prefixes } = asObject(value) ?? {}
  const subnet = textOf(parsePrefix)(prefixes['subnet'])
  const other = textOf(parsePrefix)(prefixes['other'])
  if (subnet === undefined || other === undefined) return undefined
  return {
    ...{ subnet, other },
    ...(typeof network === 'string' ? { network } : {}),
    ...(typeof host === 'string' ? { host } : {}),
    ...(typeof device === 'string' ? { device } : {}),
    ...(underlay === true ? { underlay } : {}),
  }
}

/** Addresses kept for a name; undefined when malformed. */
export function readReservation(fields: Fields): Reservation | undefined {
  const { networkId, name, createdAt } = fields
  const addresses = listOf(fields['addresses'], textOf(parseIP))
  if (typeof networkId !== 'string' || typeof name !== 'string') return undefined
  if (addresses === undefined || addresses.length === 0) return undefined
  if (typeof createdAt !== 'string') return undefined
  return { schema: 1, networkId, name, addresses, createdAt }
}
