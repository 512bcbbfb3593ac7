/**
 * Ports of the host held for publications (R45): each by a socket that is bound and never listens, so that
 * programs that come later are refused, and a published port whose rules are away is closed, not somebody
 * else's. The sockets live as long as the process; the next one takes them again.
 */

import { errnoOf } from '../kernel/errno.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { PortSocket } from '../kernel/ports.ts'
import { isNetworkError, NetworkError } from '../lib/errors.ts'
import { addressesMeet } from '../model/publication.ts'
import { familyOf, type IP } from '../net/ip.ts'
import type { TransportProtocol } from '../net/protocol.ts'
import { findHolder } from './socket-holder.ts'

const LAST_PORT = 65_535
/** Where ports for protocols without sockets are chosen from. RFC 6335 §6 dynamic ports */
const FIRST_DYNAMIC_PORT = 49_152
/** How often a free range is looked for. */
const ATTEMPTS = 64

export interface PortRequest {
  readonly protocol: TransportProtocol
  readonly address?: IP
  readonly port: number
  readonly count: number
}

export interface HeldPorts {
  readonly port: number
  release(): void
}

/** A port that no socket can hold, remembered. */
interface Note {
  readonly protocol: TransportProtocol
  readonly address: IP | undefined
  readonly port: number
}

export class HostPorts implements Disposable {
  readonly #kernel: Kernel
  readonly #held = new Set<PortSocket>()
  readonly #notes = new Set<Note>()

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** See control/host-ports.ts. */
  reserve(request: PortRequest): HeldPorts {
    this.#checkAddress(request.address)
    const sockets = request.port === 0 ? this.#holdAny(request) : this.#holdAll(request)
    for (const socket of sockets) this.#held.add(socket)
    return {
      port: sockets[0]?.port ?? request.port,
      release: () => {
        for (const socket of sockets) {
          socket.close()
          this.#held.delete(socket)
        }
      },
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#held) socket.close()
    this.#held.clear()
  }

  /** All ports from the first one, or none. */
  #holdAll({ protocol, address, port, count }: PortRequest): readonly PortSocket[] {
    const sockets: PortSocket[] = []
    try {
      for (let i = 0; i < count; i++) {
        sockets.push(this.#hold({ protocol, address, port: port + i }))
      }
      return sockets
    } catch (error) {
      for (const socket of sockets) socket.close()
      throw error
    }
  }

  /** Begins where the kernel finds a free port, and behind whatever is in the way. */
  #holdAny(request: PortRequest): readonly PortSocket[] {
    let port = 0
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (port === 0 || port + request.count - 1 > LAST_PORT) port = this.#freePort(request)
      if (port + request.count - 1 > LAST_PORT) continue
      try {
        return this.#holdAll({ ...request, port })
      } catch (error) {
        if (!isNetworkError(error, 'conflict')) throw error
        port = Number(error.details['port']) + 1
      }
    }
    throw new NetworkError(
      'exhausted',
      `Cannot choose ${portsOf(request)}: no ${request.count} free ones stand in a row`,
      { details: { protocol: request.protocol, count: request.count } },
    )
  }

  #freePort({ protocol, address }: PortRequest): number {
    const socket = this.#kernel.ports.hold({
      protocol,
      port: 0,
      ...(address === undefined ? {} : { address }),
    })
    socket?.close()
    return socket?.port ?? FIRST_DYNAMIC_PORT
  }

  #hold(note: Note): PortSocket {
    const { protocol, address, port } = note
    try {
      const socket = this.#kernel.ports.hold({
        protocol,
        port,
        ...(address === undefined ? {} : { address }),
      })
      return socket ?? this.#note(note)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'EADDRINUSE') throw this.#taken(note, error)
      if (errno !== 'EMFILE' && errno !== 'ENFILE') throw error
      throw new NetworkError(
        'exhausted',
        `Cannot hold port ${port}/${protocol}: this process may open no more files (${errno})`,
        { details: { port, protocol }, hint: 'raise LimitNOFILE of the service', cause: error },
      )
    }
  }

  #note(note: Note): PortSocket {
    for (const each of this.#notes) {
      const same = each.protocol === note.protocol && each.port === note.port
      if (same && addressesMeet(each.address, note.address)) {
        throw this.#conflict(note, process.pid, 'carrick', undefined)
      }
    }
    this.#notes.add(note)
    return { port: note.port, close: () => void this.#notes.delete(note) }
  }

  #taken(note: Note, cause: unknown): NetworkError {
    const entries = this.#kernel.ports.listAt(note.protocol, note.port).filter((each) =>
      // A socket on `::` may have both families.
      addressesMeet(each.address === '::' ? undefined : each.address, note.address),
    )
    const holder = findHolder(entries.map(({ inode }) => inode))
    return this.#conflict(note, holder?.pid, holder?.program, cause)
  }

  #conflict(
    { port, protocol, address }: Note,
    pid: number | undefined,
    program: string | undefined,
    cause: unknown,
  ): NetworkError {
    const where = address === undefined ? '' : ` of ${address}`
    const holder = pid === undefined ? 'a socket of no process' : `${program} (pid ${pid})`
    return new NetworkError(
      'conflict',
      `Cannot use port ${port}/${protocol}${where}: it is in use by ${holder}`,
      { details: { port, protocol, address, pid, program }, cause },
    )
  }

  #checkAddress(address: IP | undefined): void {
    if (address === undefined || isEvery(address)) return
    const { routes, addresses } = this.#kernel
    if (routes.lookup(address)?.type === 'local') return
    const own = addresses.list().map((each) => each.address)
    throw new NetworkError(
      'invalid',
      `Cannot use host address ${address}: this host has none such; it has ${own.join(', ')}`,
      { details: { address, addresses: own } },
    )
  }
}

function isEvery(address: IP): boolean {
  return address === '0.0.0.0' || address === '::'
}

function portsOf({ count, protocol, address }: PortRequest): string {
  const family = address === undefined ? '' : ` of IPv${familyOf(address)} address ${address}`
  return `${count} ${protocol} port${count === 1 ? '' : 's'}${family}`
}
