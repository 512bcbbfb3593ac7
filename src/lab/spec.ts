/**
 * What a lab is asked to be, and the addresses that follow from it. Pure: the same request gives the same
 * hosts. The addresses are documentation ranges (RFC 5737, RFC 3849), so nothing of the lab is ever mistaken
 * for a real network.
 */
import { NetworkError } from '../lib/errors.ts'
import { type IP, parseIP } from '../net/ip.ts'

/**
 * `bridge`: one segment, a bridge in a switch namespace. `pair`: exactly two hosts on one veth pair, the
 * barest wire for measurements. `routed`: each host on a subnet of its own, a router between them.
 */
export const TOPOLOGIES = ['bridge', 'pair', 'routed'] as const
export type Topology = (typeof TOPOLOGIES)[number]

export interface LabRequest {
  /** Distinguishes labs that run side by side: lower-case letters, digits and dashes, at most 24. */
  readonly name: string
  /** A number makes `h1`, `h2`, ...; names are lower-case letters and digits, at most 12. */
  readonly hosts: number | readonly string[]
  readonly topology?: Topology
  /** MTU of every host's wire, 1500 unless told. */
  readonly mtuBytes?: number
  /** Only for `routed`: what the router can send on each hop, so that a smaller hop lies between hosts. */
  readonly hopMtuBytes?: number
}

/** One family of a host's underlay. */
export interface UnderlayAddress {
  readonly ip: IP
  readonly prefixLength: number
  /** Where the default route leads; without one it is the wire itself. */
  readonly gateway?: IP
}

export interface HostSpec {
  readonly name: string
  /** IPv4 first, then IPv6. */
  readonly underlay: readonly [UnderlayAddress, UnderlayAddress]
}

export interface LabSpec {
  readonly schema: 1
  readonly name: string
  readonly topology: Topology
  readonly mtuBytes: number
  readonly hopMtuBytes: number
  readonly hosts: readonly HostSpec[]
}

/** The switch on a shared segment: hosts have a default route, as machines do. */
const SEGMENT_GATEWAYS = ['192.0.2.254', '2001:db8::fe'] as const
/** Name of the wire inside every host. */
export const UPLINK = 'eth0'
const MOST_HOSTS = 16
const LEAST_MTU = 1280 // RFC 8200 §5: less carries no IPv6

/** Throws `invalid` naming what is wrong with the request. */
export function planLab(request: LabRequest): LabSpec {
  const topology = request.topology ?? 'bridge'
  const mtuBytes = request.mtuBytes ?? 1500
  const hopMtuBytes = request.hopMtuBytes ?? mtuBytes
  const names = hostNames(request.hosts)
  checkLabName(request.name)
  check(TOPOLOGIES.includes(topology), `topology "${topology}": needs ${TOPOLOGIES.join(', ')}`)
  check(names.length >= 1 && names.length <= MOST_HOSTS, `${names.length} hosts: needs 1 to 16`)
  check(
    topology !== 'pair' || names.length === 2,
    `topology pair with ${names.length} hosts: needs 2`,
  )
  check(
    topology === 'routed' || request.hopMtuBytes === undefined,
    'hop MTU: needs topology routed',
  )
  for (const mtu of [mtuBytes, hopMtuBytes]) {
    check(
      Number.isInteger(mtu) && mtu >= LEAST_MTU && mtu <= 65_535,
      `MTU ${mtu}: needs 1280 to 65535`,
    )
  }
  check(hopMtuBytes <= mtuBytes, `hop MTU ${hopMtuBytes}: needs at most ${mtuBytes}`)
  const hosts = names.map((name, index) => ({ name, underlay: underlayOf(topology, index) }))
  return { schema: 1, name: request.name, topology, mtuBytes, hopMtuBytes, hosts }
}

/** Throws `invalid` unless the name is one: it becomes a directory, and what is in that is unmounted and deleted. */
export function checkLabName(name: string): void {
  if (/^[a-z0-9][a-z0-9-]{0,23}$/.test(name)) return
  throw new NetworkError(
    'invalid',
    `Cannot take "${name}" for a lab's name: needs lower-case letters, digits and dashes, at most 24`,
  )
}

function hostNames(hosts: number | readonly string[]): readonly string[] {
  if (typeof hosts === 'number') {
    check(Number.isInteger(hosts), `${hosts} hosts: needs 1 to 16`)
    return Array.from({ length: Math.min(hosts, MOST_HOSTS + 1) }, (_, index) => `h${index + 1}`)
  }
  for (const name of hosts) check(/^[a-z][a-z0-9]{0,11}$/.test(name), `host name "${name}"`)
  check(new Set(hosts).size === hosts.length, 'hosts: two have the same name')
  check(!hosts.includes('switch'), 'host name "switch": it is taken by the wire')
  return hosts
}

function underlayOf(
  topology: Topology,
  index: number,
): readonly [UnderlayAddress, UnderlayAddress] {
  const number = index + 1
  if (topology !== 'routed') {
    const [v4, v6] = topology === 'pair' ? [undefined, undefined] : SEGMENT_GATEWAYS
    return [
      { ip: address(`192.0.2.${number}`), prefixLength: 24, ...gatewayOf(v4) },
      { ip: address(`2001:db8::${number.toString(16)}`), prefixLength: 64, ...gatewayOf(v6) },
    ]
  }
  const subnet = index * 16 // sixteen /28 in 192.0.2.0/24
  const wide = `2001:db8:${number.toString(16)}`
  return [
    {
      ip: address(`192.0.2.${subnet + 2}`),
      prefixLength: 28,
      gateway: address(`192.0.2.${subnet + 1}`),
    },
    { ip: address(`${wide}::2`), prefixLength: 64, gateway: address(`${wide}::1`) },
  ]
}

function gatewayOf(text: string | undefined): { readonly gateway?: IP } {
  return text === undefined ? {} : { gateway: address(text) }
}

function address(text: string): IP {
  const ip = parseIP(text)
  if (ip === undefined) throw new Error(`Not an address: ${text}`)
  return ip
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new NetworkError('invalid', `Cannot make the lab: ${what}`)
}
