/**
 * libbpf by FFI: the one library binding for BPF (Debian: libbpf1 ≥ 1.0). Functions are libbpf's own; a
 * negative result is -errno. Opened on first use, so that importing this does nothing.
 */

import { dlopen, type FFIFunction, FFIType, type Pointer } from 'bun:ffi'
import { constants } from 'node:os'
import { type ErrorOptions, messageOf, NetworkError } from '../../lib/errors.ts'

const { ptr, i32, u32, u64, cstring } = FFIType

const SYMBOLS = {
  libbpf_set_print: { args: [ptr], returns: ptr },
  libbpf_get_error: { args: [ptr], returns: FFIType.i64_fast },
  libbpf_num_possible_cpus: { args: [], returns: i32 },
  bpf_object__open_mem: { args: [ptr, u64, ptr], returns: ptr },
  bpf_object__load: { args: [ptr], returns: i32 },
  bpf_object__close: { args: [ptr], returns: FFIType.void },
  bpf_object__next_map: { args: [ptr, ptr], returns: ptr },
  bpf_object__next_program: { args: [ptr, ptr], returns: ptr },
  bpf_map__name: { args: [ptr], returns: cstring },
  bpf_map__fd: { args: [ptr], returns: i32 },
  bpf_map__type: { args: [ptr], returns: u32 },
  bpf_map__key_size: { args: [ptr], returns: u32 },
  bpf_map__value_size: { args: [ptr], returns: u32 },
  bpf_map__max_entries: { args: [ptr], returns: u32 },
  bpf_map__set_max_entries: { args: [ptr, u32], returns: i32 },
  bpf_map__set_pin_path: { args: [ptr, ptr], returns: i32 },
  bpf_program__name: { args: [ptr], returns: cstring },
  bpf_program__fd: { args: [ptr], returns: i32 },
  bpf_program__set_type: { args: [ptr, u32], returns: i32 },
  bpf_program__set_expected_attach_type: { args: [ptr, u32], returns: i32 },
  bpf_obj_pin: { args: [i32, ptr], returns: i32 },
  bpf_obj_get: { args: [ptr], returns: i32 },
  bpf_obj_get_info_by_fd: { args: [i32, ptr, ptr], returns: i32 },
  bpf_link_create: { args: [i32, i32, u32, ptr], returns: i32 },
  bpf_link_update: { args: [i32, i32, ptr], returns: i32 },
  bpf_map_lookup_elem: { args: [i32, ptr, ptr], returns: i32 },
  bpf_map_update_elem: { args: [i32, ptr, ptr, u64], returns: i32 },
  bpf_map_delete_elem: { args: [i32, ptr], returns: i32 },
  bpf_map_update_batch: { args: [i32, ptr, ptr, ptr, ptr], returns: i32 },
  bpf_map_lookup_batch: { args: [i32, ptr, ptr, ptr, ptr, ptr, ptr], returns: i32 },
  bpf_prog_test_run_opts: { args: [i32, ptr], returns: i32 },
  ring_buffer__new: { args: [i32, FFIType.function, ptr, ptr], returns: ptr },
  ring_buffer__consume: { args: [ptr], returns: i32 },
  ring_buffer__free: { args: [ptr], returns: FFIType.void },
} as const satisfies Record<string, FFIFunction>

/** libbpf's functions, called as in C. */
export type Libbpf = ReturnType<typeof dlopen<typeof SYMBOLS>>['symbols']

/** The address of one of libbpf's objects, only ever handed back to it. */
export type Handle = Pointer | bigint

let opened: Libbpf | undefined

/**
 * libbpf with its own messages silenced; `unsupported` when the library is missing. A thread opens it once: that is
 * slower than whatever is called.
 */
export function openLibbpf(): Libbpf {
  opened ??= open()
  return opened
}

function open(): Libbpf {
  try {
    const { symbols } = dlopen('libbpf.so.1', SYMBOLS)
    symbols.libbpf_set_print(null)
    return symbols
  } catch (cause) {
    throw new NetworkError('unsupported', `Cannot open libbpf.so.1: ${messageOf(cause)}`, {
      cause,
      hint: 'apt-get install libbpf1',
    })
  }
}

/** The name of an errno, such as ENOENT. */
export function errnoName(errno: number): string {
  const found = Object.entries(constants.errno).find(([, number]) => number === errno)
  return found?.[0] ?? `errno ${errno}`
}

/** The error of a call that returned -errno: `operation` is a verb with its object. */
export function bpfError(
  operation: string,
  result: number,
  options: ErrorOptions = {},
): NetworkError {
  const errno = -result
  const name = errnoName(errno)
  const details = { ...options.details, operation, errno: name }
  if (name === 'EPERM') {
    return new NetworkError('forbidden', `Cannot ${operation}: ${name}, needs CAP_BPF`, {
      ...options,
      details,
    })
  }
  return new NetworkError('kernel', `Cannot ${operation}: ${name}`, { ...options, details })
}

/** A string as C wants it. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}
