/**
 * What an attachment got, in one shape for all versions of the specification: read from every wire form by
 * `result-read.ts`, written to every one by `result-write.ts`. Indexes always point into `interfaces`.
 */

import type { IP } from '../../net/ip.ts'
import type { Prefix } from '../../net/prefix.ts'

export interface CniResult {
  readonly interfaces: readonly CniInterface[]
  readonly ips: readonly CniAddress[]
  readonly routes: readonly CniRoute[]
  readonly dns: CniDns
}

export interface CniInterface {
  readonly name: string
  /** 6, 8 or 20 bytes, lower case with colons; absent where another plug-in told none. */
  readonly mac?: string
  readonly mtuBytes?: number
  /** CNI_NETNS byte for byte; absent for an interface of the host. */
  readonly sandbox?: string
  readonly socketPath?: string
  readonly pciId?: string
}

export interface CniAddress {
  readonly address: IP
  /** Length of the prefix it is in. */
  readonly length: number
  readonly gateway?: IP
  /** Index into `interfaces`; absent only where another plug-in told none. */
  readonly interface?: number
}

export interface CniRoute {
  readonly to: Prefix
  /** Absent: by the first gateway of its family. */
  readonly via?: IP
  readonly mtuBytes?: number
  readonly advmssBytes?: number
  readonly priority?: number
  readonly table?: number
  /** 0 global, 253 link, 254 host. */
  readonly scope?: number
}

export interface CniDns {
  readonly nameservers: readonly string[]
  readonly domain?: string
  readonly search: readonly string[]
  readonly options: readonly string[]
}

export const NO_DNS: CniDns = { nameservers: [], search: [], options: [] }

/** True when nothing is said about names. */
export function isEmptyDns(dns: CniDns): boolean {
  return (
    dns.domain === undefined &&
    [dns.nameservers, dns.search, dns.options].every((l) => l.length === 0)
  )
}

/**
 * The result of a chain so far with ours behind it: what was there stays in place and in order, our indexes
 * count on, our words about names stand only where there were none. Spec 1.1.0 §2 "prevResult".
 */
export function chainResults(previous: CniResult, ours: CniResult): CniResult {
  const offset = previous.interfaces.length
  return {
    interfaces: [...previous.interfaces, ...ours.interfaces],
    ips: [
      ...previous.ips,
      ...ours.ips.map((ip) =>
        ip.interface === undefined ? ip : { ...ip, interface: ip.interface + offset },
      ),
    ],
    routes: [...previous.routes, ...ours.routes],
    dns: isEmptyDns(previous.dns) ? ours.dns : fillDns(previous.dns, ours.dns),
  }
}

function fillDns(first: CniDns, second: CniDns): CniDns {
  const domain = first.domain ?? second.domain
  return {
    nameservers: first.nameservers.length > 0 ? first.nameservers : second.nameservers,
    ...(domain === undefined ? {} : { domain }),
    search: first.search.length > 0 ? first.search : second.search,
    options: first.options.length > 0 ? first.options : second.options,
  }
}
