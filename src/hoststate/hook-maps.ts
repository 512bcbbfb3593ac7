/**
 * The maps of the socket hooks (bpf/hooks.bpf.c): which loopback ports of this host stand for a published
 * port, and which network namespaces are this host at all (R16, R35).
 */

import type { IP } from '../net/ip.ts'
import { Fields } from './layout.ts'
import type { MapLayout } from './maps.ts'
import { LOOPBACK_PORT, LOOPBACK_TARGET, readU32, U32, U64, u32 } from './structs.ts'

/** A namespace whose sockets the hooks may change. */
export interface HostNetnsEntry {
  /** SO_NETNS_COOKIE of the namespace: unique until the next boot. */
  readonly cookie: number
}

/** linux/in.h, for the protocols that the hooks see. */
const PROTOCOLS = { tcp: 6, udp: 17 } as const

/** A port on the loopback addresses of one family that leads elsewhere. */
export interface LoopbackPortEntry {
  readonly family: 4 | 6
  readonly protocol: keyof typeof PROTOCOLS
  /** One loopback address of the family, or undefined for all of them; the one address wins. */
  readonly address: IP | undefined
  readonly port: number
  /**
   * Where the socket goes instead. From ::1 to an IPv4 target it does so when it connects; datagrams of
   * sockets that do not connect stay where they are.
   */
  readonly target: IP
  readonly targetPort: number
  /** SO_MARK of the socket, for a network that has an index; 0 leaves the socket's mark alone. */
  readonly mark: number
}

/** Cookie → nothing: a set. */
export const hostNetns: MapLayout<HostNetnsEntry> = {
  name: 'host_netns',
  key: U64,
  value: U32,
  maxEntries: 16,
  keyOf: ({ cookie }) => new Fields(U64).setNumber('number', cookie).bytes,
  valueOf: () => u32(1),
  entryOf: (key, value) =>
    readU32(value) === 0 ? undefined : { cookie: new Fields(U64, key).number('number') },
}

/** Loopback address and port → what they stand for. */
export const loopbackPorts: MapLayout<LoopbackPortEntry> = {
  name: 'loopback_ports',
  key: LOOPBACK_PORT,
  value: LOOPBACK_TARGET,
  maxEntries: 1 << 18,
  keyOf: ({ family, protocol, address, port }) =>
    new Fields(LOOPBACK_PORT)
      .setAddress('address', address)
      .setNumber('port', port)
      .setNumber('protocol', PROTOCOLS[protocol])
      .setNumber('family', family).bytes,
  valueOf: ({ target, targetPort, mark }) =>
    new Fields(LOOPBACK_TARGET)
      .setAddress('address', target)
      .setNumber('mark', mark)
      .setNumber('port', targetPort).bytes,
  entryOf: (key, value) => {
    const [k, v] = [new Fields(LOOPBACK_PORT, key), new Fields(LOOPBACK_TARGET, value)]
    const [target, address] = [v.address('address'), k.address('address')]
    const protocol = k.number('protocol') === PROTOCOLS.tcp ? 'tcp' : 'udp'
    if (target === undefined) return undefined
    return {
      family: k.number('family') === 4 ? 4 : 6,
      protocol,
      address,
      port: k.number('port'),
      target,
      targetPort: v.number('port'),
      mark: v.number('mark'),
    }
  },
}
