/**
 * Ports of one namespace: who is bound to them, and sockets that take one and do nothing with it. A packet
 * to a port that is only bound finds nobody: TCP answers with a reset, UDP keeps a little and then drops.
 */
import type { Family, IP } from '../net/ip.ts'
import type { TransportProtocol } from '../net/protocol.ts'

export interface NewPortSocket {
  readonly protocol: TransportProtocol
  /** Absent: every address, of both families where the kernel has both. */
  readonly address?: IP
  /** 0 lets the kernel choose one that is free. */
  readonly port: number
}

/** A socket that is bound and neither listens nor reads. */
export interface PortSocket {
  readonly port: number
  /** Content when called again. */
  close(): void
}

/** A socket as the kernel lists it. */
export interface SocketEntry {
  readonly family: Family
  /** `0.0.0.0` or `::` for every address. */
  readonly address: IP
  readonly port: number
  /** By which a process's descriptor is recognised; 0 for one that no process has any more. */
  readonly inode: number
}

export interface Ports {
  /**
   * Undefined when the kernel has no sockets of the protocol now. Throws `kernel` with errno `EADDRINUSE`,
   * `EMFILE`; the address is taken on trust (IP_FREEBIND), so that one which comes later is held as well.
   */
  hold(socket: NewPortSocket): PortSocket | undefined
  /** Sockets whose local port this is, in any state. */
  listAt(protocol: TransportProtocol, port: number): readonly SocketEntry[]
}
