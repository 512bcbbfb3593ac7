/**
 * Reading, writing and one unix stream, by calls that wait in the kernel: this process has nothing else to do. With
 * the runtime's own streams, fetch() and exit, which start two threads and tear everything down, the same takes 1.2 ms
 * more (measured, of 4.4 ms of which 4.0 are the runtime's start). Every wait ends at a deadline.
 */

import { dlopen, FFIType, read as peek } from 'bun:ffi'
import { NetworkError } from '../lib/errors.ts'

const libc = dlopen('libc.so.6', {
  __errno_location: { args: [], returns: 'ptr' },
  _exit: { args: ['i32'], returns: 'void' },
  close: { args: ['i32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
  read: { args: ['i32', 'ptr', 'usize'], returns: FFIType.i64_fast },
  send: { args: ['i32', 'ptr', 'usize', 'i32'], returns: FFIType.i64_fast },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  write: { args: ['i32', 'ptr', 'usize'], returns: FFIType.i64_fast },
}).symbols

/** sys/socket.h, sys/un.h, poll.h */
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_SNDTIMEO = 21
const MSG_NOSIGNAL = 0x4000
const PATH_BYTES = 107
const POLLIN = 1
const POLLOUT = 4

/** Most calls and answers are shorter. */
const FIRST_BYTES = 8192

/** Numbers that tell what to do. asm-generic/errno.h */
const ERRNO: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  4: 'EINTR',
  9: 'EBADF',
  11: 'EAGAIN',
  13: 'EACCES',
  21: 'EISDIR',
  32: 'EPIPE',
  104: 'ECONNRESET',
  111: 'ECONNREFUSED',
}

/** A moment on the clock that only runs. */
export class Deadline {
  readonly seconds: number
  readonly #endMs: number

  constructor(ms: number) {
    this.seconds = ms / 1000
    this.#endMs = performance.now() + ms
  }

  /** Whole milliseconds that are left; throws `timeout` when there are none. */
  leftMs(): number {
    const left = Math.ceil(this.#endMs - performance.now())
    if (left > 0) return left
    throw new NetworkError('timeout', `Cannot wait any longer: ${this.seconds} s passed`)
  }
}

/** Bytes as they come in, one part behind the other. */
export class Inflow {
  #buffer = new Uint8Array(FIRST_BYTES)
  #size = 0

  /** All that came so far. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#size)
  }

  /** Waits for a further part; false at the end. Throws `timeout` and `kernel`. */
  read(fd: number, deadline: Deadline): boolean {
    if (this.#size === this.#buffer.length) {
      const longer = new Uint8Array(4 * this.#size)
      longer.set(this.#buffer)
      this.#buffer = longer
    }
    const count = readSome(fd, this.#buffer.subarray(this.#size), deadline)
    this.#size += count
    return count > 0
  }
}

function readSome(fd: number, buffer: Uint8Array, deadline: Deadline): number {
  for (;;) {
    waitFor(fd, POLLIN, deadline)
    const count = Number(libc.read(fd, buffer, buffer.length))
    if (count >= 0) return count
    refuseUnlessAgain('read')
  }
}

/** Writes all of it; throws `timeout` and `kernel`. */
export function writeAll(fd: number, bytes: Uint8Array, deadline: Deadline): void {
  for (let rest = bytes; rest.length > 0; ) {
    waitFor(fd, POLLOUT, deadline)
    const written = Number(libc.write(fd, rest, rest.length))
    if (written < 0) refuseUnlessAgain('write')
    else rest = rest.subarray(written)
  }
}

/** Ends this process at once: nothing is waited for, nobody is told. */
export function exit(code: number): never {
  libc._exit(code)
  throw new Error('_exit() returned')
}

/** A unix stream that is not connected yet. */
export class Stream implements Disposable {
  readonly #fd: number

  /** Throws `kernel`. */
  constructor() {
    this.#fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
    if (this.#fd < 0) throw failure('open a socket', errno())
  }

  /** Throws `timeout` and `kernel`. */
  connect(path: string, deadline: Deadline): void {
    const name = new TextEncoder().encode(path)
    if (name.length > PATH_BYTES) throw failure('connect', 'ENAMETOOLONG')
    const address = new Uint8Array(2 + PATH_BYTES + 1)
    address[0] = AF_UNIX
    address.set(name, 2)
    for (;;) {
      this.#limit(deadline)
      if (libc.connect(this.#fd, address, address.length) === 0) return
      refuseUnlessAgain('connect')
    }
  }

  /** Sends all of it; throws `timeout` and `kernel`. */
  send(bytes: Uint8Array, deadline: Deadline): void {
    for (let rest = bytes; rest.length > 0; ) {
      this.#limit(deadline)
      const sent = Number(libc.send(this.#fd, rest, rest.length, MSG_NOSIGNAL))
      if (sent < 0) refuseUnlessAgain('send')
      else rest = rest.subarray(sent)
    }
  }

  /** As `Inflow.read`. */
  receive(inflow: Inflow, deadline: Deadline): boolean {
    return inflow.read(this.#fd, deadline)
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd)
  }

  /** A daemon that accepts nobody lets connect() wait, one that reads nothing send(). struct timeval, sys/time.h */
  #limit(deadline: Deadline): void {
    const leftMs = deadline.leftMs()
    const seconds = Math.floor(leftMs / 1000)
    const time = new Uint32Array([seconds, 0, (leftMs - seconds * 1000) * 1000, 0])
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_SNDTIMEO, time, time.byteLength)
  }
}

/** Returns when the descriptor is ready, or fails by itself; throws `timeout`. struct pollfd, poll.h */
function waitFor(fd: number, events: number, deadline: Deadline): void {
  const polled = new Int32Array([fd, events])
  while (libc.poll(polled, 1, deadline.leftMs()) <= 0) {
    // Interrupted, or the deadline has passed, which it says itself.
  }
}

/** Content when the call is worth another try; when that lasts, the deadline ends it. */
function refuseUnlessAgain(call: string): void {
  const name = errno()
  if (name !== 'EINTR' && name !== 'EAGAIN') throw failure(call, name)
}

function errno(): string {
  const location = libc.__errno_location()
  const number = location === null ? 0 : peek.i32(location, 0)
  return ERRNO[number] ?? `errno ${number}`
}

function failure(call: string, name: string): NetworkError {
  return new NetworkError('kernel', `Cannot ${call}: ${name}`, { details: { errno: name } })
}
