/**
 * The C structures of bpf/maps.h as tables: keys and values of the maps that the dataplane writes. A test
 * compares every offset and width with the type information inside bpf/carrick.bpf.o.
 */

import { Fields, type Layout } from './layout.ts'

/** A plain __u32, as key or value. */
export const U32: Layout<'number'> = {
  struct: undefined,
  size: 4,
  fields: { number: { kind: 'u32', at: 0 } },
}

export function u32(value: number): Uint8Array {
  return new Fields(U32).setNumber('number', value).bytes
}

export function readU32(bytes: Uint8Array): number {
  return new Fields(U32, bytes).number('number')
}

export const ENDPOINT_KEY = {
  struct: 'endpoint_key',
  size: 20,
  fields: { vni: { kind: 'u32', at: 0 }, address: { kind: 'address', at: 4 } },
} as const satisfies Layout

export const ENDPOINT = {
  struct: 'endpoint',
  size: 16,
  fields: {
    ifindex: { kind: 'u32', at: 0 },
    host: { kind: 'u32', at: 4 },
    mac: { kind: 'mac', at: 8 },
    flags: { kind: 'u16', at: 14 },
  },
} as const satisfies Layout

export const DEVICE = {
  struct: 'device',
  size: 32,
  fields: {
    vni: { kind: 'u32', at: 0 },
    address4: { kind: 'ipv4', at: 4 },
    address6: { kind: 'address', at: 8 },
    mac: { kind: 'mac', at: 24 },
    carrier: { kind: 'u8', at: 30 },
    flags: { kind: 'u8', at: 31 },
  },
} as const satisfies Layout

export const NETWORK = {
  struct: 'network',
  size: 560,
  fields: {
    gateway4: { kind: 'address', at: 0 },
    gateway6: { kind: 'address', at: 16 },
    prefixes: { kind: 'prefix', at: 32 },
    prefix_count: { kind: 'u32', at: 544 },
    gateway_ifindex: { kind: 'u32', at: 548 },
    mark: { kind: 'u32', at: 552 },
    flags: { kind: 'u32', at: 556 },
  },
} as const satisfies Layout

export const GATEWAY = {
  struct: 'gateway',
  size: 76,
  fields: {
    vni: { kind: 'u32', at: 0 },
    carrier: { kind: 'u32', at: 4 },
    mtu: { kind: 'u32', at: 8 },
    around4: { kind: 'prefix', at: 12 },
    around6: { kind: 'prefix', at: 44 },
  },
} as const satisfies Layout

export const HOST = {
  struct: 'host',
  size: 72,
  fields: {
    address: { kind: 'address', at: 0 },
    local: { kind: 'address', at: 16 },
    next_hop: { kind: 'address', at: 32 },
    ifindex: { kind: 'u32', at: 48 },
    mtu: { kind: 'u32', at: 52 },
    port: { kind: 'be16', at: 56 },
    flags: { kind: 'u16', at: 58 },
    mac: { kind: 'mac', at: 60 },
    device_mac: { kind: 'mac', at: 66 },
  },
} as const satisfies Layout

export const DIRECT_PREFIX_KEY = {
  struct: 'direct_prefix_key',
  size: 20,
  fields: { bits: { kind: 'u32', at: 0 }, address: { kind: 'address', at: 4 } },
} as const satisfies Layout

export const CONFIG = {
  struct: 'config',
  size: 92,
  fields: {
    local4: { kind: 'address', at: 0 },
    local6: { kind: 'address', at: 16 },
    fabric_mac: { kind: 'mac', at: 32 },
    vxlan_port: { kind: 'be16', at: 38 },
    vxlan_ifindex: { kind: 'u32', at: 40 },
    flags: { kind: 'u32', at: 44 },
    mark_passed: { kind: 'u32', at: 48 },
    mark_unchecked: { kind: 'u32', at: 52 },
    mark_mask: { kind: 'u32', at: 56 },
    resolver4: { kind: 'address', at: 60 },
    resolver6: { kind: 'address', at: 76 },
  },
} as const satisfies Layout

/** The structures of the socket hooks' object, bpf/hooks.bpf.o. */
export const LOOPBACK_PORT = {
  struct: 'loopback_port',
  size: 20,
  fields: {
    address: { kind: 'address', at: 0 },
    port: { kind: 'be16', at: 16 },
    protocol: { kind: 'u8', at: 18 },
    family: { kind: 'u8', at: 19 },
  },
} as const satisfies Layout

export const LOOPBACK_TARGET = {
  struct: 'loopback_target',
  size: 24,
  fields: {
    address: { kind: 'address', at: 0 },
    mark: { kind: 'u32', at: 16 },
    port: { kind: 'be16', at: 20 },
  },
} as const satisfies Layout

export const U64: Layout<'number'> = {
  struct: undefined,
  size: 8,
  fields: { number: { kind: 'u64', at: 0 } },
}
