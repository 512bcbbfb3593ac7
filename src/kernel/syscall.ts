/**
 * The only native calls into the C library. Each function does one call, gives its value, and throws a
 * kernel error with the errno's name when it fails. Buffers are handed over as they are: their address is
 * taken at each call, because the runtime moves small buffers.
 */
import { dlopen, FFIType, type Pointer, read as peek, ptr } from 'bun:ffi'
import { endianness } from 'node:os'
import { kernelError } from './errno.ts'

/** sys/socket.h, linux/netlink.h */
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_NETLINK = 16
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_TYPE = 3
export const SO_PEERCRED = 17
export const SO_RCVTIMEO = 20
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_ACCEPTCONN = 30
export const SO_NETNS_COOKIE = 71
export const MSG_TRUNC = 0x20
/** linux/sched.h */
export const CLONE = { FS: 0x200, NEWNS: 0x20000, NEWNET: 0x40000000 } as const
/** linux/time.h */
const CLOCK_MONOTONIC = 1
/** linux/fcntl.h, asm-generic/fcntl.h */
const F_SETFD = 2
const F_DUPFD_CLOEXEC = 1030
const FD_CLOEXEC = 1
/** asm-generic/fcntl.h */
export const O = { RDONLY: 0, WRONLY: 1, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const

const libc = dlopen('libc.so.6', {
  __errno_location: { args: [], returns: 'ptr' },
  _exit: { args: ['i32'], returns: 'void' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  execvpe: { args: ['ptr', 'ptr', 'ptr'], returns: 'i32' },
  fcntl: { args: ['i32', 'i32', 'u64'], returns: 'i32' },
  fstatfs: { args: ['i32', 'ptr'], returns: 'i32' },
  getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  ioctl: { args: ['i32', 'u64', 'u64'], returns: 'i32' },
  madvise: { args: ['u64', 'u64', 'i32'], returns: 'i32' },
  mount: { args: ['ptr', 'ptr', 'ptr', 'u64', 'ptr'], returns: 'i32' },
  open: { args: ['ptr', 'i32', 'i32'], returns: 'i32' },
  prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
  read: { args: ['i32', 'ptr', 'usize'], returns: FFIType.i64_fast },
  recv: { args: ['i32', 'ptr', 'usize', 'i32'], returns: FFIType.i64_fast },
  send: { args: ['i32', 'ptr', 'usize', 'i32'], returns: FFIType.i64_fast },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  signal: { args: ['i32', 'u64'], returns: 'u64' },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  syscall: { args: ['i64', 'i64', 'ptr', 'u64'], returns: FFIType.i64_fast },
  umount2: { args: ['ptr', 'i32'], returns: 'i32' },
  unshare: { args: ['i32'], returns: 'i32' },
  write: { args: ['i32', 'ptr', 'usize'], returns: FFIType.i64_fast },
}).symbols

if (endianness() !== 'LE') throw new Error('this program is written for little-endian machines')

export function socket(family: number, type: number, protocol: number): number {
  return checked('open a socket', libc.socket(family, type, protocol))
}

/** bpf(2), for commands that the library does not know yet: a descriptor, or 0. */
export function bpf(operation: string, command: number, attributes: Uint8Array): number {
  const number = process.arch === 'arm64' ? 280 : 321 // asm/unistd.h __NR_bpf
  const result = Number(libc.syscall(number, command, attributes, attributes.length))
  return checked(operation, result)
}

export function bind(fd: number, address: Uint8Array): void {
  checked('bind a socket', libc.bind(fd, address, address.length))
}

export function connect(fd: number, address: Uint8Array): void {
  checked('connect a socket', libc.connect(fd, address, address.length))
}

/** Fills `address` with what the socket is bound to, and gives the length of it. */
export function getsockname(fd: number, address: Uint8Array): number {
  const length = new Uint32Array([address.length])
  checked('read the address of a socket', libc.getsockname(fd, address, length))
  return length[0] ?? 0
}

export function setsockopt(fd: number, level: number, option: number, value: Uint8Array): void {
  checked(
    `set socket option ${level}/${option}`,
    libc.setsockopt(fd, level, option, value, value.length),
  )
}

/** Fills `value` and gives the number of bytes the kernel wrote. */
export function getsockopt(fd: number, level: number, option: number, value: Uint8Array): number {
  const length = new Uint32Array([value.length])
  checked(
    `read socket option ${level}/${option}`,
    libc.getsockopt(fd, level, option, value, length),
  )
  return length[0] ?? 0
}

export function send(fd: number, bytes: Uint8Array): void {
  checked('send to the kernel', Number(libc.send(fd, bytes, bytes.length, 0)))
}

/** Fills `buffer` with one datagram and gives its true length, which may be more than fits. */
export function receive(fd: number, buffer: Uint8Array): number {
  return checked('receive from the kernel', Number(libc.recv(fd, buffer, buffer.length, MSG_TRUNC)))
}

export function open(path: string, flags: number): number {
  return checked(`open "${path}"`, libc.open(cString(path), flags | O.CLOEXEC, 0))
}

export function read(fd: number, buffer: Uint8Array): number {
  return checked('read', Number(libc.read(fd, buffer, buffer.length)))
}

export function write(fd: number, bytes: Uint8Array): number {
  return checked('write', Number(libc.write(fd, bytes, bytes.length)))
}

/** A second descriptor of the same, at least 3, that goes with this program. */
export function duplicate(fd: number): number {
  return checked('duplicate a descriptor', libc.fcntl(fd, F_DUPFD_CLOEXEC, 3))
}

/** Whether a descriptor goes with this program, or the one that it becomes has it too. */
export function setCloseOnExec(fd: number, goes: boolean): void {
  checked('mark a descriptor', libc.fcntl(fd, F_SETFD, goes ? FD_CLOEXEC : 0))
}

/** Microseconds of the clock that only runs, since some moment before. clock_gettime(2) CLOCK_MONOTONIC */
export function monotonicMicroseconds(): bigint {
  const time = new BigInt64Array(2)
  checked('read the clock', libc.clock_gettime(CLOCK_MONOTONIC, time))
  return (time[0] ?? 0n) * 1_000_000n + (time[1] ?? 0n) / 1_000n
}

export function close(fd: number): void {
  checked('close a descriptor', libc.close(fd))
}

/** Tells the kernel what is true of a part of this process's memory. sys/mman.h */
export function madvise(start: bigint, length: bigint, advice: number): void {
  checked('advise about memory', libc.madvise(start, length, advice))
}

/** The magic number of the file system the descriptor is on. linux/magic.h */
export function fileSystemOf(fd: number): number {
  const statfs = new Uint8Array(256)
  checked('stat a file system', libc.fstatfs(fd, statfs))
  return new DataView(statfs.buffer).getUint32(0, true)
}

/** `argument`: a number, or the address of what the request reads and writes. */
export function ioctl(fd: number, request: number, argument = 0): number {
  return checked('ioctl', libc.ioctl(fd, request, argument))
}

export function setns(fd: number, kind: number): void {
  checked('enter a namespace', libc.setns(fd, kind))
}

export function unshare(flags: number): void {
  checked('unshare', libc.unshare(flags))
}

export function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): void {
  checked(
    `mount "${source}" on "${target}"`,
    libc.mount(cString(source), cString(target), cString(type), flags, cString(data)),
  )
}

export function umount2(target: string, flags: number): void {
  checked(`unmount "${target}"`, libc.umount2(cString(target), flags))
}

export function prctl(option: number, value: number): void {
  checked(`prctl ${option}`, libc.prctl(option, value, 0, 0, 0))
}

/** Gives the signal its default effect again. */
export function defaultSignal(signal: number): void {
  libc.signal(signal, 0)
}

/** Replaces this process; returns only by throwing. The file is searched for along PATH. */
export function execvpe(file: string, args: readonly string[], env: readonly string[]): never {
  const strings = [file, ...args, ...env].map(cString)
  // One block of at least 4 KiB, which the runtime does not move: pointer tables first, then the strings.
  const tables = (args.length + 1 + env.length + 1) * 8
  const block = new Uint8Array(
    Math.max(4096, tables + strings.reduce((sum, each) => sum + each.length, 0)),
  )
  const base = ptr(block)
  const view = new DataView(block.buffer)
  let offset = tables
  const offsets = strings.map((each) => {
    const at = offset
    block.set(each, at)
    offset += each.length
    return at
  })
  const argument = (index: number) => BigInt(base) + BigInt(offsets[index] ?? 0)
  for (let i = 0; i < args.length; i++) view.setBigUint64(i * 8, argument(1 + i), true)
  const envTable = (args.length + 1) * 8
  for (let i = 0; i < env.length; i++) {
    view.setBigUint64(envTable + i * 8, argument(1 + args.length + i), true)
  }
  const at = (position: number) => (base + position) as Pointer
  libc.execvpe(at(offsets[0] ?? 0), base, at(envTable))
  throw failure(`execute "${file}"`)
}

/** Ends the whole process at once, from any thread, without running anything more. */
export function dieNow(message: string): never {
  const line = new TextEncoder().encode(`${message}\n`)
  libc.write(2, line, line.length)
  libc._exit(70)
  throw new Error('the process outlived its end')
}

/** The bytes of a C string. A text with a zero byte inside would be cut short, so it is refused. */
export function cString(text: string): Uint8Array {
  if (text.includes('\0')) throw kernelError(`use "${text.replaceAll('\0', '\\0')}"`, EINVAL)
  return new TextEncoder().encode(`${text}\0`)
}

const EINVAL = 22

function checked(operation: string, result: number): number {
  if (result < 0) throw failure(operation)
  return result
}

function failure(operation: string): Error {
  const location = libc.__errno_location()
  return kernelError(operation, location === null ? 0 : peek.i32(location, 0))
}
