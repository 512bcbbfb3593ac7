/** The user side of a BPF ring buffer: takes what is there and returns, so the caller decides when to look. */

import { JSCallback, type Pointer, toArrayBuffer } from 'bun:ffi'
import { bpfError, type Handle, type Libbpf } from './libbpf.ts'
import type { BpfMap } from './map.ts'

/** A reader of one ring buffer. Two readers of one buffer steal each other's records. */
export class RingReader implements Disposable {
  readonly #bpf: Libbpf
  readonly #ring: Handle
  readonly #callback: JSCallback
  #records: Uint8Array[] = []

  constructor(bpf: Libbpf, map: BpfMap) {
    this.#bpf = bpf
    this.#callback = new JSCallback(
      (_context: Pointer, data: Pointer, size: number) => {
        this.#records.push(new Uint8Array(toArrayBuffer(data, 0, Number(size))).slice())
        return 0
      },
      { args: ['ptr', 'ptr', 'u64'], returns: 'i32' },
    )
    const ring = bpf.ring_buffer__new(map.fd, this.#callback, null, null)
    if (ring === null) {
      this.#callback.close()
      throw bpfError(`map ring buffer ${map.shape.name}`, Number(bpf.libbpf_get_error(null)))
    }
    this.#ring = ring
  }

  /** Copies of all records written since the last call; empty when there are none. Never waits. */
  take(): readonly Uint8Array[] {
    this.#records = []
    const result = this.#bpf.ring_buffer__consume(this.#ring)
    if (result < 0) throw bpfError('read the ring buffer', result)
    return this.#records
  }

  [Symbol.dispose](): void {
    this.#bpf.ring_buffer__free(this.#ring)
    this.#callback.close()
  }
}
