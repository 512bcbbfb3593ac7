/** What one kernel should contain for published ports, and for living beside firewalls. */

import type { IP } from '../net/ip.ts'
import type { TransportProtocol } from '../net/protocol.ts'

/** A port of this host, in one family, that leads to a container: elements of our table's maps. */
export interface PortForward {
  readonly kind: 'publication'
  readonly protocol: TransportProtocol
  /** Address of the host; undefined for each of them, of the family that `address` is of. */
  readonly hostAddress?: IP
  readonly hostPort: number
  /** The container's. */
  readonly address: IP
  readonly containerPort: number
  /** Index of the container's network here; 0 where its prefixes are its own. */
  readonly index: number
}

/** A port on loopback addresses of this host that programs of the host reach a container by (R16). */
export interface LoopbackPort {
  readonly kind: 'loopback-port'
  readonly protocol: 'tcp' | 'udp'
  readonly family: 4 | 6
  /** One loopback address; undefined for all of the family. */
  readonly address?: IP
  readonly port: number
  readonly target: IP
  readonly targetPort: number
  /** Packet mark of the program's socket; 0 for none. */
  readonly mark: number
}

/** The programs that redirect the host's own loopback clients, at the root of the cgroup tree (R16, R35). */
export interface SocketHooks {
  readonly kind: 'socket-hooks'
}

/**
 * One accept rule for packets that our table has let pass, at the end of every foreign base chain on these
 * hooks that drops what nobody has judged (R17).
 */
export interface Passage {
  readonly kind: 'passage'
  /** Bit of the packet mark that our table sets; see `packetMarks()`. */
  readonly mark: number
  readonly hooks: readonly PassageHook[]
}

export type PassageHook = 'forward' | 'input'

/** What tells two of one kind apart. */
export function keyOfPort(port: PortForward | LoopbackPort): string {
  if (port.kind === 'publication') {
    const family = port.address.includes(':') ? 6 : 4
    return `${port.protocol} ${family} ${port.hostAddress ?? '*'} ${port.hostPort}`
  }
  return `${port.protocol} ${port.family} ${port.address ?? '*'} ${port.port}`
}
