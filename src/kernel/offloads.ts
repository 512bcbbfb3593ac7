/**
 * What a device leaves to its hardware, in the namespace a view looks at. A veth has no hardware: what it
 * leaves is done at the device by which the packet leaves the machine, or by nobody.
 */
import { ptr } from 'bun:ffi'
import * as sys from './syscall.ts'

export interface Offloads {
  /** True when the kernel need not sum up what it sends by the device. */
  checksumsSent(device: string): boolean
  /** Segmentation goes with it: the kernel cuts nothing that it has not summed up. */
  setChecksumsSent(device: string, on: boolean): void
}

/** linux/ethtool.h, linux/sockios.h; struct ifreq is 40 bytes, its name 16. */
const SIOCETHTOOL = 0x8946
const ETHTOOL_GTXCSUM = 0x16
const ETHTOOL_STXCSUM = 0x17
const IFNAMSIZ = 16
const VALUE_AT = 64
/** A buffer of this size stays where it is, so that it may point into itself. */
const BUFFER_BYTES = 4096

/** Calls of the namespace that `inside` enters. */
export function offloadsOf(inside: <T>(work: () => T) => T): Offloads {
  const ask = (device: string, command: number, data: number): number =>
    inside(() => ethtoolValue(device, command, data))
  return {
    checksumsSent: (device) => ask(device, ETHTOOL_GTXCSUM, 0) !== 0,
    setChecksumsSent(device, on) {
      ask(device, ETHTOOL_STXCSUM, on ? 1 : 0)
    },
  }
}

/** struct ethtool_value: a command and a number, which the kernel may change. */
function ethtoolValue(device: string, command: number, data: number): number {
  const buffer = new Uint8Array(BUFFER_BYTES)
  buffer.set(sys.cString(device).subarray(0, IFNAMSIZ - 1))
  const view = new DataView(buffer.buffer)
  const base = ptr(buffer)
  view.setBigUint64(IFNAMSIZ, BigInt(base + VALUE_AT), true)
  view.setUint32(VALUE_AT, command, true)
  view.setUint32(VALUE_AT + 4, data, true)
  const fd = sys.socket(sys.AF_INET, sys.SOCK_DGRAM | sys.SOCK_CLOEXEC, 0)
  try {
    sys.ioctl(fd, SIOCETHTOOL, base)
  } finally {
    sys.close(fd)
  }
  return view.getUint32(VALUE_AT + 4, true)
}
