/** Tracked connections of one namespace, over the socket that `open` gives. */
import type { NetlinkSocket } from '../netlink/socket.ts'
import { type ConnectionFilter, type Conntrack, matches } from './conntrack.ts'
import { listConnections, readConnection, removeConnection } from './messages.ts'

export function conntrackOf(open: () => NetlinkSocket): Conntrack {
  return {
    list: (filter: ConnectionFilter = {}) =>
      open()
        .request(listConnections(filter))
        .flatMap((body) => readConnection(body) ?? [])
        .filter((connection) => matches(filter, connection)),
    remove(connections) {
      if (connections.length === 0) return
      const [failure] = open().batch(connections.map(removeConnection))
      if (failure !== undefined) throw failure.error
    },
  }
}
