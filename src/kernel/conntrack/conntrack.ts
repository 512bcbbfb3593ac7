/**
 * Connections as netfilter tracks them: the plain types of the boundary, and which connection a filter means.
 * The tracking table is one hash for all namespaces: a list walks all of it, whatever it finds.
 */
import { type Family, familyOf, type IP } from '../../net/ip.ts'

/** Addresses and ports of one direction. */
export interface Tuple {
  readonly source: IP
  readonly destination: IP
  /** Undefined for protocols without ports. */
  readonly sourcePort: number | undefined
  readonly destinationPort: number | undefined
}

export interface Connection {
  readonly family: Family
  /** Number of the protocol in the IP header. */
  readonly protocol: number
  /** As the opener's packets come in. */
  readonly original: Tuple
  /** As the answers come in: where it is not the original turned round, addresses are translated. */
  readonly reply: Tuple
  readonly mark: number
  /** 0 is everybody's. */
  readonly zone: number
  /** Tells it from most later connections of the same addresses and ports: made from its place in memory. */
  readonly id: number
  /** The original tuple as the kernel writes it, by which it is named again. */
  readonly name: Uint8Array
}

/** Every part that is given must agree. */
export interface ConnectionFilter {
  readonly family?: Family
  readonly protocol?: number
  readonly original?: Partial<Tuple>
  readonly reply?: Partial<Tuple>
  readonly mark?: { readonly value: number; readonly mask: number }
  readonly zone?: number
}

export interface Conntrack {
  /** The kernel itself leaves out what does not match, as far as it can. */
  list(filter?: ConnectionFilter): readonly Connection[]
  /** Forgets them: their next packets begin anew. Content with what is gone already. */
  remove(connections: readonly Connection[]): void
}

/** True when the filter means this connection. */
export function matches(filter: ConnectionFilter, connection: Connection): boolean {
  const { family, protocol, mark, zone } = filter
  return (
    (family === undefined || family === connection.family) &&
    (protocol === undefined || protocol === connection.protocol) &&
    (zone === undefined || zone === connection.zone) &&
    (mark === undefined || (connection.mark & mark.mask) >>> 0 === mark.value) &&
    agrees(filter.original, connection.original) &&
    agrees(filter.reply, connection.reply)
  )
}

/** The family that a filter's addresses imply. */
export function familyMeant({ family, original, reply }: ConnectionFilter): Family | undefined {
  const address = original?.source ?? original?.destination ?? reply?.source ?? reply?.destination
  return family ?? (address === undefined ? undefined : familyOf(address))
}

function agrees(want: Partial<Tuple> | undefined, have: Tuple): boolean {
  if (want === undefined) return true
  return (['source', 'destination', 'sourcePort', 'destinationPort'] as const).every(
    (field) => want[field] === undefined || want[field] === have[field],
  )
}
