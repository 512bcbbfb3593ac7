/**
 * A container that leaves takes its connections along: the next one with its address must not get what was
 * meant for it. They are told to be forgotten where its entry in the datapath is removed.
 */

import * as maps from '../../hoststate/maps.ts'
import { packetMarks } from '../../hoststate/marks.ts'
import type { EndpointEntry } from '../../hoststate/state.ts'
import type { Datapath } from '../context.ts'
import type { Resource } from '../resource.ts'
import type { StaleFlow } from '../stale-flows.ts'

/** The same resource, which also tells `onStale` of connections to be forgotten. */
export function forgettingFlows(
  entries: Resource<EndpointEntry>,
  datapath: Pick<Datapath, 'map'>,
  onStale: (flow: StaleFlow) => void,
): Resource<EndpointEntry> {
  return {
    ...entries,
    remove(have) {
      entries.remove(have)
      const index = 'device' in have.at && have.host !== true ? indexOf(have.vni) : undefined
      if (index !== undefined) onStale({ kind: 'endpoint', address: have.address, index })
    },
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
