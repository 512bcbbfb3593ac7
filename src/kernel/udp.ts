/**
 * A UDP socket that decides for each datagram what no runtime lets one choose: whether the kernel sums it up
 * itself or leaves that to the device, and whether it may leave in pieces. Whatever was learned of the path's
 * MTU is not heeded: the socket is for finding out.
 */
import { NetworkError } from '../lib/errors.ts'
import { familyOf, type IP, parseIP } from '../net/ip.ts'
import * as sys from './syscall.ts'

export interface UdpOptions {
  /** One of this host's. */
  readonly address: IP
  readonly port: number
  readonly onDatagram: (datagram: Uint8Array, from: IP, port: number) => void
}

export interface Sending {
  /** The kernel sums up itself, as it does when a datagram was put together of several parts. */
  readonly sumNow: boolean
  /** May be sent in pieces. */
  readonly inPieces: boolean
}

export interface UdpSocket extends Disposable {
  /** False when the kernel refuses it, for instance because it is larger than the device takes. */
  send(datagram: Uint8Array, to: IP, port: number, how: Sending): boolean
}

/** linux/in.h, linux/in6.h, linux/udp.h */
const IPPROTO_UDP = 17
const UDP_CORK = 1
const OPTIONS = {
  4: { level: 0, discover: 10, errors: 11 },
  6: { level: 41, discover: 23, errors: 25 },
} as const
/** Pieces where needed; or one packet, bound by the device's MTU alone. IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE */
const PIECES = 0
const ONE_PACKET = 3

/** Opens a socket in the namespace of the process. Throws `unavailable` when the address cannot be taken. */
export async function openUdp({ address, port, onDatagram }: UdpOptions): Promise<UdpSocket> {
  const socket = await bound(address, port, onDatagram)
  // node:dgram does not give the descriptor, without which no option can be set; the type here forgets it.
  const { fd } = socket as unknown as { readonly fd: number }
  const { level, discover, errors } = OPTIONS[familyOf(address)]
  // The runtime asks for errors of earlier datagrams, which would then fail a later one.
  setOption(fd, level, errors, 0)
  let mode: number | undefined
  return {
    send(datagram, to, toPort, { sumNow, inPieces }) {
      const wanted = inPieces ? PIECES : ONE_PACKET
      if (mode !== wanted) setOption(fd, level, discover, wanted)
      mode = wanted
      // What may be put together of several parts is not left to the device.
      if (sumNow) setOption(fd, IPPROTO_UDP, UDP_CORK, 1)
      try {
        return socket.send(datagram, toPort, to)
      } catch {
        return false // EMSGSIZE, ENETUNREACH and their like: it did not leave
      } finally {
        if (sumNow) setOption(fd, IPPROTO_UDP, UDP_CORK, 0)
      }
    },
    [Symbol.dispose]: () => socket.close(),
  }
}

async function bound(address: IP, port: number, onDatagram: UdpOptions['onDatagram']) {
  try {
    return await Bun.udpSocket({
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
  } catch (cause) {
    const text = `Cannot receive at ${address} port ${port}: ${String(cause)}`
    throw new NetworkError('unavailable', text, { details: { address }, cause })
  }
}

function setOption(fd: number, level: number, option: number, value: number): void {
  sys.setsockopt(fd, level, option, new Uint8Array(Int32Array.of(value).buffer))
}
