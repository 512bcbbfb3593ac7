/**
 * Asks one namespace for nftables' objects, and changes elements, over the socket that `open` gives; `inside` runs its
 * argument in it.
 */
import { readFileSync } from 'node:fs'
import { errnoOf } from '../errno.ts'
import type { Nftables } from '../kernel.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import * as messages from './messages.ts'
import type { NftQueries } from './objects.ts'

export function nftQueries(
  inside: <T>(work: () => T) => T,
  open: () => NetlinkSocket,
): NftQueries & Pick<Nftables, 'change'> {
  const present = <T>(bodies: readonly Uint8Array[], read: (body: Uint8Array) => T | undefined) =>
    bodies.flatMap((body) => read(body) ?? [])
  return {
    tables: () => present(open().request(messages.getTables()), messages.readTable),
    chains: () => present(open().request(messages.getChains()), messages.readChain),
    rules: (chain) => present(orNothing(open, messages.getRules(chain)) ?? [], messages.readRule),
    legacyTables: () => [...new Set(inside(() => LEGACY_LISTS.flatMap(linesOf)))],
    change: (changes) => open().transaction(...messages.changeElements(changes)),
    elements: (set) =>
      orNothing(open, messages.getElements(set))?.flatMap((body) => [
        ...messages.readElements(body),
      ]),
  }
}

/** net/netfilter/x_tables.c xt_proto_init() */
const LEGACY_LISTS = ['ip_tables_names', 'ip6_tables_names']

function linesOf(name: string): readonly string[] {
  try {
    const text = readFileSync(`/proc/thread-self/net/${name}`, 'utf8')
    return text.split('\n').filter((line) => line !== '')
  } catch {
    return [] // a kernel without it
  }
}

/** The answers, or undefined when the table, chain or set is not there. */
function orNothing(
  open: () => NetlinkSocket,
  request: Parameters<NetlinkSocket['request']>[0],
): readonly Uint8Array[] | undefined {
  try {
    return open().request(request)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
