/**
 * A compiled BPF object brought into the kernel: opened from memory, its maps created or taken over from
 * their pins, its programs verified. The descriptors live until the object is disposed; pins and attached
 * filters keep what they need beyond that.
 */

import { ptr } from 'bun:ffi'
import { existsSync, mkdirSync, rmSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { NetworkError } from '../../lib/errors.ts'
import { bpfError, cString, type Handle, type Libbpf } from './libbpf.ts'
import { BpfMap, type MapShape } from './map.ts'

/** How an object is loaded. */
export interface LoadOptions {
  /** Directory on a bpffs where every map is pinned under its name; a map found there is used on. */
  readonly pinDirectory?: string
  /** Sizes that differ from the object's own. */
  readonly maxEntries?: Readonly<Record<string, number>>
  /** Of all its programs, when the library may not know it by their section. linux/bpf.h */
  readonly programs?: { readonly type: number; readonly attachType: number }
}

/** linux/magic.h BPF_FS_MAGIC */
const BPF_FS_MAGIC = 0xcafe4a11
/** Bytes of the verifier's log that are kept; its end tells what was refused. */
const LOG_BYTES = 1 << 20

/**
 * The verifier gives up with EAGAIN when a signal is pending, and the runtime's threads send each other
 * some; libbpf tries five times by itself. kernel/bpf/verifier.c do_check()
 */
const EAGAIN = -11
const MOST_ATTEMPTS = 20

/** A loaded object. */
export class BpfObject implements Disposable {
  readonly maps: ReadonlyMap<string, BpfMap>
  /** Descriptors of the programs by function name. */
  readonly programs: ReadonlyMap<string, number>
  readonly #bpf: Libbpf
  readonly #object: Handle

  private constructor(bpf: Libbpf, object: Handle) {
    this.#bpf = bpf
    this.#object = object
    this.maps = new Map(
      [...mapsOf(bpf, object)].map(({ map, shape }) => [
        shape.name,
        new BpfMap(bpf, bpf.bpf_map__fd(map), shape),
      ]),
    )
    this.programs = new Map(programsOf(bpf, object))
  }

  /**
   * Loads the object in `image`. Refused programs are `kernel` with the verifier's words in
   * `details.log`; pinned maps of another shape are `conflict`; a kernel without BPF or one of its helpers,
   * or a pin directory on no bpffs, is `unsupported`; without the right to load it is `forbidden`.
   */
  static load(bpf: Libbpf, image: Uint8Array, options: LoadOptions = {}): BpfObject {
    if (options.pinDirectory !== undefined) makePinDirectory(options.pinDirectory)
    for (let attempt = 1; ; attempt++) {
      const log = new Uint8Array(LOG_BYTES)
      const object = open(bpf, image, log)
      try {
        for (const { map, shape } of mapsOf(bpf, object)) prepare(bpf, map, shape, options)
        if (options.programs !== undefined) setTypes(bpf, object, options.programs)
        const result = bpf.bpf_object__load(object)
        if (result >= 0) return new BpfObject(bpf, object)
        if (result !== EAGAIN || attempt === MOST_ATTEMPTS) throw loadError(result, log, options)
      } catch (error) {
        bpf.bpf_object__close(object)
        throw error
      }
      bpf.bpf_object__close(object)
    }
  }

  map(name: string): BpfMap {
    const map = this.maps.get(name)
    if (map === undefined) throw new Error(`the BPF object has no map ${name}`)
    return map
  }

  /** The descriptor of the program, for a tc filter or a test run. */
  program(name: string): number {
    const fd = this.programs.get(name)
    if (fd === undefined) throw new Error(`the BPF object has no program ${name}`)
    return fd
  }

  /** Pins the program at `path`, in place of what is pinned there. */
  pinProgram(name: string, path: string): void {
    mkdirSync(dirname(path), { recursive: true })
    rmSync(path, { force: true })
    const result = this.#bpf.bpf_obj_pin(this.program(name), cString(path))
    if (result < 0) throw bpfError(`pin program ${name} at ${path}`, result)
  }

  [Symbol.dispose](): void {
    this.#bpf.bpf_object__close(this.#object)
  }
}

function open(bpf: Libbpf, image: Uint8Array, log: Uint8Array): Handle {
  const name = new Uint8Array(4096) // large: its address must hold until the call
  name.set(cString('carrick'))
  // libbpf.h struct bpf_object_open_opts (1.1): sz, object_name, relaxed_maps, pin_root_path, a hole,
  // kconfig, btf_custom_path, kernel_log_buf, kernel_log_size, kernel_log_level
  const options = new BigUint64Array(10)
  options[0] = BigInt(options.byteLength)
  options[1] = BigInt(ptr(name))
  options[7] = BigInt(ptr(log))
  options[8] = BigInt(log.length)
  const object = bpf.bpf_object__open_mem(image, image.length, options)
  if (object !== null) return object
  throw bpfError('open the BPF object', Number(bpf.libbpf_get_error(null)))
}

/** Looks at what is mounted there first, so that nothing is made where nothing can be pinned. */
function makePinDirectory(directory: string): void {
  let standing = directory
  while (!existsSync(standing)) standing = dirname(standing)
  if (statfsSync(standing).type !== BPF_FS_MAGIC) {
    throw new NetworkError(
      'unsupported',
      `Cannot pin BPF maps in ${directory}: it is on no bpffs`,
      {
        details: { pinDirectory: directory },
        hint: 'mount -t bpf bpf /sys/fs/bpf',
      },
    )
  }
  try {
    mkdirSync(directory, { recursive: true })
  } catch (cause) {
    const errno = String((cause as NodeJS.ErrnoException).code)
    const refused = ['EROFS', 'EACCES', 'EPERM'].includes(errno)
    throw new NetworkError(
      refused ? 'forbidden' : 'kernel',
      `Cannot pin BPF maps in ${directory}: ${errno}`,
      { details: { errno, pinDirectory: directory }, cause },
    )
  }
}

function prepare(bpf: Libbpf, map: Handle, shape: MapShape, options: LoadOptions): void {
  const maxEntries = options.maxEntries?.[shape.name]
  if (maxEntries !== undefined) {
    const result = bpf.bpf_map__set_max_entries(map, maxEntries)
    if (result < 0) throw bpfError(`size map ${shape.name}`, result)
  }
  if (options.pinDirectory !== undefined) {
    const path = `${options.pinDirectory}/${shape.name}`
    const result = bpf.bpf_map__set_pin_path(map, cString(path))
    if (result < 0) throw bpfError(`choose the pin of map ${shape.name}`, result)
  }
}

function setTypes(
  bpf: Libbpf,
  object: Handle,
  { type, attachType }: NonNullable<LoadOptions['programs']>,
): void {
  for (
    let program = bpf.bpf_object__next_program(object, null);
    program !== null;
    program = bpf.bpf_object__next_program(object, program)
  ) {
    bpf.bpf_program__set_type(program, type)
    bpf.bpf_program__set_expected_attach_type(program, attachType)
  }
}

function loadError(result: number, log: Uint8Array, options: LoadOptions): NetworkError {
  const text = new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim()
  const details = { errno: -result, log: text, pinDirectory: options.pinDirectory }
  const end = text.split('\n').slice(-4).join(' | ')
  if (text === '' && result === -22 && options.pinDirectory !== undefined) {
    const message = `Cannot load the BPF object: a map pinned in ${options.pinDirectory} has another shape`
    return new NetworkError('conflict', message, { details })
  }
  if (result === -38) {
    return new NetworkError('unsupported', 'Cannot load the BPF object: this kernel has no BPF', {
      details,
    })
  }
  if (/unknown func|invalid func|program of this type cannot use helper/.test(end)) {
    const message = `Cannot load the BPF object: this kernel lacks a helper: ${end}`
    return new NetworkError('unsupported', message, { details, hint: 'needs Linux 5.15 or later' })
  }
  const error = bpfError('load the BPF object', result, { details })
  return end === '' ? error : new NetworkError(error.code, `${error.message}: ${end}`, { details })
}

function* mapsOf(bpf: Libbpf, object: Handle): Generator<{ map: Handle; shape: MapShape }> {
  for (
    let map = bpf.bpf_object__next_map(object, null);
    map !== null;
    map = bpf.bpf_object__next_map(object, map)
  ) {
    yield {
      map,
      shape: {
        name: String(bpf.bpf_map__name(map)),
        type: bpf.bpf_map__type(map),
        keyBytes: bpf.bpf_map__key_size(map),
        valueBytes: bpf.bpf_map__value_size(map),
        maxEntries: bpf.bpf_map__max_entries(map),
      },
    }
  }
}

function* programsOf(bpf: Libbpf, object: Handle): Generator<[string, number]> {
  for (
    let program = bpf.bpf_object__next_program(object, null);
    program !== null;
    program = bpf.bpf_object__next_program(object, program)
  ) {
    yield [String(bpf.bpf_program__name(program)), bpf.bpf_program__fd(program)]
  }
}
