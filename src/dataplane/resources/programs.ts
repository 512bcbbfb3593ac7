/**
 * Our programs: one in the endpoints' shared block, one in the gateways', and on tc ingress one on every
 * underlay device and one on the vxlan device. A filter is replaced in one step, so that no packet passes without its program.
 */

import { MARK, type Program } from '../../hoststate/state.ts'
import type { FilterPlace } from '../../kernel/traffic-control.ts'
import type { Context } from '../context.ts'
import type { Resource } from '../resource.ts'

const PROGRAMS = ['from_container', 'from_underlay', 'from_vxlan_device', 'to_network'] as const

interface Have extends Program {
  /** False for a program of an earlier run of the daemon. */
  readonly current: boolean
}

export function programs({ kernel, datapath, devices }: Context): Resource<Program, Have> {
  const placeOf = (at: Program['at']): FilterPlace =>
    'block' in at ? { block: at.block } : { device: devices.of(at.device), direction: 'ingress' }

  const found = (at: Program['at'], place: FilterPlace): Have[] =>
    kernel.filters
      .list(place)
      .filter((filter) => filter.name === MARK.filterName)
      .map((filter): Have => {
        const program = PROGRAMS.find((name) => datapath.programId(name) === filter.programId)
        return {
          kind: 'program',
          at,
          program: program ?? 'from_underlay',
          current: program !== undefined,
        }
      })

  return {
    kind: 'program',
    equal: (want, have) => have.current && have.program === want.program,
    list(wanted) {
      const inBlocks = wanted.flatMap(({ at }) => ('block' in at ? found(at, placeOf(at)) : []))
      const onDevices = kernel.qdiscs.list().flatMap(({ device, ingressBlock }) => {
        const name = ingressBlock === undefined ? kernel.links.get(device)?.name : undefined
        return name === undefined ? [] : found({ device: name }, { device, direction: 'ingress' })
      })
      return [...inBlocks, ...onDevices]
    },
    put(want) {
      const place = placeOf(want.at)
      if ('device' in place && kernel.qdiscs.list({ device: place.device }).length === 0) {
        kernel.qdiscs.put({ device: place.device })
      }
      kernel.filters.put({
        place,
        priority: MARK.filterPriority,
        handle: MARK.filterHandle,
        name: MARK.filterName,
        programFd: datapath.programFd(want.program),
      })
    },
    remove(have) {
      if ('device' in have.at && kernel.links.get(have.at.device) === undefined) return
      const place = placeOf(have.at)
      kernel.filters.remove({
        place,
        priority: MARK.filterPriority,
        handle: MARK.filterHandle,
      })
      if ('device' in place && isEmpty(place.device)) kernel.qdiscs.remove({ device: place.device })
    },
  }

  /** A hook without filters is as good as none, whoever made it. */
  function isEmpty(device: number): boolean {
    return (['ingress', 'egress'] as const).every(
      (direction) => kernel.filters.list({ device, direction }).length === 0,
    )
  }
}
