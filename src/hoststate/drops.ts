/**
 * What the datapath tells about packets: why one was dropped, how many went which way, and samples of the
 * dropped ones. Numbers are stable, equal to bpf/reasons.h, and compared with the object by a test.
 */

import type { IP } from '../net/ip.ts'
import { Fields, type Layout, unmapAddress } from './layout.ts'

/** Reasons for a drop, in the order of their numbers; a new one goes to the end. */
export const DROP_REASONS = {
  /** From a container: source MAC or address is not its own. */
  spoofed: 1,
  /** From another host: the outer source is not the host that has the inner source. */
  'wrong-host': 2,
  /** Inside the network, but nobody has the address. */
  'no-endpoint': 3,
  /** Outside the network, and no way out. */
  'no-route': 4,
  /** The device or the VNI belongs to no network here. */
  'no-network': 5,
  /** On another host that this network's carrier cannot reach. */
  'no-carrier': 6,
  /** Larger than the path takes; the sender was told. */
  'too-big': 7,
  /** Cut off, or lengths that contradict each other. */
  malformed: 8,
  /** Noise of every start: router solicitations, listener reports, broadcasts, duplicate detection. */
  ignored: 9,
  /** Neither IPv4, IPv6 nor ARP. */
  'not-ip': 10,
  /** Carries a VLAN tag. */
  tagged: 11,
  /** Refused by a policy. */
  policy: 12,
  /** Marked congested on the way although its ends do not speak ECN. RFC 6040 §4.2 */
  congested: 13,
  /** A kernel helper refused, for want of memory for example. */
  failed: 14,
  /** Not let pass by the host's own table, or to an address that is closed to containers. */
  closed: 15,
} as const
export type DropReason = keyof typeof DROP_REASONS

/** The reason with this number, or undefined for one that this version does not know. */
export function dropReason(number: number): DropReason | undefined {
  const found = Object.entries(DROP_REASONS).find(([, value]) => value === number)
  return found?.[0] as DropReason | undefined // the keys of DROP_REASONS are the reasons
}

/** Ways through the datapath: rows of the per-CPU array `traffic`. */
export const TRAFFIC_PATHS = {
  local: 0,
  'vxlan-out': 1,
  'vxlan-in': 2,
  'direct-out': 3,
  'direct-in': 4,
  /** By the vxlan device, because the program left it to the kernel. */
  'device-out': 5,
  'device-in': 6,
  /** ARP, neighbour, echo and ICMP answers made by the program. */
  answered: 7,
  /** Handed to the host's own stack by the network's gateway device, and from it to a container here. */
  'to-host': 8,
  'from-host': 9,
} as const
export type TrafficPath = keyof typeof TRAFFIC_PATHS

const DROP_KEY = {
  struct: 'drop_key',
  size: 8,
  fields: { ifindex: { kind: 'u32', at: 0 }, reason: { kind: 'u32', at: 4 } },
} as const satisfies Layout

const COUNTER = {
  struct: 'counter',
  size: 16,
  fields: { packets: { kind: 'u64', at: 0 }, bytes: { kind: 'u64', at: 8 } },
} as const satisfies Layout

const EVENT = {
  struct: 'drop_event',
  size: 64,
  fields: {
    time_ns: { kind: 'u64', at: 0 },
    source: { kind: 'address', at: 8 },
    destination: { kind: 'address', at: 24 },
    vni: { kind: 'u32', at: 40 },
    ifindex: { kind: 'u32', at: 44 },
    length: { kind: 'u32', at: 48 },
    source_port: { kind: 'be16', at: 52 },
    destination_port: { kind: 'be16', at: 54 },
    ethertype: { kind: 'be16', at: 56 },
    reason: { kind: 'u8', at: 58 },
    protocol: { kind: 'u8', at: 59 },
  },
} as const satisfies Layout

/** Shapes of the maps that only the program writes; values of the first two are one per CPU. */
export const DROPS_MAP = { name: 'drops', key: DROP_KEY, value: COUNTER } as const
export const TRAFFIC_MAP = { name: 'traffic', value: COUNTER } as const
export const EVENTS_MAP = { name: 'events', value: EVENT } as const

/** Packets dropped for one reason at one device: an endpoint's host side, or where they arrived. */
export interface DropCount {
  readonly ifindex: number
  readonly reason: number
  readonly packets: number
  readonly bytes: number
}

/** One entry of `drops`: the key's bytes and the values of all CPUs, one after the other. */
export function readDropCount(key: Uint8Array, perCpu: Uint8Array): DropCount {
  const k = new Fields(DROP_KEY, key)
  return { ifindex: k.number('ifindex'), reason: k.number('reason'), ...readCounter(perCpu) }
}

/** The sum of one counter over all CPUs. */
export function readCounter(perCpu: Uint8Array): { packets: number; bytes: number } {
  let [packets, bytes] = [0, 0]
  for (let at = 0; at + COUNTER.size <= perCpu.length; at += COUNTER.size) {
    const counter = new Fields(COUNTER, perCpu.subarray(at, at + COUNTER.size))
    packets += counter.number('packets')
    bytes += counter.number('bytes')
  }
  return { packets, bytes }
}

/** A sample of a dropped packet, as far as its headers could be read. */
export interface DropEvent {
  /** Nanoseconds since boot, CLOCK_MONOTONIC. */
  readonly timeNs: number
  readonly reason: number
  /** 0 when the network is not known. */
  readonly vni: number
  readonly ifindex: number
  /** Bytes of the frame, all segments together. */
  readonly length: number
  readonly ethertype: number
  /** IP protocol; 0 when there is none. */
  readonly protocol: number
  readonly source: IP | undefined
  readonly destination: IP | undefined
  /** 0 without ports, as in later fragments. */
  readonly sourcePort: number
  readonly destinationPort: number
}

export function readDropEvent(bytes: Uint8Array): DropEvent {
  const e = new Fields(EVENT, bytes)
  return {
    timeNs: e.number('time_ns'),
    reason: e.number('reason'),
    vni: e.number('vni'),
    ifindex: e.number('ifindex'),
    length: e.number('length'),
    ethertype: e.number('ethertype'),
    protocol: e.number('protocol'),
    source: unmapAddress(bytes.slice(8, 24)),
    destination: unmapAddress(bytes.slice(24, 40)),
    sourcePort: e.number('source_port'),
    destinationPort: e.number('destination_port'),
  }
}
