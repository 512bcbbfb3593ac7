/** What an engine's driver may ask for: checked against the network. Pure. */

import { type FieldError, NetworkError } from '../lib/errors.ts'
import { isName } from '../model/names.ts'
import type { Network } from '../model/network.ts'
import { type Family, familyOf, type IP } from '../net/ip.ts'
import { isUnicastMac, type Mac, parseMac } from '../net/mac.ts'
import { type Prefix, prefixFamily } from '../net/prefix.ts'
import { checkAddresses, type Wrong } from './attach-spec.ts'
import type { HoldSpec, PlugSpec } from './docker-control.ts'
import { areasOf } from './ipam/areas.ts'
import { nameProblem } from './network-spec.ts'

export interface CheckedHold {
  /** Undefined: one is to be chosen. */
  readonly address: IP | undefined
  readonly family: Family
}

/** Throws `invalid` for an address or a range that the network does not have. */
export function checkHold(network: Network, spec: HoldSpec): CheckedHold {
  const fields: FieldError[] = []
  const wanted = spec.address === undefined ? [] : [spec.address]
  const [address] = checkAddresses(network, wanted, '', into(fields))
  const area = spec.within ?? network.prefixes[0]
  const family = address === undefined ? spec.family : familyOf(address)
  if (spec.within !== undefined) checkArea(network, spec.within, fields)
  refuse(fields, `take an address of network ${network.name}`)
  return { address, family: family ?? (area === undefined ? 4 : prefixFamily(area)) }
}

export interface CheckedPlug {
  readonly addresses: readonly IP[]
  /** Families of which an address is to be chosen. */
  readonly choose: readonly Family[]
  readonly mac: Mac | undefined
}

/** Throws `invalid` with every wrong field. */
export function checkPlug(network: Network, spec: PlugSpec): CheckedPlug {
  const fields: FieldError[] = []
  const addresses = checkAddresses(network, spec.addresses, '', into(fields))
  const given = new Set(addresses.map(familyOf))
  const has = new Set(network.prefixes.map(prefixFamily))
  const choose = [...new Set(spec.choose)].filter((family) => has.has(family) && !given.has(family))
  if (addresses.length + choose.length === 0 && fields.length === 0) {
    fields.push({ pointer: '/addresses', message: 'an endpoint needs at least one address' })
  }
  for (const area of spec.within ?? []) checkArea(network, area, fields)
  const mac = spec.mac === undefined ? undefined : parseMac(spec.mac)
  if (spec.mac !== undefined && (mac === undefined || !isUnicastMac(mac))) {
    const message = `"${spec.mac}" is not the MAC address of one device: write it like 0a:00:00:00:00:50`
    fields.push({ pointer: '/mac', message })
  }
  if (spec.name !== undefined && !isName(spec.name)) {
    fields.push({ pointer: '/name', message: nameProblem(spec.name) })
  }
  refuse(fields, `attach to network ${network.name}`)
  return { addresses, choose, mac }
}

function into(fields: FieldError[]): Wrong {
  return (pointer, message) => void fields.push({ pointer, message })
}

function checkArea(network: Network, area: Prefix, fields: FieldError[]): void {
  if (areasOf(network, prefixFamily(area), [area]).length > 0) return
  const message = `${area} is not in the network, which has ${network.prefixes.join(' and ')}`
  fields.push({ pointer: '/within', message })
}

function refuse(fields: readonly FieldError[], attempted: string): void {
  const [first] = fields
  if (first === undefined) return
  throw new NetworkError('invalid', `Cannot ${attempted}: ${first.message}`, { fields })
}
