/**
 * What is said to a question, if it is one about names of ours: those that the planned table has, the
 * cluster's domain, and addresses of networks. All else is for the resolvers of the host. What could only be
 * ours never leaves, whether it is there or not.
 */

import { type IP, ipFromBytes, parseIP } from '../net/ip.ts'
import { type Answer, type AnswerRecord, type Query, RCODE, type Rcode } from './message.ts'

/** Who asks: a container, by its network and its address there; undefined: somebody else. */
export type Asker = { readonly networkId: string; readonly source: IP } | undefined

/** `unknown`: a name that only we could know, and nobody has; `foreign`: not for us to say. */
export type Found<T> =
  | { readonly kind: 'known'; readonly values: readonly T[] }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'foreign' }

/** The planned table, read anew at every question. */
export interface NameTable {
  /** Addresses of a name that has no dot at its end, in whatever letters. */
  addresses(asker: Asker, name: string): Found<IP>
  /** Names of an address. */
  names(asker: Asker, address: IP): Found<string>
}

export interface AnswerOptions {
  readonly table: NameTable
  /** Behind which every name is ours, such as `carrick`; empty: there is none. */
  readonly domain: string
  /** From 0 to less than 1. */
  readonly random: () => number
}

/** Containers come and go: nobody shall believe in one for long. */
export const TTL_SECONDS = 5

/** The answer, or undefined when others are to be asked. */
export function answerTo(query: Query, asker: Asker, options: AnswerOptions): Answer | undefined {
  const { question, edns } = query
  if (edns !== undefined && edns.version > 0) return plainAnswer(RCODE.BADVERS)
  if (question.class !== 'IN' && question.class !== 'ANY') return plainAnswer(RCODE.REFUSED)
  const address = reversedAddress(question.name)
  if (address !== undefined) {
    const found = options.table.names(asker, address)
    return answerOf(found, (data) => ({ type: 'PTR', data }), question.type, options.random)
  }
  const found = addressesOf(question.name.toLowerCase(), asker, options)
  const recordOf = (data: IP): AnswerRecord => ({ type: data.includes(':') ? 'AAAA' : 'A', data })
  return answerOf(found, recordOf, question.type, options.random)
}

/** An answer without records. */
export function plainAnswer(rcode: Rcode): Answer {
  return { rcode, records: [], ttlSeconds: 0, authoritative: false }
}

function addressesOf(name: string, asker: Asker, { table, domain }: AnswerOptions): Found<IP> {
  if (domain === '') return table.addresses(asker, name)
  if (name === domain) return { kind: 'known', values: [] }
  if (!name.endsWith(`.${domain}`)) return table.addresses(asker, name)
  const found = table.addresses(asker, name.slice(0, -domain.length - 1))
  return found.kind === 'foreign' ? { kind: 'unknown' } : found
}

/**
 * A name that is there without what was asked of it has an answer, an empty one (RFC 2308 §2.2). No SOA comes
 * along, so nobody remembers for a moment that something is not there: it may be with the next.
 */
function answerOf<T>(
  found: Found<T>,
  recordOf: (value: T) => AnswerRecord,
  type: string,
  random: () => number,
): Answer | undefined {
  if (found.kind === 'foreign') return undefined
  const common = { ttlSeconds: TTL_SECONDS, authoritative: true }
  if (found.kind === 'unknown') return { ...common, rcode: RCODE.NXDOMAIN, records: [] }
  const all = found.values.map(recordOf)
  // Of everything, one kind is enough. RFC 8482 §4.1
  const wanted = type === 'ANY' ? all[0]?.type : type
  const records = all.filter((record) => record.type === wanted)
  return { ...common, rcode: RCODE.NOERROR, records: shuffled(records, random) }
}

/** Each order as often as any other (Fisher and Yates). */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const left = [...items]
  const taken: T[] = []
  while (left.length > 0) taken.push(...left.splice(Math.floor(random() * left.length), 1))
  return taken
}

/** The address of a name for asking backwards: RFC 1035 §3.5, RFC 3596 §2.5. */
export function reversedAddress(name: string): IP | undefined {
  const labels = name.toLowerCase().split('.')
  const zone = labels.splice(-2).join('.')
  if (zone === 'in-addr.arpa')
    return labels.length === 4 ? parseIP(labels.reverse().join('.')) : undefined
  if (zone !== 'ip6.arpa' || labels.length !== 32) return undefined
  const digits = labels.reverse().join('')
  return /^[0-9a-f]{32}$/.test(digits) ? ipFromBytes(Buffer.from(digits, 'hex')) : undefined
}
