/** Tracked connections of one namespace, over a netlink socket opened inside it at the first use. */
import { NetlinkSocket, openNetlink } from '../netlink/socket.ts'
import { type Connection, type ConnectionFilter, type Conntrack, matches } from './conntrack.ts'
import { listConnections, readConnection, removeConnection } from './messages.ts'

const NETLINK_NETFILTER = 12

export class RealConntrack implements Conntrack, Disposable {
  readonly #inside: <T>(work: () => T) => T
  readonly #buffer: Uint8Array
  #socket: NetlinkSocket | undefined

  /** As RealView's. */
  constructor(inside: <T>(work: () => T) => T, buffer: Uint8Array) {
    this.#inside = inside
    this.#buffer = buffer
  }

  list(filter: ConnectionFilter = {}): readonly Connection[] {
    return this.#open()
      .request(listConnections(filter))
      .flatMap((body) => readConnection(body) ?? [])
      .filter((connection) => matches(filter, connection))
  }

  remove(connections: readonly Connection[]): void {
    if (connections.length === 0) return
    const [failure] = this.#open().batch(connections.map(removeConnection))
    if (failure !== undefined) throw failure.error
  }

  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]()
    this.#socket = undefined
  }

  #open(): NetlinkSocket {
    this.#socket ??= new NetlinkSocket(
      this.#inside(() => openNetlink(NETLINK_NETFILTER, this.#buffer)),
    )
    return this.#socket
  }
}
