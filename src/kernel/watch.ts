/**
 * Notices of one namespace. A netlink descriptor that hears multicast groups is given to the runtime's
 * event loop (no thread waits on it; reading it as a file would hold one of a few pool threads for ever).
 * When its queue overran, the descriptor is opened again and the watcher hears `lost`.
 */
import { readlinkSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { NetworkError } from '../lib/errors.ts'
import type { Message } from './netlink/message.ts'
import { readMessages } from './netlink/message.ts'
import { Attributes, viewOf } from './netlink/reader.ts'
import { openNetlinkDescriptor } from './netlink/socket.ts'
import { NoticeQueue } from './notice-queue.ts'
import type { Notice, NoticeGroup } from './notices.ts'
import { readAddress } from './rtnetlink/addresses.ts'
import { readLink } from './rtnetlink/links.ts'
import { readNeighbour } from './rtnetlink/neighbours.ts'
import { RTM } from './rtnetlink/protocol.ts'
import { TC_HEADER_BYTES } from './rtnetlink/qdiscs.ts'
import { readRoute } from './rtnetlink/routes.ts'
import { SOCK_NONBLOCK } from './syscall.ts'

const NETLINK_ROUTE = 0
const NETLINK_NETFILTER = 12
/** linux/rtnetlink.h RTMGRP_*, as bits. */
const ROUTE_GROUPS: Readonly<Record<Exclude<NoticeGroup, 'nft'>, number>> = {
  links: 0x1,
  neighbours: 0x4,
  tc: 0x8,
  addresses: 0x10 | 0x100,
  routes: 0x40 | 0x400,
  rules: 0x80 | (1 << 18),
}
/** linux/netfilter/nfnetlink.h NFNLGRP_NFTABLES, NFNL_SUBSYS_NFTABLES; linux/netfilter/nf_tables.h */
const NFT_GROUP = 1 << 6
const NFNL_SUBSYS_NFTABLES = 10
/** Ends every transaction; names no table, but who made it. */
const NFT_MSG_NEWGEN = 15
const NFT_MSG_SETELEM: readonly number[] = [12, 14]
const NFTA_TABLE = 1
const NFTA_GEN_PROC_PID = 2
const NFGENMSG_BYTES = 4

/** See KernelView.watch. Subscribes before it returns. */
export function watchNamespace(
  inside: <T>(work: () => T) => T,
  groups: readonly NoticeGroup[],
  signal: AbortSignal,
): AsyncIterable<Notice> {
  const queue = new NoticeQueue()
  const sources: NoticeSource[] = []
  const routeGroups = groups.reduce(
    (bits, each) => bits | (each === 'nft' ? 0 : ROUTE_GROUPS[each]),
    0,
  )
  if (routeGroups !== 0) {
    sources.push(new NoticeSource(inside, NETLINK_ROUTE, routeGroups, readRouteNotices, queue))
  }
  if (groups.includes('nft')) {
    sources.push(new NoticeSource(inside, NETLINK_NETFILTER, NFT_GROUP, nftTransactions(), queue))
  }
  const stop = () => {
    for (const source of sources) source.stop()
    queue.end()
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  return queue.iterate(() => {
    signal.removeEventListener('abort', stop)
    stop()
  })
}

/** One subscribed descriptor, opened again after an overrun. */
class NoticeSource {
  readonly #open: () => number
  readonly #read: (message: Message) => readonly Notice[]
  readonly #queue: NoticeQueue
  #socket: Socket | undefined
  #stopped = false

  constructor(
    inside: <T>(work: () => T) => T,
    protocol: number,
    groups: number,
    read: (message: Message) => readonly Notice[],
    queue: NoticeQueue,
  ) {
    this.#open = () => inside(() => openNetlinkDescriptor(protocol, groups, SOCK_NONBLOCK))
    this.#read = read
    this.#queue = queue
    this.#subscribe()
  }

  stop(): void {
    this.#stopped = true
    this.#socket?.destroy()
  }

  #subscribe(): void {
    // The event loop's type knows no `fd`, the runtime does; it owns the descriptor from here on.
    const socket = connect({ fd: this.#open() } as unknown as { path: string })
    this.#socket = socket
    socket.on('data', (datagram: Buffer) => {
      for (const message of readMessages(datagram)) {
        for (const notice of this.#read(message)) this.#queue.push(notice)
      }
    })
    // Whatever ended the descriptor, its close follows, and a new one takes its place there.
    socket.on('error', () => {})
    socket.once('close', () => this.#again())
  }

  #again(): void {
    if (this.#stopped) return
    try {
      this.#subscribe()
      this.#queue.push({ kind: 'lost' })
    } catch (error) {
      this.#queue.fail(
        new NetworkError('unavailable', 'Cannot watch the kernel any longer: no descriptor', {
          cause: error,
        }),
      )
    }
  }
}

function readRouteNotices(message: Message): readonly Notice[] {
  const notice = readRouteNotice(message)
  return notice === undefined ? [] : [notice]
}

function readRouteNotice({ type, body }: Message): Notice | undefined {
  switch (type) {
    case RTM.NEWLINK:
    case RTM.DELLINK: {
      const link = readLink(body)
      return link && { kind: 'link', change: type === RTM.NEWLINK ? 'put' : 'remove', link }
    }
    case RTM.NEWADDR:
    case RTM.DELADDR: {
      const address = readAddress(body)
      return (
        address && { kind: 'address', change: type === RTM.NEWADDR ? 'put' : 'remove', address }
      )
    }
    case RTM.NEWROUTE:
    case RTM.DELROUTE: {
      const route = readRoute(body)
      return route && { kind: 'route', change: type === RTM.NEWROUTE ? 'put' : 'remove', route }
    }
    case RTM.NEWRULE:
    case RTM.DELRULE:
      return { kind: 'rule', change: type === RTM.NEWRULE ? 'put' : 'remove' }
    case RTM.NEWNEIGH:
    case RTM.DELNEIGH: {
      const neighbour = readNeighbour(body)
      const change = type === RTM.NEWNEIGH ? 'put' : 'remove'
      return neighbour && { kind: 'neighbour', change, neighbour }
    }
    case RTM.NEWQDISC:
    case RTM.DELQDISC:
    case RTM.NEWTFILTER:
    case RTM.DELTFILTER:
      return readTcNotice(type, body)
    default:
      return undefined
  }
}

/** struct tcmsg: the device stands at 4, all ones for the filter of a block. linux/rtnetlink.h */
function readTcNotice(type: number, body: Uint8Array): Notice | undefined {
  if (body.length < TC_HEADER_BYTES) return undefined
  const device = viewOf(body).getInt32(4, true)
  return {
    kind: 'tc',
    change: type === RTM.NEWQDISC || type === RTM.NEWTFILTER ? 'put' : 'remove',
    object: type === RTM.NEWQDISC || type === RTM.DELQDISC ? 'qdisc' : 'filter',
    device: device === -1 ? undefined : device,
  }
}

/**
 * Gathers the notices of one transaction, whose last message tells who made it. One notice stands for all of
 * a table's objects of one sort. Stateful: the messages of a transaction may come in several datagrams.
 */
function nftTransactions(): (message: Message) => readonly Notice[] {
  const tables = new Map<string, { readonly table: string | undefined; elements: boolean }>()
  return ({ type, body }) => {
    if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return []
    const attributes = new Attributes(body.subarray(NFGENMSG_BYTES))
    const subtype = type & 0xff
    if (subtype !== NFT_MSG_NEWGEN) {
      const table = attributes.string(NFTA_TABLE)
      const elements = NFT_MSG_SETELEM.includes(subtype)
      // Families apart: a table of the same name in another one is another table's business.
      const key = `${body[0]} ${table}`
      const known = tables.get(key)
      if (known === undefined) tables.set(key, { table, elements })
      else known.elements &&= elements
      return []
    }
    const own = attributes.u32BE(NFTA_GEN_PROC_PID) === threadId()
    const notices = Array.from(tables.values(), (each): Notice => ({ kind: 'nft', ...each, own }))
    tables.clear()
    return notices
  }
}

/** The number of the calling thread, as /proc of this process's own process namespace has it. */
function threadId(): number {
  return Number(readlinkSync('/proc/thread-self').split('/').at(-1))
}
