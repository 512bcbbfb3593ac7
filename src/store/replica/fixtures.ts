/** Records for the tests of the host's state: small, valid, and told apart by a number. */

import type { AddressClaim, Block } from '../../model/block.ts'
import type { Endpoint, PublishedEndpoint } from '../../model/endpoint.ts'
import type { Host } from '../../model/host.ts'
import type { Network } from '../../model/network.ts'
import type { Publication } from '../../model/publication.ts'
import { macForAddress } from '../../net/mac.ts'
import { ip, prefix } from '../../net/testing.ts'
import type { Operation, Store } from '../store.ts'

export function network(id: string, fields: Partial<Network> = {}): Network {
  return {
    schema: 1,
    id,
    name: `net-${id}`,
    vni: 5,
    prefixes: [prefix('10.80.0.0/16'), prefix('fd80::/48')],
    gateways: [ip('10.80.0.1'), ip('fd80::1')],
    carrier: 'auto',
    internal: false,
    masquerade: true,
    open: [],
    labels: {},
    createdAt: '2026-01-01T00:00:00.000Z',
    ...fields,
  }
}

export function host(id: string, fields: Partial<Host> = {}): Host {
  return {
    schema: 1,
    id,
    name: `host-${id}`,
    index: 1,
    underlay: [
      {
        address: ip('192.0.2.1'),
        prefix: prefix('192.0.2.0/24'),
        mac: macForAddress(0, ip('192.0.2.1')),
        mtuBytes: 1500,
      },
    ],
    vxlanPort: 4789,
    carriers: ['vxlan', 'direct', 'local'],
    version: '0.1.0',
    publishedSequence: 0,
    epoch: 0,
    ...fields,
  }
}

/** Endpoint number `n` of a host; its addresses follow from `n`. */
export function published(networkId: string, hostId: string, n: number): PublishedEndpoint {
  const address = ip(`10.80.${(n >> 8) & 255}.${n & 255}`)
  return {
    schema: 1,
    id: `ep-${hostId}-${n}`,
    networkId,
    hostId,
    addresses: [address, ip(`fd80::${(n + 0x100).toString(16)}`)],
    mac: macForAddress(5, address),
    name: `web-${n}`,
    labels: { app: 'web' },
    ifname: 'eth0',
    order: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
  }
}

export function endpoint(networkId: string, hostId: string, n: number): Endpoint {
  const sandbox = { path: `/run/netns/${n}`, inode: 4026530000 + n }
  return { ...published(networkId, hostId, n), sandbox, device: `ck${n}`, number: n }
}

/** Publication number `n`, of the endpoint of the same number. */
export function publication(networkId: string, hostId: string, n: number): Publication {
  const endpointId = `ep-${hostId}-${n}`
  const ports = { hostPort: 8000 + n, containerPort: 80, count: 1 } as const
  return {
    ...{ schema: 1, id: `pub-${hostId}-${n}`, networkId, hostId, endpointId, protocol: 'tcp' },
    ...{ ...ports, createdAt: '2026-01-01T00:00:00.000Z' },
  }
}

export function block(networkId: string, hostId: string, text: string): Block {
  return { schema: 1, networkId, prefix: prefix(text), hostId, epoch: 0 }
}

export function claim(networkId: string, hostId: string, text: string): AddressClaim {
  return { schema: 1, networkId, address: ip(text), hostId, endpointId: 'ep-x' }
}

export function put(key: string, value: unknown): Operation {
  return {
    kind: 'put',
    key,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }
}

export function remove(key: string): Operation {
  return { kind: 'delete', range: { key } }
}

export async function write(store: Store, ...success: Operation[]): Promise<number> {
  return (await store.txn({ success })).revision
}
