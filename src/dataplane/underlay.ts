/**
 * How this host is reached by the others: its underlay addresses and the devices they live on, found from
 * the kernel unless the operator names them.
 */

import type { Kernel, Link } from '../kernel/kernel.ts'
import { NetworkError } from '../lib/errors.ts'
import type { UnderlayAddress } from '../model/host.ts'
import { type Family, familyOf, type IP, parseIP } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'
import { prefixAround } from '../net/prefix.ts'

export interface Underlay {
  readonly addresses: readonly UnderlayAddress[]
  /** Names of the devices that carry them, each once. */
  readonly devices: readonly string[]
}

/** What the operator may say; whatever is absent is found. */
export interface UnderlayWish {
  readonly addresses?: readonly IP[]
  readonly device?: string
}

/**
 * One address per family: the wished one; else the first global one of the wished device, of the device of
 * the default route, or of any other device that could carry it. `not-found` when there is none at all.
 */
export function readUnderlay(kernel: Kernel, wish: UnderlayWish): Underlay {
  const links = new Map(kernel.links.list().map((link) => [link.index, link]))
  const candidates = candidatesOf(kernel, links)
  const chosen = ([4, 6] as const).flatMap((family) => {
    const wished = wish.addresses?.find((address) => familyOf(address) === family)
    if (wish.addresses !== undefined && wished === undefined) return []
    return choose(kernel, candidates, family, wished, wish.device) ?? []
  })
  for (const address of wish.addresses ?? []) {
    if (!chosen.some((each) => each.address.address === address)) {
      throw new NetworkError(
        'not-found',
        `Cannot use underlay address ${address}: no device of this host has it`,
        { details: { address }, hint: 'ip address' },
      )
    }
  }
  if (chosen.length === 0) {
    throw new NetworkError(
      'not-found',
      wish.device === undefined
        ? 'Cannot find an underlay address: no device of this host has a global address'
        : `Cannot find an underlay address: device ${wish.device} has no global address`,
      { hint: 'carrick daemon --underlay-address ADDRESS' },
    )
  }
  return {
    addresses: chosen.map(({ address }) => address),
    devices: [...new Set(chosen.map(({ device }) => device))],
  }
}

interface Candidate {
  readonly device: string
  readonly index: number
  readonly address: UnderlayAddress
}

function candidatesOf(kernel: Kernel, links: ReadonlyMap<number, Link>): readonly Candidate[] {
  return kernel.addresses.list().flatMap((each) => {
    const link = links.get(each.device)
    const ip = parseIP(each.address)
    const mac = link?.mac === undefined ? undefined : parseMac(link.mac)
    if (link === undefined || ip === undefined || mac === undefined) return []
    if (link.loopback || each.scope !== 'global') return []
    const prefix = prefixAround(ip, each.prefixLength)
    return [
      {
        device: link.name,
        index: link.index,
        address: { address: ip, prefix, mac, mtuBytes: link.mtuBytes },
      },
    ]
  })
}

function choose(
  kernel: Kernel,
  candidates: readonly Candidate[],
  family: Family,
  wished: IP | undefined,
  device: string | undefined,
): Candidate | undefined {
  const ofFamily = candidates.filter(({ address }) => familyOf(address.address) === family)
  if (wished !== undefined) return ofFamily.find(({ address }) => address.address === wished)
  if (device !== undefined) return ofFamily.find((each) => each.device === device)
  // RFC 5737 and RFC 3849: addresses that stand for any destination beyond the default route.
  const route = kernel.routes.lookup(family === 4 ? '203.0.113.1' : '2001:db8:ffff::1')
  const outside = ofFamily.find(({ index }) => index === route?.device)
  return outside ?? ofFamily[0]
}
