/**
 * Sockets inside namespaces, driven from the test's own thread: a socket stays in the namespace where it was
 * opened. Only what the traffic tests need, among it UDP_SEGMENT and UDP_GRO, which no runtime offers.
 */

import { dlopen, FFIType } from 'bun:ffi'
import { unmapAddress } from '../../../src/hoststate/layout.ts'
import { inside, openHome, openNetns } from '../../../src/kernel/netns.ts'
import { type Family, familyOf, type IP, ipBytes, mappedBytes } from '../../../src/net/ip.ts'
import { concat } from './packet.ts'

const { i32, i64, u64, ptr } = FFIType
const { symbols: c } = dlopen('libc.so.6', {
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, ptr, i32], returns: i32 },
  connect: { args: [i32, ptr, i32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  accept: { args: [i32, ptr, ptr], returns: i32 },
  setsockopt: { args: [i32, i32, i32, ptr, i32], returns: i32 },
  send: { args: [i32, ptr, u64, i32], returns: i64 },
  recv: { args: [i32, ptr, u64, i32], returns: i64 },
  sendto: { args: [i32, ptr, u64, i32, ptr, i32], returns: i64 },
  recvfrom: { args: [i32, ptr, u64, i32, ptr, ptr], returns: i64 },
  getpeername: { args: [i32, ptr, ptr], returns: i32 },
  getsockopt: { args: [i32, i32, i32, ptr, ptr], returns: i32 },
  close: { args: [i32], returns: i32 },
})

const SOL = { SOCKET: 1, UDP: 17 } as const
const SO = { REUSEADDR: 2, RCVTIMEO: 20, SNDTIMEO: 21, BINDTODEVICE: 25, RCVBUFFORCE: 33 } as const
const UDP = { SEGMENT: 103, GRO: 104 } as const
const MSG_DONTWAIT = 0x40
const AF_PACKET = 17

/** Longest wait for anything; reached only when a packet is lost. */
const DEADLINE_S = 3

/** A socket's descriptor that is closed when disposed. */
export class Socket implements Disposable {
  readonly fd: number
  readonly #family: Family

  constructor(fd: number, family: Family = 4) {
    this.fd = check('socket', fd)
    this.#family = family
    this.timeout(DEADLINE_S * 1_000)
  }

  /** How long it waits for what may never come, in milliseconds. */
  timeout(ms: number): this {
    const micros = BigInt(ms % 1_000) * 1_000n
    const time = new Uint8Array(BigInt64Array.of(BigInt(Math.trunc(ms / 1_000)), micros).buffer)
    for (const name of [SO.RCVTIMEO, SO.SNDTIMEO]) {
      check('setsockopt', c.setsockopt(this.fd, SOL.SOCKET, name, time, 16))
    }
    return this
  }

  option(level: number, name: number, value: number): this {
    check('setsockopt', c.setsockopt(this.fd, level, name, Int32Array.of(value), 4))
    return this
  }

  bindToDevice(device: string): this {
    const name = new TextEncoder().encode(`${device}\0`)
    check('setsockopt', c.setsockopt(this.fd, SOL.SOCKET, SO.BINDTODEVICE, name, name.length))
    return this
  }

  bind(address: IP, port: number): this {
    const name = sockaddr(this.#family, address, port)
    check('bind', c.bind(this.fd, name, name.length))
    return this
  }

  /** True when the connection came about. */
  connect(address: IP, port: number): boolean {
    const name = sockaddr(this.#family, address, port)
    return c.connect(this.fd, name, name.length) === 0
  }

  /** Bytes sent, or undefined when the kernel refused (too long for the path, for example). */
  send(bytes: Uint8Array, wait = true): number | undefined {
    const sent = Number(c.send(this.fd, bytes, bytes.length, wait ? 0 : MSG_DONTWAIT))
    return sent < 0 ? undefined : sent
  }

  /** What arrived, or undefined when the deadline passed (or at once, when not to wait). */
  receive(buffer: Uint8Array, wait = true): Uint8Array | undefined {
    const got = Number(c.recv(this.fd, buffer, buffer.length, wait ? 0 : MSG_DONTWAIT))
    return got < 0 ? undefined : buffer.subarray(0, got)
  }

  /** Like send(), without being connected. */
  sendTo(bytes: Uint8Array, address: IP, port: number): number | undefined {
    const name = sockaddr(this.#family, address, port)
    const sent = Number(c.sendto(this.fd, bytes, bytes.length, 0, name, name.length))
    return sent < 0 ? undefined : sent
  }

  /** The next datagram and who sent it, as `address port`. */
  receiveFrom(): { readonly bytes: Uint8Array; readonly from: string } | undefined {
    const [buffer, name] = [new Uint8Array(1 << 16), new Uint8Array(28)]
    const got = Number(
      c.recvfrom(this.fd, buffer, buffer.length, 0, name, Int32Array.of(name.length)),
    )
    return got < 0 ? undefined : { bytes: buffer.slice(0, got), from: readSockaddr(name) }
  }

  /** Whom the socket is connected to, as `address port`. */
  peer(): string {
    const name = new Uint8Array(28)
    check('getpeername', c.getpeername(this.fd, name, Int32Array.of(name.length)))
    return readSockaddr(name)
  }

  optionValue(level: number, name: number): number {
    const value = new Int32Array(1)
    check('getsockopt', c.getsockopt(this.fd, level, name, value, Int32Array.of(4)))
    return (value[0] ?? 0) >>> 0
  }

  listen(): this {
    check('listen', c.listen(this.fd, 8))
    return this
  }

  accept(): Socket {
    return new Socket(c.accept(this.fd, null, null))
  }

  [Symbol.dispose](): void {
    c.close(this.fd)
  }
}

function check(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed`)
  return result
}

/** sockaddr_in or sockaddr_in6 of linux/in.h and in6.h; IPv4 on a socket for IPv6 is ::ffff:a.b.c.d. */
function sockaddr(family: Family, address: IP, port: number): Uint8Array {
  const portBytes = Uint8Array.of(port >> 8, port & 255)
  return family === 4
    ? concat(Uint8Array.of(2, 0), portBytes, ipBytes(address), new Uint8Array(8))
    : concat(
        Uint8Array.of(10, 0),
        portBytes,
        new Uint8Array(4),
        mappedBytes(address),
        new Uint8Array(4),
      )
}

function readSockaddr(name: Uint8Array): string {
  const address = name[0] === 2 ? name.slice(4, 8) : name.slice(8, 24)
  return `${unmapAddress(address)} ${((name[2] ?? 0) << 8) | (name[3] ?? 0)}`
}

/** A network namespace, by the path under which it can be opened. */
export interface Place {
  readonly path: string
}

/** A socket for the address's family, or one for IPv6 that takes both, opened in the namespace. */
export function openSocket(
  ns: Place,
  kind: 'tcp' | 'udp',
  address: IP,
  family: Family = familyOf(address),
): Socket {
  using home = openHome()
  using there = openNetns(ns.path)
  const type = kind === 'tcp' ? 1 : 2
  const open = () => new Socket(c.socket(family === 4 ? 2 : 10, type, 0), family)
  return inside(there.fd, home.fd, open)
}

/** A socket that sends whole frames by the device, whatever they hold. */
export function openFrameSocket(
  ns: Place & { ifindex(device: string): number },
  device: string,
): Socket {
  using home = openHome()
  using there = openNetns(ns.path)
  const socket = inside(there.fd, home.fd, () => new Socket(c.socket(AF_PACKET, 3, 0)))
  // linux/if_packet.h struct sockaddr_ll: family, protocol, ifindex, hatype, pkttype, halen, addr
  const name = new Uint8Array(20)
  new DataView(name.buffer).setUint16(0, AF_PACKET, true)
  new DataView(name.buffer).setUint32(4, ns.ifindex(device), true)
  check('bind', c.bind(socket.fd, name, name.length))
  return socket
}

/** A place to send from and to. */
export interface End {
  readonly ns: Place
  readonly address: IP
}

/** Sends datagrams of one size and tells how many arrived unharmed. */
export function exchangeDatagrams(from: End, to: End, size: number, count: number): number {
  using receiver = openSocket(to.ns, 'udp', to.address)
    .option(SOL.SOCKET, SO.RCVBUFFORCE, 1 << 23)
    .bind(to.address, 5000)
  using sender = openSocket(from.ns, 'udp', from.address).bind(from.address, 5001)
  sender.connect(to.address, 5000)
  const buffer = new Uint8Array(1 << 17)
  let whole = 0
  for (let i = 0; i < count; i++) {
    const want = pattern(size, i)
    // The first packet that is too big for the path is refused by an ICMP error; the next try knows the size.
    for (let attempt = 0; attempt < 3; attempt++) {
      sender.send(want)
      const got = receiver.receive(buffer, attempt === 2)
      if (got === undefined) continue
      if (Buffer.compare(got, want) === 0) whole++
      break
    }
  }
  return whole
}

/** Sends one buffer by UDP_SEGMENT; the bytes that arrived, and in how many reads (with UDP_GRO: fewer). */
export function exchangeSegments(
  from: End,
  to: End,
  options: { readonly segment: number; readonly count: number; readonly gro: boolean },
): { readonly bytes: number; readonly reads: number } {
  const { segment, count, gro } = options
  using receiver = openSocket(to.ns, 'udp', to.address)
    .option(SOL.SOCKET, SO.RCVBUFFORCE, 1 << 23)
    .option(SOL.UDP, UDP.GRO, gro ? 1 : 0)
    .bind(to.address, 5000)
  using sender = openSocket(from.ns, 'udp', from.address)
    .option(SOL.UDP, UDP.SEGMENT, segment)
    .bind(from.address, 5001)
  sender.connect(to.address, 5000)
  const want = pattern(segment * count, 7)
  sender.send(want)
  const buffer = new Uint8Array(1 << 17)
  let [bytes, reads] = [0, 0]
  while (bytes < want.length) {
    const got = receiver.receive(buffer)
    if (got === undefined) break
    if (Buffer.compare(got, want.subarray(bytes, bytes + got.length)) !== 0) break
    bytes += got.length
    reads++
  }
  return { bytes, reads }
}

/** Streams bytes through one connection; those that arrived in order and unharmed before it stood still. */
export function streamBytes(from: End, to: End, total: number): number {
  using listener = openSocket(to.ns, 'tcp', to.address)
    .option(SOL.SOCKET, SO.REUSEADDR, 1)
    .bind(to.address, 5002)
    .listen()
  using client = openSocket(from.ns, 'tcp', from.address)
  if (!client.connect(to.address, 5002)) return 0
  using server = listener.accept()
  const chunk = pattern(1 << 18, 3)
  const buffer = new Uint8Array(1 << 18)
  let [sent, got] = [0, 0]
  while (got < total) {
    if (sent < total) {
      const at = sent % chunk.length
      sent += client.send(chunk.subarray(at, Math.min(chunk.length, at + total - sent)), false) ?? 0
    }
    const part = server.receive(buffer, sent === total || sent - got > 1 << 16)
    if (part === undefined || part.length === 0) {
      if (sent === total || sent - got > 1 << 16) break
      continue
    }
    if (!samePattern(part, chunk, got)) break
    got += part.length
  }
  return got
}

function pattern(size: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31 + seed + (i >> 8)) & 255)
}

function samePattern(part: Uint8Array, chunk: Uint8Array, from: number): boolean {
  for (let done = 0; done < part.length; ) {
    const at = (from + done) % chunk.length
    const size = Math.min(part.length - done, chunk.length - at)
    if (Buffer.compare(part.subarray(done, done + size), chunk.subarray(at, at + size)) !== 0) {
      return false
    }
    done += size
  }
  return true
}
