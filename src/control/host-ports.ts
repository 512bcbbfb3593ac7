/**
 * Ports of this host, held for publications so that no program takes them (R45). The kernel's side stands in
 * `dataplane/host-ports.ts`; which publication holds which port is control's own knowledge.
 */

import type { IP } from '../net/ip.ts'
import type { TransportProtocol } from '../net/protocol.ts'

export interface PortRequest {
  readonly protocol: TransportProtocol
  /** Absent: every address of both families. */
  readonly address?: IP
  /** First port; 0 chooses free ones, one behind the other. */
  readonly port: number
  readonly count: number
}

/** Ports that are held until they are released or the process ends. */
export interface HeldPorts {
  /** First port: as asked for, or the choice made for 0. */
  readonly port: number
  /** Content when called again. */
  release(): void
}

export interface HostPorts {
  /**
   * Holds all ports of the request or none. `conflict` when one is in use, the message naming the holder
   * (`… port 8080/tcp: it is in use by nginx (pid 4711)`), `details.port` the port and, where the holder is known,
   * `details.pid` and `details.program`; `pid` is this process's own for ports that it holds itself.
   * `invalid` for an address that this host does not have, naming those that it has; `exhausted` when no free
   * ports are left to choose from.
   */
  reserve(request: PortRequest): HeldPorts
}
