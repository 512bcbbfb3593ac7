/**
 * Connections that must begin anew because what they were told to do holds no more: those by a publication
 * that went, those of a container that left, and the datagrams of a client that was sending to a port before
 * it was published. Tracked connections are asked once for all of them, in the reaper's thread: the kernel
 * walks its whole table, for several milliseconds, however few are meant.
 */

import type { PortForward } from '../hoststate/ports.ts'
import type { Connection, ConnectionFilter } from '../kernel/conntrack/conntrack.ts'
import type { KernelView } from '../kernel/kernel.ts'
import { familyOf, type IP } from '../net/ip.ts'
import { IPPROTO } from '../net/protocol.ts'

/** Plain data: it goes from the dataplane's thread to the reaper's. */
export type StaleFlow =
  /** Everything that came by this publication. */
  | { readonly kind: 'forwarded'; readonly port: PortForward }
  /** What comes to the host's port and does not go where the publication leads. */
  | { readonly kind: 'bypassing'; readonly port: PortForward }
  /** Everything that goes out from this container, or was let in to it; index of its network here. */
  | { readonly kind: 'endpoint'; readonly address: IP; readonly index: number }

/** So few connections are all listed: to read them costs less than to have the kernel's table walked twice. */
const FEW_CONNECTIONS = 5_000
/** Where there are more, the kernel leaves out what is not meant, in so many walks at most. */
const MOST_LISTS = 8

/** Removes them from the kernel's table and tells how many there were. */
export function forgetFlows(kernel: KernelView, flows: readonly StaleFlow[]): number {
  if (flows.length === 0) return 0
  // Absent: this kernel tracks nothing.
  const count = Number(kernel.sysctl.read(['net', 'netfilter', 'nf_conntrack_count']) ?? 0)
  if (count === 0) return 0
  const search = new Search(kernel, flows)
  const filters = flows.flatMap(filtersOf)
  const listed = count > FEW_CONNECTIONS && filters.length <= MOST_LISTS ? filters : [common(flows)]
  const found = new Set(listed.flatMap((filter) => kernel.conntrack.list(filter)))
  const stale = [...found].filter((connection) => search.means(connection))
  kernel.conntrack.remove(stale)
  return stale.length
}

/** Flows by what of a connection names them, so that each connection is looked up and not compared. */
class Search {
  readonly #kernel: KernelView
  readonly #byTarget = new Map<string, PortForward[]>()
  readonly #byPort = new Map<string, PortForward[]>()
  readonly #byAddress = new Map<IP, number[]>()
  #local: ReadonlySet<string> | undefined

  constructor(kernel: KernelView, flows: readonly StaleFlow[]) {
    this.#kernel = kernel
    for (const flow of flows) {
      if (flow.kind === 'endpoint') enter(this.#byAddress, flow.address, flow.index)
      else if (flow.kind === 'forwarded') enter(this.#byTarget, targetOf(flow.port), flow.port)
      else enter(this.#byPort, portOf(flow.port), flow.port)
    }
  }

  means(connection: Connection): boolean {
    return this.#wasForwarded(connection) || this.#bypasses(connection) || this.#isOf(connection)
  }

  #wasForwarded({ protocol, original, reply }: Connection): boolean {
    const key = `${protocol} ${reply.source} ${reply.sourcePort}`
    return (this.#byTarget.get(key) ?? []).some(
      ({ hostAddress, hostPort, address }) =>
        original.destinationPort === hostPort &&
        (hostAddress === undefined
          ? address !== original.destination
          : hostAddress === original.destination),
    )
  }

  #bypasses({ protocol, family, original, reply }: Connection): boolean {
    const ports = this.#byPort.get(`${protocol} ${family} ${original.destinationPort}`) ?? []
    return ports.some(
      ({ hostAddress, address, containerPort }) =>
        (hostAddress === undefined
          ? this.#isLocal(original.destination)
          : hostAddress === original.destination) &&
        (reply.source !== address || reply.sourcePort !== containerPort),
    )
  }

  /** The conntrack mark tells containers of equal addresses apart: index of the opener, and of the answerer. */
  #isOf({ original, reply, mark }: Connection): boolean {
    return (
      (this.#byAddress.get(original.source) ?? []).includes(mark >>> 24) ||
      (this.#byAddress.get(reply.source) ?? []).includes((mark >>> 16) & 0xff)
    )
  }

  #isLocal(address: IP): boolean {
    this.#local ??= new Set(this.#kernel.addresses.list().map((each) => each.address))
    return this.#local.has(address)
  }
}

/** What the kernel may leave out of the list for one flow. */
function filtersOf(flow: StaleFlow): readonly ConnectionFilter[] {
  if (flow.kind === 'endpoint') {
    return [{ original: { source: flow.address } }, { reply: { source: flow.address } }]
  }
  const { protocol, address, hostPort, containerPort } = flow.port
  const original = { destinationPort: hostPort }
  const base = { family: familyOf(address), protocol: IPPROTO[protocol], original }
  return flow.kind === 'bypassing'
    ? [base]
    : [{ ...base, reply: { source: address, sourcePort: containerPort } }]
}

/** What all have in common of family and protocol. */
function common(flows: readonly StaleFlow[]): ConnectionFilter {
  const filters = flows.flatMap(filtersOf)
  const [first] = filters
  const { family, protocol } = first ?? {}
  const same = filters.every((each) => each.family === family && each.protocol === protocol)
  return same && family !== undefined && protocol !== undefined ? { family, protocol } : {}
}

function targetOf({ protocol, address, containerPort }: PortForward): string {
  return `${IPPROTO[protocol]} ${address} ${containerPort}`
}

function portOf({ protocol, address, hostPort }: PortForward): string {
  return `${IPPROTO[protocol]} ${familyOf(address)} ${hostPort}`
}

function enter<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}
