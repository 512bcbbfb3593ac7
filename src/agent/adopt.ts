/**
 * After an old disk was put back: which endpoints this host really has. The store remembers what was
 * published, the kernel what is attached; an endpoint is kept when its interface is still to be found in
 * some namespace, and given up when it is not (R9).
 */

import type { FoundSandbox } from '../dataplane/find-sandboxes.ts'
import type { Log } from '../lib/log.ts'
import type { Endpoint, PublishedEndpoint } from '../model/endpoint.ts'
import type { Mac } from '../net/mac.ts'
import type { Adoption } from './published.ts'

export interface AdoptOptions {
  readonly find: (macs: ReadonlySet<Mac>) => ReadonlyMap<Mac, FoundSandbox>
  /** Numbers that other endpoints of this host have. */
  readonly takenNumbers: ReadonlySet<number>
  /** The host's end of an endpoint's pair, by its id. */
  readonly deviceNameOf: (endpointId: string) => string
  readonly log: Log
}

/** The endpoints that live, whole. */
export function adoptEndpoints(found: Adoption, options: AdoptOptions): readonly Endpoint[] {
  const questioned: readonly (PublishedEndpoint | Endpoint)[] = [...found.unknown, ...found.missing]
  const sandboxes = options.find(new Set(questioned.map(({ mac }) => mac)))
  const taken = new Set(options.takenNumbers)
  const adopted: Endpoint[] = []
  for (const endpoint of questioned) {
    const place = sandboxes.get(endpoint.mac)
    const fields = { endpoint: endpoint.id, address: endpoint.addresses[0], mac: endpoint.mac }
    if (place === undefined) {
      options.log.warn('endpoint of an old disk given up', fields)
      continue
    }
    options.log.warn('endpoint of an old disk adopted', { ...fields, netns: place.sandbox.path })
    if ('device' in endpoint) {
      adopted.push({ ...endpoint, sandbox: place.sandbox })
      continue
    }
    let number = 1
    while (taken.has(number)) number++
    taken.add(number)
    const device = options.deviceNameOf(endpoint.id)
    adopted.push({ ...endpoint, sandbox: place.sandbox, ifname: place.ifname, device, number })
  }
  return adopted
}
