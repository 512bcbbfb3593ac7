/**
 * Real sockets that hold ports, and the kernel's lists of sockets. linux/in.h, linux/in6.h,
 * Documentation/networking/proc_net_tcp.rst
 */
import { existsSync, readFileSync } from 'node:fs'
import { type Family, familyOf, type IP, ipBytes, ipFromBytes } from '../net/ip.ts'
import { IPPROTO, type TransportProtocol } from '../net/protocol.ts'
import { errnoOf } from './errno.ts'
import type { NewPortSocket, Ports, SocketEntry } from './ports.ts'
import * as sys from './syscall.ts'

const SOCK: Readonly<Record<TransportProtocol, number>> = { tcp: 1, udp: 2, sctp: 1 }
const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 }
const SO_REUSEADDR = 2
const SO_RCVBUF = 8
const IP_FREEBIND = 15
const IPV6_V6ONLY = 26
const IPV6_FREEBIND = 78
const IPPROTO_IP = 0
const IPPROTO_IPV6 = 41
/** A kernel that speaks only one of the families. */
const NO_FAMILY: readonly string[] = ['EAFNOSUPPORT', 'EPFNOSUPPORT']

/** `inside` runs its argument in the namespace whose ports are meant. */
export function portsOf(inside: <T>(work: () => T) => T): Ports {
  return {
    hold(want) {
      // Asking for a socket would load the module; without it nobody can be in the way.
      if (want.protocol === 'sctp' && !inside(() => existsSync(LISTS.sctp[0] ?? '')))
        return undefined
      const fd = inside(() => boundSocket(want))
      let open = true
      return {
        port: portOf(fd),
        close() {
          if (open) sys.close(fd)
          open = false
        },
      }
    },
    listAt: (protocol, port) =>
      inside(() => LISTS[protocol].map(textOf)).flatMap((text) => [
        ...(protocol === 'sctp' ? sctpEntries(text, port) : inetEntries(text, port)),
      ]),
  }
}

/** One socket of IPv6 takes a port for both families. */
function boundSocket(want: NewPortSocket): number {
  if (want.address !== undefined) return bound(want, familyOf(want.address), false)
  try {
    return bound(want, 6, true)
  } catch (error) {
    if (!NO_FAMILY.includes(errnoOf(error) ?? '')) throw error
    return bound(want, 4, false)
  }
}

function bound({ protocol, address, port }: NewPortSocket, family: Family, both: boolean): number {
  const fd = sys.socket(AF[family], SOCK[protocol] | sys.SOCK_CLOEXEC, IPPROTO[protocol])
  try {
    if (family === 6) sys.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, int(both ? 0 : 1))
    if (address !== undefined) {
      if (family === 6) sys.setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, int(1))
      else sys.setsockopt(fd, IPPROTO_IP, IP_FREEBIND, int(1))
    }
    // Nobody reads what comes to a UDP port: the smallest queue.
    sys.setsockopt(fd, sys.SOL_SOCKET, SO_RCVBUF, int(0))
    const name = socketAddress(family, address, port)
    try {
      sys.bind(fd, name)
    } catch (error) {
      // Receivers of datagrams share a port by the same permission, so there it would tell nothing.
      if (errnoOf(error) !== 'EADDRINUSE' || port === 0 || protocol !== 'tcp') throw error
      bindAmongEnding(fd, name)
    }
    return fd
  } catch (error) {
    sys.close(fd)
    throw error
  }
}

/**
 * Connections of a server that has ended keep their port for a minute, in the way of nobody who says so. The
 * permission is withdrawn at once, as it would let others in as well.
 */
function bindAmongEnding(fd: number, name: Uint8Array): void {
  sys.setsockopt(fd, sys.SOL_SOCKET, SO_REUSEADDR, int(1))
  sys.bind(fd, name)
  sys.setsockopt(fd, sys.SOL_SOCKET, SO_REUSEADDR, int(0))
}

/** struct sockaddr_in, struct sockaddr_in6 */
function socketAddress(family: Family, address: IP | undefined, port: number): Uint8Array {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(AF[family], 0)
  bytes.writeUInt16BE(port, 2)
  if (address !== undefined) bytes.set(ipBytes(address), family === 4 ? 4 : 8)
  return bytes
}

/** The port stands at the same place in the addresses of both families. */
function portOf(fd: number): number {
  const name = Buffer.alloc(28)
  sys.getsockname(fd, name)
  return name.readUInt16BE(2)
}

const LISTS: Readonly<Record<TransportProtocol, readonly string[]>> = {
  tcp: ['/proc/thread-self/net/tcp', '/proc/thread-self/net/tcp6'],
  udp: ['/proc/thread-self/net/udp', '/proc/thread-self/net/udp6'],
  sctp: ['/proc/thread-self/net/sctp/eps'],
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // a kernel without this family or protocol
  }
}

/** Lines `0: 0100007F:1F90 00000000:0000 0A …`, the inode in the tenth column. */
function* inetEntries(text: string, port: number): Generator<SocketEntry> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  for (const line of text.split('\n')) {
    if (!line.includes(wanted)) continue
    const columns = line.trim().split(/\s+/)
    const [address = '', hexPort = ''] = (columns[1] ?? '').split(':')
    if (Number.parseInt(hexPort, 16) !== port || address.length % 8 !== 0) continue
    const bytes = hostOrderWords(address)
    yield {
      family: bytes.length === 4 ? 4 : 6,
      address: ipFromBytes(bytes),
      port,
      inode: Number(columns[9] ?? 0),
    }
  }
}

/** Lines `ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS…`. net/sctp/proc.c */
function* sctpEntries(text: string, port: number): Generator<SocketEntry> {
  for (const line of text.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/)
    if (Number(columns[5]) !== port) continue
    yield { family: 4, address: ipFromBytes(new Uint8Array(4)), port, inode: Number(columns[7]) }
  }
}

/** The kernel prints an address as 32-bit words of the machine's order. */
function hostOrderWords(hex: string): Uint8Array {
  const bytes = Buffer.from(hex, 'hex')
  return bytes.swap32()
}

function int(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
