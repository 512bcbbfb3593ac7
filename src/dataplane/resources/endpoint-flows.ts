/**
 * A container that leaves takes its connections along: the next one with its address must not get what was
 * meant for it. They are told to be forgotten before its entry in the datapath is removed, unless the programs
 * say that the host's stack never saw a packet of it: then there are none.
 */

import * as maps from '../../hoststate/maps.ts'
import { packetMarks } from '../../hoststate/marks.ts'
import type { EndpointEntry } from '../../hoststate/state.ts'
import { u32 } from '../../hoststate/structs.ts'
import type { Datapath } from '../context.ts'
import type { Resource } from '../resource.ts'
import type { StaleFlow } from '../stale-flows.ts'
import { isUntouched } from './map-table.ts'

/** The same resource, which also tells `onStale` of connections to be forgotten. */
export function forgettingFlows(
  entries: Resource<EndpointEntry>,
  datapath: Pick<Datapath, 'map'>,
  onStale: (flows: readonly StaleFlow[]) => void,
): Resource<EndpointEntry> {
  return {
    ...entries,
    remove(have) {
      const local = 'device' in have.at && have.host !== true
      const index = local && mayBeTracked(have) ? indexOf(have.vni) : undefined
      if (index !== undefined) onStale([{ kind: 'endpoint', address: have.address, index }])
      entries.remove(have)
    },
  }

  function mayBeTracked({ vni, address }: EndpointEntry): boolean {
    const key = maps.endpoints.keyOf({ vni, address } as maps.EndpointEntry) // the key has no more
    const value = datapath.map(maps.endpoints).lookup(key)
    if (value === undefined || !isUntouched(maps.endpoints, value)) return true
    const at = maps.endpoints.entryOf(key, value)?.at
    if (at?.kind !== 'local') return true
    const device = datapath.map(maps.devices).lookup(u32(at.ifindex))
    return device === undefined || !isUntouched(maps.devices, device)
  }

  /** The index of the network here; undefined when nothing of it goes by the host's own stack. */
  function indexOf(vni: number): number | undefined {
    const gateway = entryIn(maps.networks, { vni } as maps.NetworkEntry)?.gateway // the key is the VNI alone
    const config = entryIn(maps.config, {} as maps.ConfigEntry) // there is one
    if (gateway === undefined || config === undefined) return undefined
    return gateway.mark / packetMarks(config.packetMarkMask).ofIndex(1)
  }

  function entryIn<Entry>(layout: maps.MapLayout<Entry>, at: Entry): Entry | undefined {
    const key = layout.keyOf(at)
    const value = datapath.map(layout).lookup(key)
    return value === undefined ? undefined : layout.entryOf(key, value)
  }
}
