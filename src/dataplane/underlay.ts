/**
 * How this host is reached by the others: its underlay addresses and the devices they live on, found from
 * the kernel unless the operator names them. What was found once is held on to: another address is taken
 * only when the one in use is gone, and when there is no other, the last one stands.
 */

import type { Kernel, Link } from '../kernel/kernel.ts'
import { NetworkError } from '../lib/errors.ts'
import type { UnderlayAddress } from '../model/host.ts'
import { type Family, familyOf, type IP, parseIP } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'
import { prefixAround } from '../net/prefix.ts'
import { isOurs } from './facts.ts'

/** One underlay address and the device that has it. */
export interface Uplink {
  readonly device: string
  readonly address: UnderlayAddress
}

export interface Underlay {
  /** At most one per family, IPv4 first. */
  readonly uplinks: readonly Uplink[]
  /** Addresses of before that no device has now, and which stand because there is no other. */
  readonly missing: readonly IP[]
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
  return { uplinks: chosen.map(uplinkOf), missing: [] }
}

/**
 * The underlay now, when it was `before`. Per family the address in use stays while a running device has it;
 * else its device's next one is taken, or that of the default route. A family that has none any more keeps
 * what it had; with `forgetMissing` it is given up, if the other family is there.
 */
export function followUnderlay(
  kernel: Kernel,
  wish: UnderlayWish,
  before: Underlay,
  forgetMissing: boolean,
): Underlay {
  const links = new Map(kernel.links.list().map((link) => [link.index, link]))
  const candidates = candidatesOf(kernel, links)
  const missing: IP[] = []
  const found = ([4, 6] as const).flatMap((family) => {
    const last = before.uplinks.find(({ address }) => familyOf(address.address) === family)
    const now = follow(kernel, candidates, family, wish, last)
    if (now === undefined && last !== undefined) missing.push(last.address.address)
    return now ?? last ?? []
  })
  if (!forgetMissing || missing.length === found.length) {
    return { uplinks: found.map(uplinkOf), missing }
  }
  const kept = found.filter(({ address }) => !missing.includes(address.address))
  return { uplinks: kept.map(uplinkOf), missing: [] }
}

interface Candidate extends Uplink {
  readonly index: number
  /** Administratively up and with a carrier. */
  readonly running: boolean
}

function uplinkOf({ device, address }: Uplink): Uplink {
  return { device, address }
}

/** The addresses of an underlay, as the host's record has them. */
export function underlayAddresses({ uplinks }: Underlay): readonly UnderlayAddress[] {
  return uplinks.map(({ address }) => address)
}

/** Names of the devices that carry them, each once. */
export function underlayDevices({ uplinks }: Underlay): readonly string[] {
  return [...new Set(uplinks.map(({ device }) => device))]
}

function candidatesOf(kernel: Kernel, links: ReadonlyMap<number, Link>): readonly Candidate[] {
  return kernel.addresses.list().flatMap((each) => {
    const link = links.get(each.device)
    const ip = parseIP(each.address)
    const mac = link?.mac === undefined ? undefined : parseMac(link.mac)
    if (link === undefined || ip === undefined || mac === undefined) return []
    if (link.loopback || isOurs(link) || each.scope !== 'global' || each.tentative) return []
    const prefix = prefixAround(ip, each.prefixLength)
    return [
      {
        device: link.name,
        index: link.index,
        running: link.up && link.running,
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
  return outside(kernel, ofFamily, family) ?? ofFamily[0]
}

/** What takes the place of `last`; undefined when nothing can. */
function follow(
  kernel: Kernel,
  candidates: readonly Candidate[],
  family: Family,
  wish: UnderlayWish,
  last: Uplink | undefined,
): Uplink | undefined {
  const ofFamily = candidates.filter(({ address }) => familyOf(address.address) === family)
  const wished = wish.addresses?.find((address) => familyOf(address) === family)
  if (wish.addresses !== undefined) {
    return ofFamily.find(({ address }) => address.address === wished)
  }
  const { device } = wish
  if (device !== undefined) {
    const there = ofFamily.filter((each) => each.device === device)
    return there.find((each) => isSame(each, last)) ?? there[0]
  }
  const same = ofFamily.find((each) => isSame(each, last))
  if (same?.running === true) return same
  const sibling = ofFamily.find((each) => each.device === last?.device && each.running)
  return sibling ?? outside(kernel, ofFamily, family) ?? same
}

function isSame(candidate: Candidate, last: Uplink | undefined): boolean {
  return candidate.address.address === last?.address.address
}

/** The candidate on the device of the default route. */
function outside(
  kernel: Kernel,
  ofFamily: readonly Candidate[],
  family: Family,
): Candidate | undefined {
  // RFC 5737 and RFC 3849: addresses that stand for any destination beyond the default route.
  const route = kernel.routes.lookup(family === 4 ? '203.0.113.1' : '2001:db8:ffff::1')
  return ofFamily.find(({ index }) => index === route?.device)
}
