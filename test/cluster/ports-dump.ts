/**
 * The published ports of a host, as `nft -j` and `bpftool` list what stands in its kernel, and as the command
 * line says that they should: lines for kernel-dump.ts, one for each port of each family.
 */

import { familyOf, parseIP } from '../../src/net/ip.ts'

/** A publication as `carrick publish ls -o json` shows it. */
export interface PortItem {
  readonly spec: {
    readonly protocol: string
    readonly hostAddress?: string
    readonly hostPort: number
    readonly containerPort: number
    readonly count: number
  }
  readonly status: { readonly local: boolean; readonly addresses: readonly string[] }
}

/** A map of a table in libnftables-json(5). */
export interface ListedMap {
  readonly name: string
  readonly elem?: readonly (readonly [Parts, Parts])[]
}

type Parts = { readonly concat: readonly (string | number)[] }

/** An entry of the hooks' map of loopback ports; ports as a little-endian reader finds them. */
export interface LoopbackEntry {
  readonly protocol: number
  readonly family: number
  /** `::` for every loopback address of the family. */
  readonly address: string
  readonly port: number
  readonly target: string
  readonly targetPort: number
}

/** What the maps of our table hold: keys are `[address,] protocol, port`, values `address, port`. */
export function listedForwards(maps: readonly ListedMap[]): readonly string[] {
  return maps
    .filter(({ name }) => /^ports[46]_(at|any)$/.test(name))
    .flatMap(({ elem = [] }) =>
      elem.map(([{ concat: key }, { concat: value }]) => {
        const [port, protocol, address = 'every address'] = key.toReversed()
        return `port ${protocol} ${address} ${port} to ${value.join(' ')}`
      }),
    )
}

export function listedLoopbacks(entries: readonly LoopbackEntry[]): readonly string[] {
  return entries.map(({ protocol, family, address, port, target, targetPort }) => {
    const from = address === '::' ? `IPv${family}` : address
    const ports = `${from} ${turned(port)} to ${target} ${turned(targetPort)}`
    return `loopback port ${protocol === 6 ? 'tcp' : 'udp'} ${ports}`
  })
}

/** The lines that ports of this host should make. */
export function wantedPorts(items: readonly PortItem[]): readonly string[] {
  return items
    .filter(({ status }) => status.local)
    .flatMap(({ spec, status }) =>
      Array.from({ length: spec.count }, (_, i) => [
        ...forwardsOf(spec, status.addresses, i),
        ...loopbacksOf(spec, status.addresses, i),
      ]).flat(),
    )
}

function forwardsOf(
  { protocol, hostAddress, hostPort, containerPort }: PortItem['spec'],
  addresses: readonly string[],
  i: number,
): readonly string[] {
  if (isLoopback(hostAddress)) return []
  const from = hostAddress ?? 'every address'
  return addresses
    .filter((address) => hostAddress === undefined || sameFamily(address, hostAddress))
    .map((address) => `port ${protocol} ${from} ${hostPort + i} to ${address} ${containerPort + i}`)
}

function loopbacksOf(
  { protocol, hostAddress, hostPort, containerPort }: PortItem['spec'],
  addresses: readonly string[],
  i: number,
): readonly string[] {
  if (protocol === 'sctp' || (hostAddress !== undefined && !isLoopback(hostAddress))) return []
  return addresses
    .filter((address) => hostAddress === undefined || sameFamily(address, hostAddress))
    .map((address) => {
      const from = hostAddress ?? (address.includes(':') ? 'IPv6' : 'IPv4')
      return `loopback port ${protocol} ${from} ${hostPort + i} to ${address} ${containerPort + i}`
    })
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || address?.startsWith('127.') === true
}

function sameFamily(a: string, b: string): boolean {
  const [one, other] = [parseIP(a), parseIP(b)]
  return one !== undefined && other !== undefined && familyOf(one) === familyOf(other)
}

/** The two bytes of a number in the other order. */
function turned(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8)
}
