/**
 * The C structures of bpf/maps.h as tables: keys and values of the maps that the dataplane writes. A test
 * compares every offset and width with the type information inside bpf/carrick.bpf.o.
 */

import type { Layout } from './layout.ts'

/** A plain __u32, as key or value. */
export const U32: Layout<'number'> = {
  struct: undefined,
  size: 4,
  fields: { number: { kind: 'u32', at: 0 } },
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
  size: 164,
  fields: {
    gateway4: { kind: 'address', at: 0 },
    gateway6: { kind: 'address', at: 16 },
    prefixes: { kind: 'address', at: 32 },
    prefix_count: { kind: 'u32', at: 160 },
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
  size: 48,
  fields: {
    local4: { kind: 'address', at: 0 },
    local6: { kind: 'address', at: 16 },
    fabric_mac: { kind: 'mac', at: 32 },
    vxlan_port: { kind: 'be16', at: 38 },
    vxlan_ifindex: { kind: 'u32', at: 40 },
    flags: { kind: 'u32', at: 44 },
  },
} as const satisfies Layout
