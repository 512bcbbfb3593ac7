/** BPF_PROG_TEST_RUN: shows one packet to a program without sending it anywhere. */

import { ptr } from 'bun:ffi'
import { bpfError, type Libbpf } from './libbpf.ts'

/** Fields of the packet's context that a test may choose. linux/bpf.h struct __sk_buff */
export interface TestPacket {
  readonly bytes: Uint8Array
  /** Device the packet came in by, in the caller's namespace; loopback by default. */
  readonly ifindex?: number
  /** The packet mark it comes with; 0 by default. */
  readonly mark?: number
  /** Segment size of a super-packet. */
  readonly gsoBytes?: number
  readonly gsoSegments?: number
  /** Runs the same packet as often and measures. */
  readonly repeat?: number
}

export interface TestRun {
  /** What the program returned. linux/pkt_cls.h TC_ACT_* */
  readonly verdict: number
  /** The packet as the program left it. */
  readonly bytes: Uint8Array
  /** The packet mark that the program left. */
  readonly mark: number
  /** Average of one run. */
  readonly durationNs: number
}

/** Bytes of struct __sk_buff up to hwtstamp, and where its fields stand. */
const SKB = { BYTES: 192, MARK: 8, IFINDEX: 40, GSO_SEGS: 164, GSO_SIZE: 176 } as const

/** Runs the program on the packet; the program sees it as received on ingress. */
export function testRun(bpf: Libbpf, programFd: number, packet: TestPacket): TestRun {
  const input = new Uint8Array(Math.max(packet.bytes.length, 4096))
  input.set(packet.bytes)
  const output = new Uint8Array(packet.bytes.length + 4096)
  const context = new Uint8Array(4096) // large buffers do not move while their address is in use
  const fields = new DataView(context.buffer)
  const contextOut = new Uint8Array(4096)
  fields.setUint32(SKB.MARK, packet.mark ?? 0, true)
  fields.setUint32(SKB.IFINDEX, packet.ifindex ?? 1, true)
  fields.setUint32(SKB.GSO_SEGS, packet.gsoSegments ?? 0, true)
  fields.setUint32(SKB.GSO_SIZE, packet.gsoBytes ?? 0, true)

  // bpf.h struct bpf_test_run_opts: sz, data_in, data_out, data_size_in, data_size_out, ctx_in, ctx_out,
  // ctx_size_in, ctx_size_out, retval, repeat, duration, flags, cpu, batch_size
  const buffer = new Uint8Array(4096)
  const options = new DataView(buffer.buffer)
  options.setBigUint64(0, 80n, true)
  options.setBigUint64(8, BigInt(ptr(input)), true)
  options.setBigUint64(16, BigInt(ptr(output)), true)
  options.setUint32(24, packet.bytes.length, true)
  options.setUint32(28, output.length, true)
  options.setBigUint64(32, BigInt(ptr(context)), true)
  options.setBigUint64(40, BigInt(ptr(contextOut)), true)
  options.setUint32(48, SKB.BYTES, true)
  options.setUint32(52, SKB.BYTES, true)
  options.setInt32(60, packet.repeat ?? 1, true)
  const result = bpf.bpf_prog_test_run_opts(programFd, buffer)
  if (result < 0) throw bpfError('run the program on a test packet', result)
  return {
    verdict: options.getUint32(56, true),
    bytes: output.slice(0, options.getUint32(28, true)),
    mark: new DataView(contextOut.buffer).getUint32(SKB.MARK, true),
    durationNs: options.getUint32(64, true),
  }
}
