/**
 * UDP and TCP servers whose packets carry a mark, by which the kernel routes them: replies find their way also
 * where the main routing table knows none. linux/socket.h SO_MARK
 */
import { createServer, type Socket } from 'node:net'
import { familyOf, type IP, parseIP } from '../net/ip.ts'
import * as sys from './syscall.ts'

export interface MarkedPlace {
  readonly address: IP
  readonly port: number
  /** 0: none. */
  readonly mark: number
}

export interface MarkedUdpSocket extends Disposable {
  /** What cannot be sent is lost, like any datagram. */
  send(datagram: Uint8Array, to: IP, port: number): void
}

const SO_MARK = 36
/** linux/in.h, linux/in6.h */
const RECVERR = { 4: { level: 0, option: 11 }, 6: { level: 41, option: 25 } } as const

/** Throws what the runtime says when the address cannot be taken. */
export async function openMarkedUdp(
  { address, port, mark }: MarkedPlace,
  onDatagram: (datagram: Uint8Array, from: IP, port: number) => void,
): Promise<MarkedUdpSocket> {
  const socket = await Bun.udpSocket({
    hostname: address,
    port,
    binaryType: 'buffer',
    socket: {
      data(_socket, datagram, fromPort, from) {
        const source = parseIP(from)
        if (source !== undefined) onDatagram(datagram, source, fromPort)
      },
    },
  })
  // node:dgram does not give the descriptor, without which no option can be set; the type here forgets it.
  const { fd } = socket as unknown as { readonly fd: number }
  setMark(fd, mark)
  // The runtime asks for errors of earlier datagrams, which would then fail a later one.
  const { level, option } = RECVERR[familyOf(address)]
  sys.setsockopt(fd, level, option, new Uint8Array(4))
  return {
    send(datagram, to, toPort) {
      try {
        socket.send(datagram, toPort, to)
      } catch {
        // ENETUNREACH, EPERM and their like: it did not leave
      }
    },
    [Symbol.dispose]: () => socket.close(),
  }
}

/** Streams that are accepted carry the mark too. Rejects with what the runtime says. */
export function listenMarkedTcp(
  { address, port, mark }: MarkedPlace,
  onStream: (stream: Socket) => void,
): Promise<Disposable> {
  const server = createServer(onStream)
  const { promise, resolve, reject } = Promise.withResolvers<Disposable>()
  server.on('error', reject)
  server.listen({ host: address, port }, () => {
    // Not in the types: the handle of a listening server.
    const { _handle } = server as unknown as { readonly _handle: { readonly fd: number } }
    setMark(_handle.fd, mark)
    resolve({ [Symbol.dispose]: () => void server.close() })
  })
  return promise
}

function setMark(fd: number, mark: number): void {
  if (mark !== 0)
    sys.setsockopt(fd, sys.SOL_SOCKET, SO_MARK, new Uint8Array(Uint32Array.of(mark).buffer))
}
